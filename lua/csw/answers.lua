--- How answers, headers and log lines look. Nothing is decided here.

local byte   = string.byte
local date   = os.date
local find   = string.find
local floor  = math.floor
local format = string.format
local gsub   = string.gsub
local now    = os.time


local JSON = "application/json; charset=utf-8"

local NOTHING = {}

local _M = { JSON = JSON }


-- ASCII comes out, whatever goes in: texts of ours, and messages that may quote a request.
function _M.json_string(value)
  if not find(value, '[%c"\\\127-\255]') then
    return '"' .. value .. '"'
  end

  return '"' .. gsub(value, '[%c"\\\127-\255]', function(char)
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


-- The calendar is asked once for each second that is told in turn.
local told, told_as


local function rfc3339(at)
  local seconds = floor(at / 1000)
  if seconds ~= told then
    told, told_as = seconds, date("!%Y-%m-%dT%H:%M:%S", seconds)
  end

  return told_as .. format(".%03dZ", at % 1000)
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


-- What the caller may know of a decision: words of the library's closed lists, amounts and times, which hold no line
-- break.
function _M.headers_of(decision, verdict)
  local headers = {
    ["X-CSW-Verdict"] = verdict,
    ["X-CSW-Reason"] = decision.reason,
  }

  local expires_at = decision.window and decision.window.expires_at
  if expires_at then
    headers["X-CSW-Window-Expires"] = rfc3339(expires_at)
  end

  local conversation = decision.conversation
  if conversation and conversation ~= "none" and decision.conversation_category then
    conversation = conversation .. " " .. decision.conversation_category
  end
  headers["X-CSW-Conversation"] = conversation or "none"

  if decision.charge then
    local charge = decision.charge .. " " .. (decision.charge_reason or "")
    if decision.charge == "billable" and decision.amount then
      charge = charge .. " " .. decision.amount .. " " .. decision.currency
    end
    headers["X-CSW-Charge"] = charge
  end

  if decision.prefer_free then
    headers["X-CSW-Note"] = "free_form_is_free"
  end

  return headers
end


local function word(value)
  return value and '"' .. value .. '"' or "null"
end


local function text(value)
  return value and _M.json_string(value) or "null"
end


-- What the library has redacted is visible ASCII; only quotes and backslashes can stand in it. LuaJIT compiles a search
-- for a plain character, but none for a pattern.
local function visible(value)
  local is_plain = value and not find(value, '"', 1, true) and not find(value, "\\", 1, true)
  return is_plain and '"' .. value .. '"' or text(value)
end


-- One line of JSON for each decision, the same fields in every gateway. Nothing in it names a customer. Only what is no
-- word of the library's is escaped: each send pays for it.
function _M.log_line(send, action)
  local decision = action.decision or NOTHING
  local window = decision.window or NOTHING

  return '{"at":' .. _M.json_number(decision.at or send.at or now() * 1000)
    .. ',"gateway":' .. word(send.gateway)
    .. ',"business":' .. (decision.business and word(decision.business) or text(send.business))
    .. ',"customer":' .. visible(decision.customer)
    .. ',"verdict":' .. word(action.verdict)
    .. ',"reason":' .. word(action.reason)
    .. ',"class":' .. word(decision.class)
    .. ',"category":' .. word(decision.category)
    .. ',"branch":' .. word(decision.branch)
    .. ',"window_expires":' .. _M.json_number(window.expires_at)
    .. ',"conversation":' .. word(decision.conversation)
    .. ',"conversation_category":' .. word(decision.conversation_category)
    .. ',"charge":' .. word(decision.charge)
    .. ',"charge_reason":' .. word(decision.charge_reason)
    .. ',"amount":' .. word(decision.amount)
    .. ',"currency":' .. word(decision.currency)
    .. ',"instead":' .. text(action.instead)
    .. ',"passed_over":' .. text(action.passed_over)
    .. ',"fault":' .. text(action.fault or action.mistake) .. "}"
end


--- What became of a message that was handed out, as one line of JSON. Nothing in it names a customer.
---@param gateway string
---@param parcel csw.Parcel
---@param fate string
---@param why string?
---@param instead string?
---@return string
function _M.parcel_line(gateway, parcel, fate, why, instead)
  return '{"at":' .. _M.json_number(now() * 1000)
    .. ',"gateway":' .. word(gateway)
    .. ',"business":' .. word(parcel.business)
    .. ',"parcel":' .. word(parcel.kind)
    .. ',"id":' .. _M.json_number(parcel.id)
    .. ',"fate":' .. word(fate)
    .. ',"instead":' .. text(instead)
    .. ',"why":' .. text(why) .. "}"
end


return _M
