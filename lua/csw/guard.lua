--- What a gateway does with a request: pass it on, or answer it.
--- Gateway-neutral: the hooks of each gateway carry requests in and actions out, and decide
--- nothing. Refused sends are answered in the platform's own shape, so that a client written for
--- the Cloud API needs no change.

local byte   = string.byte
local date   = os.date
local find   = string.find
local floor  = math.floor
local format = string.format
local gsub   = string.gsub
local match  = string.match
local pairs  = pairs
local pcall  = pcall
local tonumber = tonumber
local tostring = tostring


local JSON = "application/json; charset=utf-8"
local TEXT = "text/plain; charset=utf-8"

local CLOSED = {
  code = 131047,
  message = "Re-engagement message",
}

local NO_TEMPLATE = {
  code = 132001,
  message = "Template name does not exist in the translation",
}

-- The platform's error for each reason to deny, and what to do about it.
local DENIALS = {
  window_closed = {
    error = CLOSED,
    details = "The customer service window is closed: the customer's last message is too long ago."
      .. " Send a template, or wait until the customer writes.",
  },
  never_seen = {
    error = CLOSED,
    details = "No message of this customer to this number is on record, so no customer service"
      .. " window is open. Send a template, or wait until the customer writes.",
  },
  refused_by_platform = {
    error = CLOSED,
    details = "The platform refused the last free-form message to this customer: the customer"
      .. " service window is closed. Send a template, or wait until the customer writes.",
  },
  template_not_approved = {
    error = NO_TEMPLATE,
    details = "The template is not approved. Choose another one, or wait for its approval.",
  },
  template_unknown = {
    error = NO_TEMPLATE,
    details = "The template is not in the catalogue. Check its name and language.",
  },
  number_not_enabled = {
    error = { code = 133010, message = "Phone number not registered" },
    details = "This business number is not enabled for sending. Enable it under [numbers] in"
      .. " csw.toml, or send from another number.",
  },
  user_id_in_to = {
    error = { code = 100, message = "Invalid parameter" },
    details = "`to` holds a business-scoped user id, which the platform drops without an error."
      .. " Put the user id into `recipient`.",
  },
}

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


---@class csw.Action
---@field pass boolean       true: let the request go on
---@field status? integer    otherwise the answer's HTTP status,
---@field body? string       its body
---@field headers table<string, string>  for the answer, and for the response of a passed send
---@field verdict? "allow"|"deny"|"would-deny"
---@field reason? string
---@field decision? table    a passed send's, to settle with
---@field fault? string      csw itself failed: for the error log, never for the client

local _M = {}


-- ASCII comes out, whatever goes in: texts of ours, and messages that may quote a request.
local function json_string(text)
  return '"' .. gsub(text, '[%c"\\\127-\255]', function(char)
    return char > "~" and "?" or format("\\u%04x", byte(char))
  end) .. '"'
end


local function json_number(number)
  return number and format("%.0f", number) or "null"
end


-- Headers carry words of closed lists only; nothing else may come near a line break.
local function header(value)
  return (gsub(value, "[^%w_ :.-]", ""))
end


local function rfc3339(at)
  return date("!%Y-%m-%dT%H:%M:%S", floor(at / 1000)) .. format(".%03dZ", at % 1000)
end


-- Sets the answer of an action: an error as the platform words it.
local function platform_error(action, status, err, details)
  action.pass = false
  action.status = status
  action.headers["Content-Type"] = JSON
  action.body = format('{"error":{"message":%s,"type":"OAuthException","code":%d,'
    .. '"error_data":{"messaging_product":"whatsapp","details":%s},"fbtrace_id":"csw"}}',
    json_string(format("(#%d) %s", err.code, err.message)), err.code, json_string(details))

  return action
end


local function answer(status, body, content_type)
  return {
    pass = false,
    status = status,
    headers = { ["Content-Type"] = content_type or JSON },
    body = body,
  }
end


-- What the caller may know of a decision.
local function headers_of(decision, verdict)
  local headers = {
    ["X-CSW-Verdict"] = verdict,
    ["X-CSW-Reason"] = header(decision.reason),
  }

  local expires_at = decision.window and decision.window.expires_at
  if expires_at then
    headers["X-CSW-Window-Expires"] = rfc3339(expires_at)
  end

  local conversation = decision.conversation
  if conversation and conversation ~= "none" and decision.conversation_category then
    conversation = conversation .. " " .. decision.conversation_category
  end
  headers["X-CSW-Conversation"] = header(conversation or "none")

  if decision.charge then
    local charge = decision.charge .. " " .. (decision.charge_reason or "")
    if decision.charge == "billable" and decision.amount then
      charge = charge .. " " .. decision.amount .. " " .. decision.currency
    end
    headers["X-CSW-Charge"] = header(charge)
  end

  return headers
end


-- The one place that chooses what becomes of a denied send.
local function closed_branch(action)
  local denial = DENIALS[action.reason] or DENIALS.window_closed

  return platform_error(action, 400, denial.error, denial.details)
end


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
---@param business string
---@param message string       what is wrong: of a fault, for the error log only
---@param code string?         as the library names it
---@param fail "open"|"closed"  where csw.toml cannot be asked
---@return csw.Action
function _M.undecided(gate, business, message, code, fail)
  local status = MISTAKES[code]
  if status then
    local action = { verdict = "deny", headers = { ["X-CSW-Verdict"] = "deny" } }
    return platform_error(action, status, UNREADABLE, message)
  end

  local pass = fail_mode(gate, business, fail) == "open"
  local verdict = pass and "allow" or "deny"
  local reason = pass and "fault_open" or "fault_closed"
  local action = {
    pass = pass,
    verdict = verdict,
    reason = reason,
    headers = { ["X-CSW-Verdict"] = verdict, ["X-CSW-Reason"] = reason },
    fault = message,
  }

  if pass then
    return action
  end

  return platform_error(action, 503, UNAVAILABLE,
    "The gateway cannot tell whether the customer service window is open. Try again later;"
    .. " the gateway's error log names the fault.")
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
  if find(body, "^\31\139") then
    return nil
  end

  return find(body, "^[\239\187\191%s]*{") and "application/json" or "application/x-www-form-urlencoded"
end


--- What is wrong with a send before its body is looked at; nil where nothing is.
---@param method string
---@param arguments table<string, any>  of the query
---@param content_type string?
---@param compressed boolean  the body is gzip
---@return string? message
function _M.objection(method, arguments, content_type, compressed)
  if method ~= "POST" then
    return "sends are posted; the method is " .. header(method)
  end

  for name in pairs(arguments) do
    if not QUERY[name] then
      return "the query holds more than access_token and appsecret_proof: put the message into the body"
    end
  end

  if compressed and content_type and not find(content_type:lower(), "^application/json") then
    return "a compressed body must be application/json"
  end
end


--- What to do with a send.
---@param gate csw.Gate?    nil when the gate could not be opened
---@param business string   the business phone number id
---@param body string       the request's body, as it will be sent
---@param at integer?       Unix ms; nil is the wall clock
---@param endpoint "messages"|"marketing_messages"
---@param fail "open"|"closed"  what a fault does where csw.toml cannot be asked
---@return csw.Action
function _M.send(gate, business, body, at, endpoint, fail)
  if not gate then
    return _M.undecided(nil, business, "the gate is not open", nil, fail)
  end

  -- An error thrown by the library is a fault as well, and `fail` must hold for it too.
  local ok, decision, message, code = pcall(gate.decide, gate, business, body, at, endpoint)
  if not ok then
    return _M.undecided(gate, business, tostring(decision), nil, fail)
  end

  if not decision then
    return _M.undecided(gate, business, message, code, fail)
  end

  local denied = decision.verdict == "deny"
  local verdict = denied and "deny" or decision.would_deny and "would-deny" or "allow"
  local action = {
    pass = true,
    verdict = verdict,
    reason = decision.reason,
    headers = headers_of(decision, verdict),
    decision = decision,
  }

  return denied and closed_branch(action) or action
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
    return answer(200, challenge, TEXT)
  end

  return answer(403, "wrong verify token\n", TEXT)
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
    action = answer(status, format('{"error":{"code":"%s","message":%s}}', code,
      json_string(message)))

  else
    action = answer(503, '{"error":{"code":"unavailable","message":'
      .. '"The webhook is not recorded. Repeat it later."}}')
  end

  action.fault = message
  return action
end


--- The window of one customer, for workflow tools that branch on open and closed.
---@param gate csw.Gate?
---@param business string?
---@param customer string?
---@param at string?        Unix ms; nil is the wall clock
---@return csw.Action
function _M.window(gate, business, customer, at)
  if not gate then
    return answer(503, '{"error":{"code":"unavailable","message":"The gate is not open."}}')
  end

  local time = _M.time(at)
  if not business or not customer or at and not time then
    return answer(400, '{"error":{"code":"invalid","message":'
      .. '"Ask with ?business=<phone number id>&customer=<number or user id>[&at=<Unix ms>]."}}')
  end

  local window, message, code = gate:window(business, customer, time)
  if not window then
    return answer(MISTAKES[code] or 503, format('{"error":{"code":%s,"message":%s}}',
      json_string(code or "internal"), json_string(message or "unknown fault")))
  end

  return answer(200, format('{"state":"%s","branch":"%s","reason":"%s","expires_at":%s,'
    .. '"remaining_seconds":%s,"last_act":%s,"free_entry_expires_at":%s}',
    window.state, window.branch, window.reason, json_number(window.expires_at),
    json_number(window.remaining and floor(window.remaining / 1000)),
    json_number(window.last_act), json_number(window.free_entry_expires_at)))
end


return _M
