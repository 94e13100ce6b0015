--- The closed branch: what is done in place of a send that may not go out, as csw.toml says; and what was parked, sent
--- when it may go out.

local answers = require "csw.answers"

local concat = table.concat
local format = string.format
local match  = string.match
local now    = os.time
local open   = io.open
local pairs  = pairs
local pcall  = pcall
local tonumber = tonumber
local tostring = tostring

local header = answers.header
local headers_of = answers.headers_of
local json_number = answers.json_number
local json_string = answers.json_string
local platform_error = answers.platform_error


local CLOSED = {
  code = 131047,
  message = "Re-engagement message",
}

local UNAVAILABLE = { code = 131016, message = "Service unavailable" }

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
  over_cost = {
    error = { code = 100, message = "Invalid parameter" },
    details = "The customer service window is open, and the text could go out as a free-form"
      .. " message without a charge. Send it so.",
  },
  user_id_in_to = {
    error = { code = 100, message = "Invalid parameter" },
    details = "`to` holds a business-scoped user id, which the platform drops without an error."
      .. " Put the user id into `recipient`.",
  },
}

-- The platform's codes for what may be sent later: see is_for_later.
local LATER = {
  [0] = true, [3] = true, [4] = true, [10] = true, [190] = true, [368] = true, [80007] = true, [130429] = true,
  [131005] = true, [131031] = true, [131042] = true, [131048] = true, [131056] = true, [133010] = true,
}

-- What the older platform says where the newer one says 131047.
local OLDER_CLOSED_CODE = 470

-- Denials of the guard that have nothing to do with the customer.
local LATER_REASONS = { fault_closed = true, number_not_enabled = true }

-- Each is some seconds.
local MOST_WAITS = 6

local DRAIN_FOR = 10 -- seconds

-- More than anybody configures: the library's last step is `block`.
local MOST_STEPS = 100

-- Why a message may not go out that might go another way.
local CLOSED_REASONS = { window_closed = true, never_seen = true, refused_by_platform = true }

--- What a host can do beside letting a send pass and answering it. A step of the closed branch that needs a hand which
--- the host does not have is passed over.
---@class csw.Hands
---@field forwards? boolean  the host can send another body on in place of a request's own
---@field await? fun(ticket: integer): string, any, string?  waits for a ticket as `gate:poll` answers it, without
---  holding the host
---@field channel? fun(location: string, letter: csw.Letter): integer?, string?  gives a text to another channel: its
---  HTTP status, and its id for it
---@field send? fun(send: csw.Send, token: string?): integer?, table?, string?  a send of our own through the
---  gateway's own send path, with the number's access token: status, headers (lower case) and body of the answer; nil,
---  nil, message where nobody can tell what became of it

---@class csw.Letter
---@field to string          the customer's phone number, digits alone
---@field text string
---@field business string
---@field id string          our own id for it

local _M = {}


-- The answer of a gateway that took a message for the platform, in the platform's shape.
local function taken(action, status, to, id, how)
  action.pass = false
  action.status = status
  action.headers["Content-Type"] = answers.JSON
  action.headers["X-CSW-Instead-Id"] = header(id)
  action.body = format('{"messaging_product":"whatsapp","contacts":[{"input":%s,"wa_id":%s}],'
    .. '"messages":[{"id":%s,"message_status":%s}]}',
    json_string(to), json_string(to), json_string(id), json_string(how))

  return true
end


-- The steps of the closed branch, by their kinds: each tries to do with a denied send what csw.toml says, and tells
-- whether it could, or why not.
local STEPS = {}


function STEPS.template(_, _, step, action, hands)
  if not hands.forwards then
    return false, "the gateway cannot send another body on"
  end

  action.stopped = action.decision
  action.decision = step.decision
  action.forward = step.body
  action.pass = true
  for name, value in pairs(headers_of(step.decision, action.verdict)) do
    action.headers[name] = value
  end
  action.headers["X-CSW-Verdict"] = "deny"
  action.headers["X-CSW-Reason"] = header(action.reason)

  return true
end


function STEPS.channel(_, send, step, action, hands)
  if not hands.channel then
    return false, "the gateway reaches no other channel"
  end

  local letter = { to = step.to, text = step.text, business = send.business, id = step.id }
  local status, id = hands.channel(step.location, letter)
  if not status or status < 200 or status > 299 then
    return false, "answered " .. tostring(status or id)
  end

  return taken(action, 200, step.to, id or letter.id, "accepted")
end


function STEPS.park(gate, send, step, action, hands)
  if not hands.await or not hands.send then
    return false, "the gateway cannot send what is parked"
  end

  local ticket, message = gate:submit_park(send.gateway, send.business, send.body)
  if not ticket then
    return false, message
  end

  local state, result
  state, result = hands.await(ticket)
  if state == "timeout" then
    -- It may be parked or not: nothing else is tried, or the customer might get it twice.
    platform_error(action, 503, UNAVAILABLE, "It is not known whether the message was parked. Try again later.")
    return true
  end

  if state ~= "done" then
    return false, result or state
  end

  return taken(action, 202, step.to, "csw.parked." .. json_number(gate:parcel(ticket).id), "parked")
end


-- What becomes of a send that may not go out: the first step that can serve it, else the platform's own answer.
function _M.run(gate, send, action, hands)
  local passed_over = {}
  if CLOSED_REASONS[action.reason] and not send.parked then
    local index = 0
    repeat
      local ok, step, message = pcall(gate.instead, gate, send.business, send.body, send.at, index)
      index = index + 1
      step = ok and step or { kind = "block", unfit = tostring(ok and message or step) }
      local served, why = false, step.unfit
      if not why and STEPS[step.kind] then
        ok, served, why = pcall(STEPS[step.kind], gate, send, step, action, hands)
        served, why = ok and served, ok and why or tostring(served)
      end

      if served then
        action.instead = step.step
        action.headers["X-CSW-Instead"] = header(step.step)
      elseif why then
        passed_over[#passed_over + 1] = format("%s: %s", step.step or step.kind, why)
      end
    until served or step.kind == "block" or index == MOST_STEPS
  end

  action.passed_over = passed_over[1] and concat(passed_over, "; ")
  if not action.instead then
    local denial = DENIALS[action.reason] or DENIALS.window_closed
    platform_error(action, 400, denial.error, denial.details)
  end

  return action
end


-- Codes after which the message may be sent once what is wrong has been mended (Meta, Error codes): throttling, an
-- expired token or a missing permission, an account or number that is locked, not registered, or not paid for.
local function is_for_later(status, code)
  return status == 429 or status == 401 or status == 403 or LATER[code] or code and code >= 200 and code < 300
end


-- What became of a message, by the answer to its send, and why. What the guard has not seen cannot have gone out; where
-- nobody can tell whether the platform has it, it is given up, since a message must not go out twice.
local function fate_of(status, headers, body)
  if not status then
    return "lost", body or "no answer came"
  end

  if status >= 200 and status <= 299 then
    return "sent"
  end

  if headers["x-csw-reached"] == "no" then
    return "later", headers["x-csw-why"] or "the platform was not reached"
  end

  local verdict, reason = headers["x-csw-verdict"], headers["x-csw-reason"]
  if not verdict then
    return "later", "answered " .. status .. " by something else than the guard: is the gateway's own address right?"
  end

  if verdict == "deny" then
    return LATER_REASONS[reason] and "later" or "closed", reason
  end

  local code = tonumber(match(body or "", '"code"%s*:%s*(%d+)'))
  local why = "the platform answered " .. status .. (code and ", code " .. code or "")
  if code == CLOSED.code or code == OLDER_CLOSED_CODE then
    return "closed", why
  end

  if is_for_later(status, code) then
    return "later", why
  end

  return status < 500 and "refused" or "lost", why
end


-- Read anew for each send: tokens are rotated.
local function token_of(path)
  local file, message = open(path, "rb")
  if not file then
    return nil, message
  end

  local token = match(file:read("*a") or "", "^%s*(%S+)%s*$")
  file:close()

  return token, not token and "it does not hold one token" or nil
end


-- A send of our own, with the number's access token: what became of it, and why.
local function send_own(gate, send, hands)
  local path = gate:settings(send.business).token_file
  local token, message
  if path then
    token, message = token_of(path)
    if not token then
      return "later", "token_file: " .. message
    end
  end

  return fate_of(hands.send(send, token))
end


-- For a message that the platform took and then refused: sends it once more where the customer has written since, else
-- runs the closed branch.
local function again(gate, send, hands)
  local mode = gate:settings(send.business).mode
  local decision, message = gate:decide(send.business, send.body, send.at)
  if not decision then
    return "later", message
  end

  if mode ~= "enforce" then
    return "refused", "the number's mode is " .. mode
  end

  if decision.verdict == "allow" then
    send.parked = true
    return send_own(gate, send, hands)
  end

  hands = { forwards = true, await = hands.await, channel = hands.channel, send = hands.send }
  local action = { reason = "refused_by_platform", verdict = "deny", headers = {}, decision = decision }
  _M.run(gate, send, action, hands)
  if action.forward then
    local template = { gateway = send.gateway, business = send.business, body = action.forward, at = send.at,
      endpoint = "messages" }
    local fate, why = send_own(gate, template, hands)
    return fate, why, action.instead
  end

  return action.instead and "sent" or "refused", action.passed_over, action.instead
end


-- Waits for as long as a ticket lives: what was taken is to be sent, and what was sent to be told.
local function settled(hands, ticket)
  local state
  for _ = 1, MOST_WAITS do
    state = hands.await(ticket)
    if state ~= "timeout" then
      break
    end
  end

  return state == "done"
end


---@class csw.Drained
---@field line string      what became of a message, as one line of JSON
---@field trouble boolean  somebody should look at it

--- Takes up what there is to do outside of requests: sends what was parked and may go out now, in order; sends the
--- nudges of new backlogs; and runs the closed branch for messages that the platform refused afterwards. For a task of
--- the host's, now and then: `gate:due(gateway)` tells at no cost whether there is anything. Several may run at once;
--- each ends after some seconds, so that whoever asked can be told.
---@param gate csw.Gate
---@param gateway string
---@param hands csw.Hands  with `await` and `send`
---@param at integer?      Unix ms; nil is the wall clock
---@return integer sent    how many messages went out
---@return csw.Drained[] log
function _M.drain(gate, gateway, hands, at)
  local sent, log = 0, {}
  local deadline = now() + DRAIN_FOR
  while now() < deadline do
    local ticket = gate:submit_take(gateway, at)
    if not ticket or not settled(hands, ticket) then
      break
    end

    local parcel = gate:parcel(ticket)
    if not parcel then
      -- So much may have been looked through in vain that the rest is for the next time.
      if not gate:due(gateway) then
        break
      end

    else
      local send = {
        gateway = gateway,
        business = parcel.business,
        body = parcel.body,
        at = at,
        endpoint = "messages",
        parked = parcel.kind == "parked",
      }
      local ok, fate, why, instead
      if parcel.kind == "refused" then
        ok, fate, why, instead = pcall(again, gate, send, hands)

      else
        ok, fate, why = pcall(send_own, gate, send, hands)
      end
      if not ok then
        fate, why = "lost", tostring(fate)
      end

      sent = sent + (fate == "sent" and 1 or 0)
      log[#log + 1] = {
        line = answers.parcel_line(gateway, parcel, fate, why, instead),
        trouble = fate == "later" or fate == "lost" or fate == "refused",
      }
      ticket = gate:submit_return(parcel, fate)
      if not ticket or not settled(hands, ticket) then
        break
      end
    end
  end

  return sent, log
end


return _M
