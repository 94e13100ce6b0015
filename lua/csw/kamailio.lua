--- csw in Kamailio (app_lua, KEMI): SIP MESSAGE requests between a business and a WhatsApp trunk. One function for each
--- direction, and one for the trunk's replies. They translate; guard decides.
---
--- Kamailio loads its script once before it forks and once in each process, where nothing can be logged yet: `setup`
--- opens the gate, and the first request tells what is wrong with it. The store opens with the first request.

local answers = require "csw.answers"
local guard   = require "csw.guard"
local sip     = require "csw.sip"

local byte   = string.byte
local char   = string.char
local concat = table.concat
local find   = string.find
local format = string.format
local gsub   = string.gsub
local lower  = string.lower
local match  = string.match
local now    = os.time
local pairs  = pairs
local pcall  = pcall
local tonumber = tonumber
local tostring = tostring
local type     = type

local KSR = KSR


-- What is used of Kamailio beside its core.
local MODULES = { "pv", "sl", "textops", "tm" }

-- A MESSAGE cannot be parked: what comes back of it later is a text without its From, its headers and its content type.
local HANDS = {}

local DEFAULTS = {
  fail           = "closed",
  business       = { send = "$fU", received = "$rU" },
  customer       = { send = "$rU", received = "$fU" },
  template       = "$hdr(X-WhatsApp-Template)",
  template_type  = "application/x-whatsapp-template",
  longest_wait   = 2000,
  wait_for_sends = true,
}

-- What an option may be.
local KINDS = {
  fail           = "string",
  business       = "string table function",
  customer       = "string table function",
  template       = "string boolean function",
  template_type  = "string boolean",
  longest_wait   = "number",
  wait_for_sends = "boolean",
}

local CLOSED = "Customer service window closed"

-- Reason phrases of refused sends. What a reason does not have here is made of its own words.
local PHRASES = {
  window_closed       = CLOSED,
  never_seen          = CLOSED,
  refused_by_platform = CLOSED,
}

-- And of what csw could not decide about, by the status.
local STATUS_PHRASES = {
  [400] = "Bad Request",
  [413] = "Request Entity Too Large",
  [503] = "Service Unavailable",
}


---@alias csw.kamailio.Source string|fun(): string?
--- a pseudo-variable ("$fU", "$hdr(X-Business)"), a text that stands for itself, or a function that reads the message

---@class csw.kamailio.Options
---@field fail? "open"|"closed"   what sends do while csw.toml itself cannot be read (default "closed")
---@field business? csw.kamailio.Source|{ send: csw.kamailio.Source, received: csw.kamailio.Source }
---  the phone number id, or the display number of one; by default the user of From, in a received message of the
---  request URI
---@field customer? csw.kamailio.Source|{ send: csw.kamailio.Source, received: csw.kamailio.Source }
---  by default the user of the request URI, in a received message of From
---@field template? csw.kamailio.Source|false  "name; language=en_US" where the message is a template (default
---  "$hdr(X-WhatsApp-Template)")
---@field template_type? string|false  the content type of messages that are templates, with the parameters `name` and
---  `language` (default "application/x-whatsapp-template")
---@field longest_wait? integer  for how many ms a message may hold its process until it is on disk (default 2000)
---@field wait_for_sends? boolean  whether the trunk's reply to a send goes on once it is on disk (default true);
---  without that, what the last moments before Kamailio ends sent may be missing in the books


local options = DEFAULTS
local config_path
local gate
local test_clock
local failure      -- why the gate cannot be opened
local logged       -- the failure that the log has already
local last_attempt
local late         -- the ticket that was waited for in vain

local _M = {}


-- One line each, whatever a message quoted of a request.
local function log(level, ...)
  KSR[level]("csw: " .. gsub(concat({ ... }), "[%c\127-\255]", "?") .. "\n")
end


local function open_gate(path)
  local opened, message = require("csw").open(path)
  if not opened then
    return nil, message
  end

  return opened, nil, opened:settings().test_clock
end


-- Whatever was thrown is a failure to open as well.
local function try_to_open()
  last_attempt = now()

  local ok, opened, message, clock = pcall(open_gate, config_path)
  if not ok then
    opened, message = nil, tostring(opened)
  end

  failure = not opened and (message or "unknown fault") or nil
  if not opened then
    return
  end

  -- What the old gate has taken goes to disk before it closes.
  if gate then
    gate:flush(options.longest_wait)
    gate:close()
  end
  gate, test_clock, late = opened, clock, nil
end


-- The process's gate. While it cannot be opened, one attempt a second; a failure is logged once.
local function current_gate()
  if failure and not gate and last_attempt ~= now() then
    try_to_open()
  end

  if failure ~= logged then
    logged = failure
    if not failure then
      log("notice", "the gate is open now")
    elseif gate then
      log("err", "the gate stays as it was, since it cannot be opened anew: ", failure)
    else
      log("err", "cannot open the gate, sends fail ", options.fail, " and messages are answered 503: ", failure)
    end
  end

  return gate
end


-- The time to decide for: the wall clock, or what a test or story asks for.
local function request_time()
  return test_clock and guard.time(KSR.hdr.get("X-CSW-At")) or nil
end


-- Takes a message up, once: retransmissions end here, and get what the first one got.
local function begin()
  local taken = KSR.tm.t_newtran()
  if taken < 0 then
    log("err", "no transaction can be made for a message: the script has made one already, or no memory is left")
    KSR.sl.sl_reply_error()
  end

  return taken > 0
end


local function answer(status, phrase, lines)
  if lines then
    KSR.hdr.append_to_reply(lines)
  end
  KSR.sl.send_reply(status, phrase)

  return false
end


-- The answer to a send that does not go out. A refusal by the platform's rules names the platform's code (RFC 3326).
local function refuse(action)
  local lines = sip.header_lines(action.headers)
  local phrase = STATUS_PHRASES[action.status]
  local status = action.status
  if action.decision then
    status = 403
    phrase = PHRASES[action.reason] or gsub(gsub(action.reason, "_", " "), "^%l", string.upper)
    lines = lines .. format('Reason: WhatsApp;cause=%d;text="%s"\r\n', action.code, answers.header(action.reason))
  end

  return answer(status, phrase or "Server Internal Error", lines)
end


-- Whether this process still waits for what was submitted some time ago: the store hangs, and no message may hold the
-- process until it goes on.
local function store_hangs()
  if late and gate:poll(late) ~= "pending" then
    late = nil
  end

  return late ~= nil
end


-- Waits for a ticket, which holds the process, but never longer than `longest_wait`.
local function await(ticket)
  local state, result, code = gate:wait(ticket, options.longest_wait)
  if state == "timeout" then
    late = ticket
    return state, format("it is not on disk after %d ms", options.longest_wait), code
  end

  return state, result, code
end


-- Records what became of a send. Where it went out the answer waits for that; else nothing is lost with it.
local function settle(token, status, body, at)
  local ok, ticket, message = pcall(gate.submit_settle, gate, token, status, body, at)
  if not ok then
    ticket, message = nil, tostring(ticket)
  end

  if ticket and status >= 200 and status <= 299 and options.wait_for_sends and not store_hangs() then
    local state, result = await(ticket)
    if state ~= "done" then
      ticket, message = nil, result or state
    end
  end

  if not ticket then
    log("err", "what became of a send may not be on record: ", message)
  end
end


-- Bytes as a pseudo-variable keeps them.
local function to_hex(bytes)
  return (gsub(bytes, ".", function(letter)
    return format("%02x", byte(letter))
  end))
end


local function from_hex(text)
  return (gsub(text, "%x%x", function(digits)
    return char(tonumber(digits, 16))
  end))
end


--- For the script's first lines: opens the gate. On `app_lua.reload` it is opened anew; where it cannot be, the old
--- one stays.
---@param path string  csw.toml
---@param opts? csw.kamailio.Options
function _M.setup(path, opts)
  for index = 1, #MODULES do
    if not KSR[MODULES[index]] then
      error(format('csw.kamailio needs the module %s: loadmodule "%s.so"', MODULES[index], MODULES[index]), 2)
    end
  end

  local chosen = {}
  for name, value in pairs(DEFAULTS) do
    chosen[name] = value
  end
  for name, value in pairs(opts or {}) do
    if not KINDS[name] then
      error("csw.kamailio.setup: no option is called " .. tostring(name), 2)
    end
    if not find(KINDS[name], type(value), 1, true) then
      error(format("csw.kamailio.setup: %s is a %s; expected %s", name, type(value),
        (gsub(KINDS[name], " ", " or "))), 2)
    end
    -- true is as by default.
    if value ~= true then
      chosen[name] = value
    end
  end

  options, config_path, logged = chosen, path, nil
  try_to_open()
end


--- The process's gate, for Lua of your own.
---@return csw.Gate?  nil while it cannot be opened: the log says why
function _M.gate()
  return current_gate()
end


--- For a MESSAGE to WhatsApp: decides. It makes the transaction, so nothing may have made one before.
---@return boolean relay  false: it is answered, or was a retransmission
function _M.send()
  if not begin() then
    return false
  end

  local at = request_time()
  local business, customer = sip.number(options.business, "send"), sip.number(options.customer, "send")
  local action = guard.send(current_gate(), {
    gateway = "kamailio",
    business = business,
    body = sip.body(customer, options),
    at = at,
    endpoint = "messages",
  }, HANDS, options.fail)

  log("info", action.log)
  if action.fault then
    log("err", "send ", action.pass and "passed" or "refused", " without a decision: ", action.fault)
  end

  if not action.pass then
    if action.decision then
      settle(action.decision.token, 403, "", at)
    end
    return refuse(action)
  end

  -- Nothing that a client says of itself goes on as csw's word.
  local lines = sip.header_lines(action.headers)
  KSR.textops.remove_hf_re("^X-CSW-")
  KSR.hdr.append(lines)
  KSR.pv.sets("$avp(csw_headers)", lines)
  if action.decision then
    KSR.pv.sets("$avp(csw_token)", to_hex(action.decision.token))
    KSR.pv.sets("$avp(csw_at)", at and format("%.0f", at) or "")
    -- A client may use a Call-ID again; each message that goes out is one of its own.
    KSR.pv.sets("$avp(csw_id)", format("%s;%s;%s", KSR.pv.get("$ci"), KSR.pv.get("$cs"), KSR.pv.get("$TV(Sn)")))
  end

  return true
end


--- For the replies to a MESSAGE that `send` let pass (`t_on_reply`): records what the trunk said of it. A refusal that
--- names the platform's code (`Reason: WhatsApp;cause=131047`) is the platform's word.
function _M.replied()
  local status = tonumber(KSR.pv.get("$rs"))
  if not status or status < 200 then
    return
  end

  local lines = KSR.pv.get("$avp(csw_headers)")
  if lines then
    KSR.textops.remove_hf_re("^X-CSW-")
    KSR.hdr.append(lines)
  end

  local token = KSR.pv.get("$avp(csw_token)")
  if not token or not current_gate() then
    return
  end

  local at = guard.time(KSR.pv.get("$avp(csw_at)"))
  if status <= 299 then
    -- A reply may come again.
    KSR.pv.unset("$avp(csw_token)")
    settle(from_hex(token), status, format('{"messages":[{"id":%s}]}',
      answers.json_string(KSR.pv.get("$avp(csw_id)") or "")), at)
    return
  end

  local cause = match("," .. lower(KSR.pv.get("$(hdr(Reason)[*])") or ""), ",%s*whatsapp%s*;[^,]-cause%s*=%s*(%d+)")
  if cause and not KSR.pv.get("$avp(csw_refused)") then
    KSR.pv.sets("$avp(csw_refused)", cause)
    settle(from_hex(token), status, format('{"error":{"code":%s}}', cause), at)
  end
end


--- For a MESSAGE of a customer, from the trunk: records it, which opens the window, and returns once it is on disk. The
--- trunk repeats what is answered 503. It makes the transaction, so nothing may have made one before.
---@return boolean relay  true: relay it, or answer it 200
function _M.received()
  if not begin() then
    return false
  end

  local at = request_time() or sip.written_at()
  KSR.textops.remove_hf_re("^X-CSW-")
  if sip.is_notice() then
    return true
  end

  local state, message, code = "failed", "the gate is not open", nil
  if current_gate() and store_hangs() then
    message = "an earlier message is not on disk yet"

  elseif gate then
    local ok, ticket
    ok, ticket, message, code = pcall(gate.submit_record, gate, {
      kind = "customer_message",
      business = sip.number(options.business, "received"),
      customer = sip.number(options.customer, "received"),
      at = at,
      id = format("%s;%s", KSR.pv.get("$ci"), KSR.pv.get("$cs")),
    })
    if not ok then
      message = tostring(ticket)
    elseif ticket then
      state, message, code = await(ticket)
    end
  end

  if state == "done" then
    return true
  end

  log("err", "a customer's message is not on record: ", tostring(message or state))
  local status = code == "invalid" and 400 or 503
  return answer(status, STATUS_PHRASES[status])
end


return _M
