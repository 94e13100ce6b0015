--- LuaJIT over the C library: the backend of csw for nginx. Translates; decides nothing.
local bit = require("bit")
local ffi = require("ffi")
local cdefs = require("csw.cdefs")
local library = require("csw.library")


local C_OK, C_PENDING = cdefs.OK, cdefs.PENDING
local ENDPOINTS = { messages = cdefs.ENDPOINT_MESSAGES, marketing_messages = cdefs.ENDPOINT_MARKETING_MESSAGES }
local BY = {
  day = 1, business = 2, class = 4, category = 8, conversation_category = 16, charge_reason = 32, charge = 64,
  market = 128, currency = 256, basis = 512,
}
local ROWS = 256
-- Below this a double holds every whole number.
local EXACT = 2 ^ 53


local type = type
local error = error
local tonumber = tonumber
local ffi_new = ffi.new
local ffi_string = ffi.string
local ffi_sizeof = ffi.sizeof


local C = library.C
local CODES = library.CODES
local STATES = library.STATES
local REASONS = library.REASONS
local CLASSES = library.CLASSES
local CATEGORIES = library.CATEGORIES
local CONVERSATIONS = library.CONVERSATIONS
local CONVERSATION_CATEGORIES = library.CONVERSATION_CATEGORIES
local VERDICTS = library.VERDICTS
local CHARGES = library.CHARGES
local CHARGE_REASONS = library.CHARGE_REASONS
local NO_AMOUNTS = library.NO_AMOUNTS
local BASES = library.BASES
local MODES = library.MODES
local FAILS = library.FAILS
local PREFER_FREE = library.PREFER_FREE
local STEP_KINDS = library.STEP_KINDS
local UNFITS = library.UNFITS
local PARCEL_KINDS = library.PARCEL_KINDS
local KIND_NUMBERS = library.KIND_NUMBERS
local CLASS_NUMBERS = library.CLASS_NUMBERS
local CATEGORY_NUMBERS = library.CATEGORY_NUMBERS
local PARCEL_KIND_NUMBERS = library.PARCEL_KIND_NUMBERS
local FATE_NUMBERS = library.FATE_NUMBERS


-- Results and errors are read before anything else runs, so one of each serves every call.
local function sized(ctype)
  local struct = ffi_new(ctype)
  struct.size = ffi_sizeof(ctype)
  return struct
end


local err = sized("struct csw_error")
local window = sized("struct csw_window")
local decision = sized("struct csw_decision")
local recorded = sized("struct csw_recorded")
local settings = sized("struct csw_settings")
local settled = sized("struct csw_decision")
local instead = sized("struct csw_instead")
local parcel = sized("struct csw_parcel")
local choice = sized("struct csw_choice")
local ticket_out = ffi_new("uint64_t[1]")
local gate_out = ffi_new("struct csw_gate *[1]")
local count_out = ffi_new("size_t[1]")
local due_out = ffi_new("int32_t[1]")
local TOKEN_MAX = ffi_sizeof(settled.token)


local function fault(status)
  return nil, ffi_string(err.message), CODES[status]
end


local function text(value, name)
  if type(value) == "string" then
    return value
  end
  if type(value) == "number" then
    return ("%.0f"):format(value)
  end
  error("csw: " .. name .. " is a " .. type(value) .. ", expected a string", 3)
end


-- The future is asked for as well; nil is now, which the library calls 0.
local function moment(value)
  if value == nil then
    return 0
  end
  return tonumber(value) or error("csw: at is no number", 3)
end


-- A text of a struct; nil for an empty one.
local function text_or_nil(array)
  return array[0] ~= 0 and ffi_string(array) or nil
end


-- The number that was written out last: most gateways have few.
local written, written_as


-- A business's number as its digits. LuaJIT compiles the text of a double, and not that of 64 bits.
local function id(number)
  if number == 0 then
    return nil
  end

  local double = tonumber(number)
  if double >= EXACT then
    return (tostring(number):gsub("ULL$", ""))
  end

  if double ~= written then
    written, written_as = double, ("%.0f"):format(double)
  end
  return written_as
end


-- The number of its digits, all 64 bits of it.
local function number_of(digits)
  local number = 0ULL
  for digit in digits:gmatch("%d") do
    number = number * 10 + tonumber(digit)
  end
  return number
end


local function or_nil(number)
  number = tonumber(number)
  return number ~= 0 and number or nil
end


local function word_number(by_word, word, name)
  if word == nil then
    return 0
  end
  return by_word[word] or error("csw: " .. name .. " is " .. tostring(word) .. ", which is none of its words", 3)
end


local function window_table(from)
  return {
    state = STATES[from.state],
    branch = STATES[from.branch],
    reason = REASONS[from.reason],
    expires_at = or_nil(from.expires_at),
    last_act = or_nil(from.last_act),
    free_entry_expires_at = or_nil(from.free_entry_expires_at),
    remaining = tonumber(from.remaining_ms),
  }
end


local function decision_table(from)
  return {
    verdict = VERDICTS[from.verdict],
    would_deny = from.would_deny ~= 0,
    reason = REASONS[from.reason],
    class = CLASSES[from.message_class],
    category = CATEGORIES[from.category] or nil,
    estimated = from.estimated ~= 0,
    conversation = CONVERSATIONS[from.conversation],
    conversation_category = CONVERSATION_CATEGORIES[from.conversation_category] or nil,
    charge = CHARGES[from.charge] or nil,
    charge_reason = CHARGE_REASONS[from.charge_reason] or nil,
    amount = text_or_nil(from.amount),
    lowest = text_or_nil(from.lowest),
    highest = text_or_nil(from.highest),
    currency = text_or_nil(from.currency),
    market = text_or_nil(from.market),
    no_amount = NO_AMOUNTS[from.no_amount] or nil,
    at = tonumber(from.at),
    business = id(from.business),
    prefer_free = from.prefer_free ~= 0,
    keep = from.keep ~= 0,
    customer = text_or_nil(from.customer),
    branch = STATES[from.window.branch],
    window = window_table(from.window),
    token = ffi_string(from.token, from.token_length),
  }
end


local function recorded_table()
  local unreadable = {}
  for line in ffi_string(recorded.unreadable_text):gmatch("[^\n]+") do
    unreadable[#unreadable + 1] = line
  end
  return {
    events = recorded.events,
    repeated = recorded.events > 0 and recorded.repeated == recorded.events,
    ignored = recorded.ignored,
    unreadable = unreadable,
    conversation = CONVERSATIONS[recorded.conversation],
    conversation_category = CONVERSATION_CATEGORIES[recorded.conversation_category] or nil,
    category = CATEGORIES[recorded.category] or nil,
  }
end


local Core = {}
Core.__index = Core


function Core:check(business, customer, at)
  business, customer = text(business, "business"), text(customer, "customer")
  local status = C.csw_check(self.gate, business, #business, customer, #customer, moment(at), window, err)
  if status ~= C_OK then
    return fault(status)
  end
  return STATES[window.state], or_nil(window.expires_at), REASONS[window.reason]
end


function Core:window(business, customer, at)
  business, customer = text(business, "business"), text(customer, "customer")
  local status = C.csw_check(self.gate, business, #business, customer, #customer, moment(at), window, err)
  if status ~= C_OK then
    return fault(status)
  end
  return window_table(window)
end


function Core:decide(business, body, at, endpoint)
  business, body = text(business, "business"), text(body, "body")
  local number = ENDPOINTS[endpoint or "messages"] or error("csw: endpoint is " .. tostring(endpoint), 2)
  local status = C.csw_decide(self.gate, business, #business, number, body, #body, moment(at), decision, err)
  if status ~= C_OK then
    return fault(status)
  end
  return decision_table(decision)
end


-- Room for what the library copies out: a body, a text, the metrics. Doubled where something does not fit.
local room, room_size


local function copied(work)
  if not room then
    room_size = 65536
    room = ffi_new("char[?]", room_size)
  end

  while true do
    local status = work(room, room_size, count_out)
    local length = tonumber(count_out[0])
    if status ~= C_OK or length <= room_size then
      return status, length
    end
    room_size = 2 * length
    room = ffi_new("char[?]", room_size)
  end
end


function Core:instead(business, body, at, index)
  business, body = text(business, "business"), text(body, "body")
  local status, length = copied(function(out, size, count)
    return C.csw_instead_of(self.gate, business, #business, body, #body, moment(at), index, instead, out, size, count,
                            err)
  end)
  if status ~= C_OK then
    return fault(status)
  end

  local kind = STEP_KINDS[instead.kind]
  local serves = instead.unfit == 0
  return {
    kind = kind,
    step = ffi_string(instead.step),
    unfit = UNFITS[instead.unfit] or nil,
    body = serves and kind == "template" and ffi_string(room, length) or nil,
    decision = serves and kind == "template" and decision_table(instead.decision) or nil,
    text = serves and kind == "channel" and ffi_string(room, length) or nil,
    location = text_or_nil(instead.location),
    to = text_or_nil(instead.to),
    id = text_or_nil(instead.id),
  }
end


function Core:choose(request, at)
  request = text(request, "request")
  local status, length = copied(function(out, size, count)
    return C.csw_choose(self.gate, request, #request, moment(at), choice, out, size, count, err)
  end)
  if status ~= C_OK then
    return fault(status)
  end
  return {
    business = id(choice.business),
    branch = STATES[choice.branch],
    forecast = choice.forecast ~= 0,
    body = ffi_string(room, length),
  }
end


function Core:metrics()
  local status, length = copied(function(out, size, count)
    return C.csw_metrics(self.gate, out, size, count, err)
  end)
  if status ~= C_OK then
    return fault(status)
  end
  return ffi_string(room, length)
end


local function submitted(status)
  if status ~= C_OK then
    return fault(status)
  end
  -- In brackets: LuaJIT compiles no call of its own functions that ends another one.
  return (tonumber(ticket_out[0]))
end


function Core:submit_record(event)
  if type(event) ~= "table" then
    error("csw: an event is a table, got " .. type(event), 2)
  end

  -- Strings stay referenced here for as long as the struct points into them.
  local business, customer = text(event.business, "event.business"), text(event.customer, "event.customer")
  local message_id = event.id ~= nil and text(event.id, "event.id") or ""
  local template = event.template ~= nil and text(event.template, "event.template") or ""
  local language = event.language ~= nil and text(event.language, "event.language") or ""
  local struct = sized("struct csw_event")
  struct.kind = word_number(KIND_NUMBERS, event.kind or error("csw: event.kind is missing", 2), "event.kind")
  struct.business, struct.business_length = business, #business
  struct.customer, struct.customer_length = customer, #customer
  struct.id, struct.id_length = message_id, #message_id
  struct.template_name, struct.template_name_length = template, #template
  struct.template_language, struct.template_language_length = language, #language
  struct.at = moment(event.at)
  struct.message_class = word_number(CLASS_NUMBERS, event.class, "event.class")
  struct.category = word_number(CATEGORY_NUMBERS, event.category, "event.category")
  struct.entry_point = event.entry_point and 1 or 0
  struct.code = event.code or 0
  return submitted(C.csw_submit_record(self.gate, struct, ticket_out, err))
end


function Core:submit_ingest(bytes, signature, at)
  bytes, signature = text(bytes, "bytes"), signature ~= nil and text(signature, "signature") or ""
  return submitted(C.csw_submit_ingest(self.gate, bytes, #bytes, signature, #signature, moment(at), ticket_out, err))
end


-- Puts a token where the library reads it.
local function settling(token)
  if #token > TOKEN_MAX then
    return false
  end
  ffi.copy(settled.token, token, #token)
  settled.token_length = #token
  return true
end


function Core:submit_settle(token, http_status, response, at)
  token, response = text(token, "token"), response ~= nil and text(response, "response") or ""
  if not settling(token) then
    return nil, "the token is not one that a decision gave", "invalid"
  end
  return submitted(C.csw_submit_settle(self.gate, settled, http_status, response, #response, moment(at),
                                       ticket_out, err))
end


function Core:submit_park(gateway, business, body)
  gateway, business, body = text(gateway, "gateway"), text(business, "business"), text(body, "body")
  return submitted(C.csw_submit_park(self.gate, gateway, #gateway, business, #business, body, #body, ticket_out, err))
end


function Core:submit_take(gateway, at)
  gateway = text(gateway, "gateway")
  return submitted(C.csw_submit_take(self.gate, gateway, #gateway, moment(at), ticket_out, err))
end


function Core:parcel(ticket)
  local status, length = copied(function(out, size, count)
    return C.csw_parcel_of(self.gate, ticket, parcel, out, size, count, err)
  end)
  if status ~= C_OK then
    return fault(status)
  end

  local kind = PARCEL_KINDS[parcel.kind]
  return kind and {
    kind = kind,
    id = tonumber(parcel.id),
    business = id(parcel.business),
    customer = ffi_string(parcel.customer),
    gateway = ffi_string(parcel.gateway),
    in_hand_until = tonumber(parcel.in_hand_until),
    waiting = parcel.waiting,
    dropped = parcel.dropped,
    body = length > 0 and ffi_string(room, length) or nil,
  } or nil
end


function Core:submit_return(back, fate)
  local customer, gateway = text(back.customer, "parcel.customer"), text(back.gateway, "parcel.gateway")
  parcel.kind = word_number(PARCEL_KIND_NUMBERS, back.kind, "parcel.kind")
  parcel.id = back.id
  parcel.in_hand_until = moment(back.in_hand_until)
  parcel.business = number_of(text(back.business, "parcel.business"))
  for name, value in pairs({ customer = customer, gateway = gateway }) do
    ffi.fill(parcel[name], ffi_sizeof(parcel[name]))
    ffi.copy(parcel[name], value, math.min(#value, ffi_sizeof(parcel[name]) - 1))
  end
  return submitted(C.csw_submit_return(self.gate, parcel, word_number(FATE_NUMBERS, fate, "fate"), ticket_out, err))
end


function Core:submit_keep(gateway, token, http_status, response, body)
  gateway = text(gateway, "gateway")
  token, response, body = text(token, "token"), text(response, "response"), text(body, "body")
  if not settling(token) then
    return nil, "the token is not one that a decision gave", "invalid"
  end
  return submitted(C.csw_submit_keep(self.gate, gateway, #gateway, settled, http_status, response, #response,
                                     body, #body, ticket_out, err))
end


function Core:due(gateway)
  gateway = text(gateway, "gateway")
  local status = C.csw_due(self.gate, gateway, #gateway, due_out, err)
  if status ~= C_OK then
    return fault(status)
  end
  return due_out[0] ~= 0
end


local function outcome(status)
  if status == C_OK then
    return "done", recorded_table()
  end
  if status == C_PENDING then
    return "pending"
  end

  local code = CODES[status]
  local word = (code == "timeout" or code == "expired") and code or "failed"
  return word, ffi_string(err.message), code
end


function Core:poll(ticket)
  return outcome(C.csw_poll(self.gate, ticket, recorded, err))
end


function Core:wait(ticket, timeout_ms)
  return outcome(C.csw_wait(self.gate, ticket, timeout_ms, recorded, err))
end


function Core:submit_report(from, to, by)
  local groups = 0
  for _, word in ipairs(by) do
    groups = bit.bor(groups, BY[word] or error("csw: a report cannot be by " .. tostring(word), 3))
  end
  return submitted(C.csw_submit_report(self.gate, moment(from), moment(to), groups, ticket_out, err))
end


function Core:submit_expiring(at, within_ms, limit)
  return submitted(C.csw_submit_expiring(self.gate, moment(at), within_ms, limit, ticket_out, err))
end


function Core:submit_forget(customer, business)
  customer, business = text(customer, "customer"), business ~= nil and text(business, "business") or ""
  return submitted(C.csw_submit_forget(self.gate, business, #business, customer, #customer, ticket_out, err))
end


local function report_row(row)
  return {
    day = text_or_nil(row.day),
    business = id(row.business),
    class = CLASSES[row.message_class] or nil,
    category = CATEGORIES[row.category] or nil,
    conversation_category = CONVERSATION_CATEGORIES[row.conversation_category] or nil,
    charge = CHARGES[row.charge] or nil,
    charge_reason = CHARGE_REASONS[row.charge_reason] or nil,
    market = text_or_nil(row.market),
    basis = BASES[row.basis] or nil,
    currency = text_or_nil(row.currency),
    messages = tonumber(row.messages),
    conversations = tonumber(row.conversations),
    free = tonumber(row.free),
    billable = tonumber(row.billable),
    reported = tonumber(row.reported),
    unpriced = tonumber(row.unpriced),
    stopped = tonumber(row.stopped),
    refused = tonumber(row.refused),
    dropped = tonumber(row.dropped),
    amount = ffi_string(row.amount),
  }
end


local function expiring_row(row)
  return { business = id(row.business), customer = ffi_string(row.customer), expires_at = tonumber(row.expires_at) }
end


-- All rows of a ticket that is done, read page by page.
local function rows(gate, ticket, page, ctype, as_table)
  local found = {}
  local array = ffi_new(ctype .. "[?]", ROWS)
  array[0].size = ffi_sizeof(ctype)
  repeat
    local status = page(gate, ticket, #found, array, ROWS, count_out, err)
    if status ~= C_OK then
      return fault(status)
    end
    local count = tonumber(count_out[0])
    for index = 0, math.min(ROWS, count - #found) - 1 do
      found[#found + 1] = as_table(array[index])
    end
  until #found >= count
  return found
end


function Core:report_rows(ticket)
  return rows(self.gate, ticket, C.csw_report_rows, "struct csw_report_row", report_row)
end


function Core:expiring_rows(ticket)
  return rows(self.gate, ticket, C.csw_expiring_rows, "struct csw_expiring_window", expiring_row)
end


function Core:handshake(token)
  token = text(token, "token")
  return C.csw_handshake(self.gate, token, #token, err) == C_OK
end


function Core:settings(business)
  business = business ~= nil and text(business, "business") or ""
  local status = C.csw_settings_of(self.gate, business, #business, settings, err)
  if status ~= C_OK then
    return fault(status)
  end
  return {
    fail = FAILS[settings.fail],
    mode = MODES[settings.mode],
    test_clock = settings.test_clock ~= 0,
    prefer_free = PREFER_FREE[settings.prefer_free],
    token_file = text_or_nil(settings.token_file),
  }
end


function Core:flush(timeout_ms)
  local status = C.csw_flush(self.gate, timeout_ms, err)
  if status ~= C_OK then
    return fault(status)
  end
  return true
end


-- The finaliser is a Lua function that holds the library: it must not be unloaded before its gates are closed.
local function close(gate)
  C.csw_close(gate)
end


function Core:close()
  close(ffi.gc(self.gate, nil))
end


local function opened(status)
  if status ~= C_OK then
    return fault(status)
  end
  return setmetatable({ gate = ffi.gc(gate_out[0], close) }, Core)
end


return {
  version = ffi_string(C.csw_version()),
  abi_version = C.csw_abi_version(),

  open = function(path)
    return opened(C.csw_open(path, #path, gate_out, err))
  end,

  open_text = function(config)
    return opened(C.csw_open_text(config, #config, gate_out, err))
  end,
}
