--- What a gateway does with a request: pass it on, answer it, or do what csw.toml says instead.
--- Gateway-neutral: the hooks of each gateway carry requests in and actions out, lend their hands
--- (`csw.Hands`), and decide nothing. Refused sends are answered in the platform's own shape, so
--- that a client written for the Cloud API needs no change.

local answers = require "csw.answers"
local closed  = require "csw.closed"

local byte   = string.byte
local find   = string.find
local floor  = math.floor
local format = string.format
local match  = string.match
local pairs  = pairs
local pcall  = pcall
local tonumber = tonumber
local tostring = tostring


local header = answers.header
local headers_of = answers.headers_of
local json_number = answers.json_number
local json_string = answers.json_string
local json_utf8 = answers.json_utf8
local log_line = answers.log_line
local own = answers.own
local platform_error = answers.platform_error

local TEXT = "text/plain; charset=utf-8"

local UNREADABLE = { code = 100, message = "Invalid parameter" }
local UNAVAILABLE = { code = 131016, message = "Service unavailable" }

-- The caller's own mistakes: answered as such, whatever `fail` says.
local MISTAKES = {
  body      = 400,
  invalid   = 400,
  not_json  = 400,
  too_large = 413,
}

-- What may stand beside a body: the platform would take anything else for a part of the message.
local QUERY = { access_token = true, appsecret_proof = true }

-- Refused webhooks. What is not listed is our own fault, and worth repeating: 503.
local REFUSALS = {
  signature = 401,
  not_json  = 400,
  too_large = 413,
}


---@class csw.Send
---@field gateway string     the host's name, for the log
---@field business string    the business phone number id
---@field body string        the request's body, as it will be sent
---@field at? integer        Unix ms; nil is the wall clock
---@field endpoint? "messages"|"marketing_messages"
---@field parked? boolean    it was parked and is sent now: where it may not go out it goes back, alone

---@class csw.Action
---@field pass boolean       true: let the request go on
---@field forward? string    with this body in place of its own, as JSON
---@field status? integer    otherwise the answer's HTTP status,
---@field body? string       its body
---@field code? integer       the error code in it
---@field headers table<string, string>  for the answer, and for the response of a passed send
---@field verdict? "allow"|"deny"|"would-deny"
---@field reason? string
---@field decision? table    of what goes out, or of the send that was stopped: to settle with
---@field stopped? table     the decision about a send in whose place something else goes out: to settle as stopped
---@field keep? boolean      give the body to `submit_keep` once the platform has accepted it
---@field instead? string    what was done in place of a stopped send, such as "template:order_update"
---@field fault? string      csw itself failed: for the error log, never for the client
---@field log string         the decision as one line of JSON

local _M = {}


-- As csw.toml says, else as the hook was told at start.
local function fail_mode(gate, business, default)
  if gate then
    local ok, settings = pcall(gate.settings, gate, business)
    if ok and settings then
      return settings.fail
    end
  end

  return default
end


--- A send that csw could not decide about. The caller's mistakes are answered as such; for a fault
--- of csw itself, `fail` says what becomes of the send.
---@param gate csw.Gate?
---@param send csw.Send
---@param message string       what is wrong: of a fault, for the error log only
---@param code string?         as the library names it
---@param fail "open"|"closed"  where csw.toml cannot be asked
---@return csw.Action
function _M.undecided(gate, send, message, code, fail)
  local status = MISTAKES[code]
  local action
  if status then
    action = { verdict = "deny", reason = code, headers = { ["X-CSW-Verdict"] = "deny" } }
    platform_error(action, status, UNREADABLE, message)
    action.mistake = message

  else
    local pass = fail_mode(gate, send.business, fail) == "open"
    local verdict = pass and "allow" or "deny"
    local reason = pass and "fault_open" or "fault_closed"
    action = {
      pass = pass,
      verdict = verdict,
      reason = reason,
      headers = { ["X-CSW-Verdict"] = verdict, ["X-CSW-Reason"] = reason },
      fault = message,
    }

    if not pass then
      platform_error(action, 503, UNAVAILABLE,
        "The gateway cannot tell whether the customer service window is open. Try again later;"
        .. " the gateway's error log names the fault.")
    end
  end

  action.log = log_line(send, action)
  return action
end


--- A time as requests carry it: Unix ms in digits. Anything else is nil.
---@param text any
---@return integer?
function _M.time(text)
  text = match(tostring(text), "^%d+$")

  return text and #text <= 15 and tonumber(text) or nil
end


--- The header `Content-Type` under which the platform reads a body as csw has read it; a body that two readers take
--- for two things would pass as one and arrive as the other. nil for a compressed body, which cannot be looked into.
---@param body string
---@return string?
function _M.content_type(body)
  local first, second = byte(body, 1, 2)
  if first == 123 then -- "{": as most begin; patterns are not compiled by LuaJIT
    return "application/json"
  end

  if first == 31 and second == 139 then
    return nil
  end

  return find(body, "^[\239\187\191%s]*{") and "application/json" or "application/x-www-form-urlencoded"
end


local function holds_more(arguments)
  for name in pairs(arguments) do
    if not QUERY[name] then
      return true
    end
  end
end


--- What is wrong with a send before its body is looked at; nil where nothing is.
---@param method string
---@param arguments? table<string, any>  of the query
---@param content_type string?
---@param compressed boolean  the body is gzip
---@return string? message
function _M.objection(method, arguments, content_type, compressed)
  if method ~= "POST" then
    return "sends are posted; the method is " .. header(method)
  end

  if arguments and holds_more(arguments) then
    return "the query holds more than access_token and appsecret_proof: put the message into the body"
  end

  if compressed and content_type and not find(content_type:lower(), "^application/json") then
    return "a compressed body must be application/json"
  end
end


--- What to do with a send.
---@param gate csw.Gate?    nil when the gate could not be opened
---@param send csw.Send
---@param hands csw.Hands
---@param fail "open"|"closed"  what a fault does where csw.toml cannot be asked
---@return csw.Action
function _M.send(gate, send, hands, fail)
  if not gate then
    return _M.undecided(nil, send, "the gate is not open", nil, fail)
  end

  -- An error thrown by the library is a fault as well, and `fail` must hold for it too.
  local ok, decision, message, code = pcall(gate.decide, gate, send.business, send.body, send.at, send.endpoint)
  if not ok then
    return _M.undecided(gate, send, tostring(decision), nil, fail)
  end

  if not decision then
    return _M.undecided(gate, send, message, code, fail)
  end

  local denied = decision.verdict == "deny"
  local verdict = denied and "deny" or decision.would_deny and "would-deny" or "allow"
  local action = {
    pass = true,
    verdict = verdict,
    reason = decision.reason,
    headers = headers_of(decision, verdict),
    decision = decision,
    keep = not denied and not send.parked and decision.keep,
  }

  if denied then
    closed.run(gate, send, action, hands)
  end

  action.log = log_line(send, action)
  return action
end


--- The Cloud API body of a message that reached the gateway in another shape: a text, or a template by name.
---@param message { to: string, text: string?, template: string?, language: string? }
---@return string
function _M.body(message)
  if message.template then
    return format('{"messaging_product":"whatsapp","to":%s,"type":"template",'
      .. '"template":{"name":%s,"language":{"code":%s}}}',
      json_utf8(message.to), json_utf8(message.template), json_utf8(message.language or "en_US"))
  end

  return format('{"messaging_product":"whatsapp","to":%s,"type":"text","text":{"body":%s}}',
    json_utf8(message.to), json_utf8(message.text or ""))
end


--- The answer to the platform's verification of a webhook address.
---@param gate csw.Gate?
---@param mode string?       hub.mode
---@param token string?      hub.verify_token
---@param challenge string?  hub.challenge, sent back as it came
---@return csw.Action
function _M.handshake(gate, mode, token, challenge)
  if not gate then
    return _M.refuse_webhook()
  end

  if mode == "subscribe" and token and challenge and gate:handshake(token) then
    return own(200, challenge, TEXT)
  end

  return own(403, "wrong verify token\n", TEXT)
end


--- The answer to a webhook that was not recorded.
--- Whoever reads a 503 cannot mend it, so its cause is for the error log (`fault`) alone.
---@param message? string
---@param code? string  as the library names it
---@return csw.Action
function _M.refuse_webhook(message, code)
  local status = REFUSALS[code]
  local action
  if status then
    action = own(status, format('{"error":{"code":"%s","message":%s}}', code,
      json_string(message)))

  else
    action = own(503, '{"error":{"code":"unavailable","message":'
      .. '"The webhook is not recorded. Repeat it later."}}')
  end

  action.fault = message
  return action
end


--- Of the two sends that a workflow posts, the one that the window asks for; or the answer, where nothing is to be sent
--- or the request cannot be read.
---@param gate csw.Gate?
---@param request string
---@param at integer?  Unix ms; nil is the wall clock
---@return { business: string, branch: string, body: string }? choice
---@return csw.Action? answer
function _M.choose(gate, request, at)
  if not gate then
    return nil, own(503, '{"error":{"code":"unavailable","message":"The gate is not open."}}')
  end

  local choice, message, code = gate:choose(request, at)
  if not choice then
    local status = MISTAKES[code]
    local action = { headers = {}, fault = not status and message or nil }
    return nil, platform_error(action, status or 503, status and UNREADABLE or UNAVAILABLE,
      status and message or "The gateway cannot tell whether the customer service window is open. Try again later.")
  end

  if choice.forecast then
    return nil, own(200, format('{"branch":"%s","sent":false}', choice.branch))
  end

  return choice
end


--- What all processes of the host have done, for Prometheus.
---@param gate csw.Gate?
---@return csw.Action
function _M.metrics(gate)
  local text = gate and gate:metrics()
  if not text then
    return own(503, "the gate is not open\n", TEXT)
  end

  return own(200, text, "text/plain; version=0.0.4; charset=utf-8")
end


--- The window of one customer, for workflow tools that branch on open and closed.
---@param gate csw.Gate?
---@param business string?
---@param customer string?
---@param at string?        Unix ms; nil is the wall clock
---@return csw.Action
function _M.window(gate, business, customer, at)
  if not gate then
    return own(503, '{"error":{"code":"unavailable","message":"The gate is not open."}}')
  end

  local time = _M.time(at)
  if not business or not customer or at and not time then
    return own(400, '{"error":{"code":"invalid","message":'
      .. '"Ask with ?business=<phone number id>&customer=<number or user id>[&at=<Unix ms>]."}}')
  end

  local window, message, code = gate:window(business, customer, time)
  if not window then
    return own(MISTAKES[code] or 503, format('{"error":{"code":%s,"message":%s}}',
      json_string(code or "internal"), json_string(message or "unknown fault")))
  end

  return own(200, format('{"state":"%s","branch":"%s","reason":"%s","expires_at":%s,'
    .. '"remaining_seconds":%s,"last_act":%s,"free_entry_expires_at":%s}',
    window.state, window.branch, window.reason, json_number(window.expires_at),
    json_number(window.remaining and floor(window.remaining / 1000)),
    json_number(window.last_act), json_number(window.free_entry_expires_at)))
end


return _M
