--- What csw reads in Prosody's stanzas, and how it answers with them. Nothing is decided here; the module that Prosody
--- loads is mod_csw.

local guard    = require "csw.guard"
local datetime = require "util.datetime"
local hashes   = require "util.hashes"
local jid      = require "util.jid"
local json     = require "util.json"
local st       = require "util.stanza"
local xml      = require "util.xml"

local concat   = table.concat
local floor    = math.floor
local format   = string.format
local gmatch   = string.gmatch
local ipairs   = ipairs
local match    = string.match
local pairs    = pairs
local pcall    = pcall
local tonumber = tonumber
local tostring = tostring
local type     = type


local CSW = "urn:csw:whatsapp"
local DELAY = "urn:xmpp:delay"
local MARKERS = "urn:xmpp:chat-markers:0"
local REACTIONS = "urn:xmpp:reactions:0"
local RECEIPTS = "urn:xmpp:receipts"
local STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
local TEST = "urn:csw:test"


local function words(text)
  local set = {}
  for word in gmatch(text, "%S+") do
    set[word] = true
  end

  return set
end


-- What a message may hold without saying anything to the customer: it passes, as typing and receipts do.
local ASIDES = {
  ["http://jabber.org/protocol/chatstates"] = words "active composing gone inactive paused",
  ["urn:xmpp:hints"] = words "no-copy no-permanent-store no-store store",
  ["urn:xmpp:sid:0"] = words "origin-id stanza-id",
  [MARKERS] = words "acknowledged displayed markable received",
  [RECEIPTS] = words "received request",
  [TEST] = words "csw",
}

-- What may come with a body and is no message of the customer's own: copies, edits, reactions, and what is taken back.
local NO_ACTS = {
  ["urn:xmpp:carbons:2"] = words "received sent",
  ["urn:xmpp:fasten:0"] = words "apply-to",
  ["urn:xmpp:forward:0"] = words "forwarded",
  ["urn:xmpp:mam:2"] = words "result",
  ["urn:xmpp:message-correct:0"] = words "replace",
  ["urn:xmpp:message-retract:0"] = words "retract retracted",
  ["urn:xmpp:message-retract:1"] = words "retract retracted",
  [REACTIONS] = words "reactions",
}

-- Nor is what is said to many.
local TO_MANY = words "groupchat headline"

-- By RFC 6120 policy-violation is `wait` or `modify`, never `cancel` (8.3.3.12). A closed window is `wait`: the same
-- message may go out once the customer has written. Elsewhere it must become another message: `modify`.
local CLOSED = { type = "wait", condition = "policy-violation", element = "window-closed" }
local UNREADABLE = { type = "modify", condition = "bad-request", element = "stopped" }
local OTHERWISE = { type = "modify", condition = "policy-violation", element = "stopped" }
local ERRORS = {
  window_closed = CLOSED,
  never_seen = CLOSED,
  refused_by_platform = CLOSED,
  body = UNREADABLE,
  invalid = UNREADABLE,
  not_json = UNREADABLE,
  number_not_enabled = { type = "cancel", condition = "not-allowed", element = "stopped" },
  fault_closed = { type = "wait", condition = "resource-constraint", element = "stopped" },
}


---@class csw.prosody.Options
---@field path string  csw.toml
---@field fail "open"|"closed"
---@field business table<string, string>  the numbers, by who writes from them
---@field business_of fun(user: string): string?
---@field template csw.prosody.Template

---@class csw.prosody.Template  the element that the component sends as a template, and its attributes
---@field xmlns string?   nil: no message is a template
---@field element string
---@field name string
---@field language string

---@class csw.prosody.Told  what a stanza of the component's tells of a customer
---@field kind "customer_message"|"delivered"|"read"|"failed"
---@field id string?    the stanza's own
---@field about string? the id of the message of ours that it is about
---@field at integer?   when it happened, where that is not now
---@field code integer? the platform's

local _M = {}


local function is_listed(tag, list)
  local names = list[tag.attr.xmlns]

  return names and names[tag.name]
end


local function has_any(stanza, list)
  for _, tag in ipairs(stanza.tags) do
    if is_listed(tag, list) then
      return true
    end
  end

  return false
end


--- What prosody.cfg.lua says of the component.
---@param module table  Prosody's
---@return csw.prosody.Options
function _M.options(module)
  local fail = module:get_option_string("csw_fail", "closed")
  if fail ~= "open" and fail ~= "closed" then
    module:log("error", "csw_fail is neither \"open\" nor \"closed\", and taken for \"closed\"")
    fail = "closed"
  end

  local numbers = {}
  local business = module:get_option("csw_business")
  for user, number in pairs(type(business) == "table" and business or { ["*"] = business }) do
    numbers[jid.prep(user) or user] = tostring(number)
  end

  return {
    path = module:get_option_string("csw_config", "/etc/csw.toml"),
    fail = fail,
    business = numbers,
    business_of = function(user)
      return numbers[user] or numbers[jid.host(user)] or numbers["*"]
    end,
    template = {
      xmlns = module:get_option_string("csw_template_xmlns"),
      element = module:get_option_string("csw_template_element", "template"),
      name = module:get_option_string("csw_template_name", "name"),
      language = module:get_option_string("csw_template_language", "language"),
    },
  }
end


--- Whether a message says nothing to the customer.
function _M.is_aside(stanza)
  for _, tag in ipairs(stanza.tags) do
    if not is_listed(tag, ASIDES) and (tag.name ~= "thread" or tag.attr.xmlns) then
      return false
    end
  end

  return true
end


--- A name of fixed length for what others name as they like.
---@param ... string
---@return string
function _M.digest(...)
  return hashes.sha256(concat({ ... }, "\0"), true)
end


--- The time that a test or story sets, in Unix ms.
function _M.clock(stanza)
  local clock = stanza:get_child("csw", TEST)

  return clock and guard.time(clock.attr.at) or nil
end


--- A message as the Cloud API would have it. Its text is the whole stanza, so that a parked one comes back whole.
---@param customer string
---@param template csw.prosody.Template
---@return string
function _M.body(stanza, customer, template)
  local reactions = stanza:get_child("reactions", REACTIONS)
  if reactions and not stanza:get_child("body") then
    return json.encode({ messaging_product = "whatsapp", to = customer, type = "reaction",
      reaction = { message_id = reactions.attr.id or "", emoji = reactions:get_child_text("reaction") or "" } })
  end

  local element = template.xmlns and stanza:get_child(template.element, template.xmlns)

  return guard.body({
    to = customer,
    text = tostring(stanza),
    template = element and element.attr[template.name],
    language = element and element.attr[template.language],
  })
end


--- The stanza that a body was made of, and its customer; nil for other bodies.
function _M.unparked(body)
  local message = json.decode(body)
  local stanza = message and message.text and xml.parse(message.text.body)

  return stanza, stanza and message.to
end


--- The error that a stopped message is answered with.
---@param action csw.Action
function _M.bounced(stanza, action)
  local said = json.decode(action.body).error
  local how = ERRORS[action.reason] or OTHERWISE

  return st.error_reply(stanza, how.type, how.condition, said.message .. ": " .. said.error_data.details)
    :tag(how.element, { xmlns = CSW, reason = action.reason, code = format("%d", said.code) })
end


-- The platform's code in an error: of an element such as our own, in the platform's words, or of the error itself.
local function code_of(stanza)
  local err = stanza:get_child("error")
  if not err then
    return nil
  end

  local code
  for _, tag in ipairs(err.tags) do
    code = code or tag.attr.code
  end
  code = code or match(err:get_child_text("text", STANZAS) or "", "%(#(%d+)%)") or err.attr.code

  return code and tonumber(match(code, "^%d%d?%d?%d?%d?%d?%d?$"))
end


-- What is said of a message of ours, and of which.
local function receipt_of(stanza)
  local received = stanza:get_child("received", RECEIPTS) or stanza:get_child("received", MARKERS)
  local displayed = stanza:get_child("displayed", MARKERS)

  return displayed and "read" or received and "delivered", (displayed or received or stanza).attr.id
end


-- When the customer wrote, where that is not now (XEP-0203). Dates beyond the system's own are errors of Lua's.
local function delay_of(stanza)
  local delay = stanza:get_child("delay", DELAY)
  local ok, seconds = pcall(datetime.parse, delay and delay.attr.stamp)

  return ok and seconds and floor(seconds) * 1000 or nil
end


--- What a stanza from a customer's address tells; nil where it tells nothing.
---@return csw.prosody.Told?
function _M.told(stanza)
  if stanza.attr.type == "error" then
    return { kind = "failed", about = stanza.attr.id, code = code_of(stanza) }
  end

  if TO_MANY[stanza.attr.type] or has_any(stanza, NO_ACTS) then
    return nil
  end

  if stanza:get_child("body") then
    return { kind = "customer_message", id = stanza.attr.id, at = delay_of(stanza) }
  end

  local kind, about = receipt_of(stanza)
  return kind and { kind = kind, about = about }
end


return _M
