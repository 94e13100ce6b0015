--- How answers, headers and log lines look. Nothing is decided here.

local byte   = string.byte
local concat = table.concat
local date   = os.date
local floor  = math.floor
local format = string.format
local gsub   = string.gsub
local now    = os.time


local JSON = "application/json; charset=utf-8"

local _M = { JSON = JSON }


-- ASCII comes out, whatever goes in: texts of ours, and messages that may quote a request.
function _M.json_string(text)
  return '"' .. gsub(text, '[%c"\\\127-\255]', function(char)
    return char > "~" and "?" or format("\\u%04x", byte(char))
  end) .. '"'
end


-- The same for texts of others', which keep their letters.
function _M.json_utf8(text)
  return '"' .. gsub(text, '[%c"\\]', function(char)
    return format("\\u%04x", byte(char))
  end) .. '"'
end


function _M.json_number(number)
  return number and format("%.0f", number) or "null"
end


-- Headers carry words of closed lists only; nothing else may come near a line break.
function _M.header(value)
  return (gsub(value, "[^%w_ :.-]", ""))
end


local function rfc3339(at)
  return date("!%Y-%m-%dT%H:%M:%S", floor(at / 1000)) .. format(".%03dZ", at % 1000)
end


-- Sets the answer of an action: an error as the platform words it.
function _M.platform_error(action, status, err, details)
  action.pass = false
  action.status = status
  action.code = err.code
  action.headers["Content-Type"] = JSON
  action.body = format('{"error":{"message":%s,"type":"OAuthException","code":%d,'
    .. '"error_data":{"messaging_product":"whatsapp","details":%s},"fbtrace_id":"csw"}}',
    _M.json_string(format("(#%d) %s", err.code, err.message)), err.code, _M.json_string(details))

  return action
end


function _M.own(status, body, content_type)
  return {
    pass = false,
    status = status,
    headers = { ["Content-Type"] = content_type or JSON },
    body = body,
  }
end


-- What the caller may know of a decision.
function _M.headers_of(decision, verdict)
  local headers = {
    ["X-CSW-Verdict"] = verdict,
    ["X-CSW-Reason"] = _M.header(decision.reason),
  }

  local expires_at = decision.window and decision.window.expires_at
  if expires_at then
    headers["X-CSW-Window-Expires"] = rfc3339(expires_at)
  end

  local conversation = decision.conversation
  if conversation and conversation ~= "none" and decision.conversation_category then
    conversation = conversation .. " " .. decision.conversation_category
  end
  headers["X-CSW-Conversation"] = _M.header(conversation or "none")

  if decision.charge then
    local charge = decision.charge .. " " .. (decision.charge_reason or "")
    if decision.charge == "billable" and decision.amount then
      charge = charge .. " " .. decision.amount .. " " .. decision.currency
    end
    headers["X-CSW-Charge"] = _M.header(charge)
  end

  if decision.prefer_free then
    headers["X-CSW-Note"] = "free_form_is_free"
  end

  return headers
end


-- One line of JSON for each decision, the same fields in every gateway. Nothing in it names a customer.
function _M.log_line(send, action)
  local decision = action.decision or {}
  local window = decision.window or {}
  local parts = {}
  local function add(name, value)
    parts[#parts + 1] = '"' .. name .. '":' .. value
  end
  local function add_text(name, value)
    add(name, value and _M.json_string(value) or "null")
  end

  add("at", _M.json_number(send.at or now() * 1000))
  add_text("gateway", send.gateway)
  add_text("business", send.business)
  add_text("customer", decision.customer)
  add_text("verdict", action.verdict)
  add_text("reason", action.reason)
  add_text("class", decision.class)
  add_text("category", decision.category)
  add_text("branch", decision.branch)
  add("window_expires", _M.json_number(window.expires_at))
  add_text("conversation", decision.conversation)
  add_text("conversation_category", decision.conversation_category)
  add_text("charge", decision.charge)
  add_text("charge_reason", decision.charge_reason)
  add_text("amount", decision.amount)
  add_text("currency", decision.currency)
  add_text("instead", action.instead)
  add_text("passed_over", action.passed_over)
  add_text("fault", action.fault)

  return "{" .. concat(parts, ",") .. "}"
end


return _M
