--- csw in Prosody 0.12: a module of the component that carries messages to WhatsApp.
---
---   Component "whatsapp.example.com"
---     component_secret = "..."
---     modules_enabled = { "csw" }
---     csw_config = "/etc/csw.toml"
---     csw_business = "106540352242922"
---
--- What goes to the component is decided on; what comes from it is on disk before it is delivered. csw.prosody
--- translates, guard decides. Whatever else is missing or wrong, the module loads: without it the component is not
--- guarded.

local async = require "util.async"
local id    = require "util.id"
local jid   = require "util.jid"
local st    = require "util.stanza"
local time  = require "util.time"

local error    = error
local format   = string.format
local ipairs   = ipairs
local min      = math.min
local pairs    = pairs
local pcall    = pcall
local tostring = tostring

if module:get_host_type() ~= "component" then
  error("csw guards a component: name it in modules_enabled of the component's own section, and nowhere else", 0)
end

local hosts = prosody.hosts
local is_installed, stanzas = pcall(require, "csw.prosody")
local closed = is_installed and require "csw.closed"
local guard  = is_installed and require "csw.guard"


local FLUSH_DEADLINE = 2000 -- ms
local RECORD_DEADLINE = 5 -- seconds
local FIRST_SLEEP, LONGEST_SLEEP = 0.001, 0.008
local SETTLE_CHECK = 0.05
local DRAIN_EVERY = 1

-- Ahead of whatever could carry a message to the component, or deliver one of its own.
local PRIORITY = 1000

local ADDRESSES = "http://jabber.org/protocol/address"


local options = { fail = "closed" }
local gate
local test_clock
local last_attempt
local last_failure

-- The component's stanzas, in the order in which they came, until what they tell is on disk: { stanza=, origin=,
-- deadline=, event=, gate=, ticket= }.
local waiting = { first = 1, last = 0 }
local is_pumping

-- Stanzas on their way for the second time.
local passed = setmetatable({}, { __mode = "k" })


-- The first use opens the store, which may take a moment: before a stanza waits for it, and once Prosody is a daemon.
local function use_store()
  local state, message = true, nil
  if gate then
    state, message = gate:check("1", "000")
  end
  if not state then
    module:log("error", "the store cannot be used yet: %s", message)
  end
end


local function open_gate()
  if not is_installed then
    return nil, stanzas
  end

  options = stanzas.options(module)
  local opened, message = require("csw").open(options.path)
  if not opened then
    return nil, message
  end

  test_clock = opened:settings().test_clock
  for _, business in pairs(options.business) do
    local settings
    settings, message = opened:settings(business)
    if not settings then
      module:log("error", "csw_business cannot be used: %s", message)
    end
  end

  return opened
end


-- Opens csw.toml, or opens it anew. Where it cannot be opened, the gate stays what it was.
local function open()
  last_attempt = time.now()
  local ok, opened, message = pcall(open_gate)
  if ok and opened then
    gate = opened
    if last_failure then
      last_failure = nil
      module:log("info", "the gate is open now")
    end
    if prosody.start_time then
      use_store()
    end
    return
  end

  message = tostring(ok and message or opened)
  if message ~= last_failure then
    last_failure = message
    module:log("error", "cannot open the gate, %s: %s", gate and "it stays as it was"
      or "sends fail " .. options.fail .. " and nothing is recorded", message)
  end
end


-- While the gate cannot be opened, one attempt a second; a failure is logged once.
local function current_gate()
  if not gate and time.now() - last_attempt >= 1 then
    open()
  end

  return gate
end


local function is_component(origin)
  return origin.type == "component" and origin.host == module.host
end


-- Whether there is somebody to carry a message on: Prosody itself bounces it where there is not.
local function is_connected()
  local external = hosts[module.host].modules.component

  return not external or external.connected ~= false
end


-- A message's id in the books: its stanza's own is unique for its sender and customer at best, and of any length.
local function message_id(sender, customer, stanza_id)
  return stanzas.digest(jid.bare(sender) or "", jid.node(customer), stanza_id)
end


local function settle(action, status, answer, at)
  if not action.decision then
    return nil
  end

  local ticket, message = gate:submit_settle(action.decision, status, answer, at)
  if not ticket then
    module:log("error", "what became of a message is not recorded: %s", message)
  end
  return ticket
end


local function accept(action, message, at)
  return settle(action, 200, format('{"messages":[{"id":"%s"}]}', message), at)
end


-- Logs a decision, and has it recorded. What passes is accepted until the component says otherwise.
local function conclude(stanza, action, at)
  module:log("info", "%s", action.log)
  if action.fault then
    module:log("error", "a message was %s without a decision: %s", action.pass and "passed" or "stopped", action.fault)
  end

  if not action.pass then
    settle(action, action.status, "", at)
    return
  end

  local attr = stanza.attr
  local ticket = accept(action, attr.id and message_id(attr.from, attr.to, attr.id) or id.medium(), at)
  if not ticket then
    return
  end

  -- Senders choose the ids of their stanzas, and may choose one twice: that is another message all the same.
  local settling = gate
  module:add_timer(SETTLE_CHECK, function()
    local state, result = settling:poll(ticket)
    if state == "pending" then
      return SETTLE_CHECK
    end
    if state == "done" and result and result.repeated then
      accept(action, id.medium(), at)
    end
  end)
end


-- For messages that came by a stream of a client's or of another server's, where Prosody can wait.
local HANDS = {}


function HANDS.await(ticket)
  local deadline, delay = time.now() + RECORD_DEADLINE, FIRST_SLEEP
  local state, result, code
  repeat
    async.sleep(delay)
    delay = min(delay * 2, LONGEST_SLEEP)
    if not gate then
      return "failed", "the gate is closed"
    end
    state, result, code = gate:poll(ticket)
  until state ~= "pending" or time.now() >= deadline

  return state, result, code
end


-- A parked message, on its way at last.
function HANDS.send(send)
  local stanza = stanzas.unparked(send.body)
  if not stanza then
    return 400, {}, ""
  end

  if not is_connected() then
    return 503, { ["x-csw-reached"] = "no" }, ""
  end

  local action = guard.send(gate, send, {}, options.fail)
  conclude(stanza, action, send.at)
  if not action.pass then
    local headers = {}
    for name, value in pairs(action.headers) do
      headers[name:lower()] = value
    end
    return action.status, headers, action.body
  end

  passed[stanza] = true
  module:send(stanza, hosts[jid.host(stanza.attr.from)])

  return 200, {}, ""
end


local function outgoing(event)
  local stanza, origin = event.stanza, event.origin
  if passed[stanza] or stanza.attr.type == "error" or is_component(origin) or not is_connected() then
    return
  end

  -- What is sent to the component itself is a command to it, unless it is to be spread from there (XEP-0033).
  local customer, is_spread = jid.node(stanza.attr.to), stanza:get_child("addresses", ADDRESSES)
  if not customer and not is_spread then
    return
  end

  if not is_installed then
    module:log("error", "a message was stopped: csw is not where Lua looks for it")
    origin.send(st.error_reply(stanza, "wait", "resource-constraint"))
    return true
  end

  if stanzas.is_aside(stanza) then
    return
  end

  local at = test_clock and stanzas.clock(stanza) or nil
  local business = options.business_of(jid.bare(stanza.attr.from))
  local send = { gateway = "prosody", business = business, at = at, endpoint = "messages" }
  local action
  if is_spread then
    action = guard.undecided(current_gate(), send, "A message to several addresses at once cannot be decided on."
      .. " Send it to each.", "body", options.fail)

  elseif not business then
    action = guard.undecided(current_gate(), send, "csw_business names no number for the sender", nil, options.fail)

  else
    send.body = stanzas.body(stanza, customer, options.template)
    action = guard.send(current_gate(), send, async.ready() and HANDS or {}, options.fail)
  end

  conclude(stanza, action, at)
  if action.pass then
    return
  end

  if action.status >= 400 then
    origin.send(stanzas.bounced(stanza, action))
  end
  return true
end


-- What a stanza of the component's tells, as an event to record.
local function event_of(stanza)
  local user, customer = jid.bare(stanza.attr.to), jid.node(stanza.attr.from)
  local business = options.business_of(user)
  local told = customer and business and stanzas.told(stanza)
  if not told then
    return nil
  end

  local event = {
    kind = told.kind,
    business = business,
    customer = customer,
    at = test_clock and stanzas.clock(stanza) or told.at,
    code = told.code,
  }
  if told.kind == "customer_message" then
    event.id = told.id and stanzas.digest(customer, told.id)
    return event
  end

  event.id = told.about and message_id(user, stanza.attr.from, told.about)
  return (event.id or event.code) and event
end


-- How the record of a waiting stanza stands. A full queue is asked again.
local function state_of(entry)
  if not entry.event then
    return "done"
  end

  local state, result, code
  if entry.ticket then
    state, result, code = entry.gate:poll(entry.ticket)

  else
    entry.ticket, result, code = entry.gate:submit_record(entry.event)
    state = (entry.ticket or code == "busy") and "pending" or "failed"
  end

  if state == "pending" and time.now() >= entry.deadline then
    return "timeout", "it was not on disk within " .. RECORD_DEADLINE .. " s"
  end
  return state, result, code
end


local function deliver_first()
  local entry = waiting[waiting.first]
  waiting[waiting.first] = nil
  waiting.first = waiting.first + 1

  passed[entry.stanza] = true
  local ok, message = pcall(module.send, module, entry.stanza,
    entry.origin.destroyed and hosts[module.host] or entry.origin)
  if not ok then
    module:log("error", "a message of the component's could not be delivered: %s", message)
  end
end


-- Delivers what is on record, in order, and tells when to look again. A message is delivered without its record rather
-- than lost: the component would not send it again.
local function pump()
  while waiting.first <= waiting.last do
    local entry = waiting[waiting.first]
    local state, result, code = state_of(entry)
    if state == "pending" then
      waiting.sleep = min(waiting.sleep * 2, LONGEST_SLEEP)
      return waiting.sleep
    end

    if state ~= "done" then
      module:log(code == "invalid" and "debug" or "error", "a message of the component's is delivered without a record:"
        .. " %s", result or state)

    elseif result and result.repeated and entry.event.kind == "customer_message" then
      module:log("warn", "the component gave two messages of a customer one id: the second opens no window")
    end

    waiting.sleep = FIRST_SLEEP
    deliver_first()
  end

  is_pumping = false
end


local function incoming(event)
  local stanza, origin = event.stanza, event.origin
  if stanza.name ~= "message" or passed[stanza] or not is_component(origin) then
    return
  end

  local record = current_gate() and event_of(stanza)
  if not record and waiting.first > waiting.last then
    return
  end

  local entry = {
    stanza = stanza,
    origin = origin,
    deadline = time.now() + RECORD_DEADLINE,
    event = record,
    gate = gate,
    ticket = record and gate:submit_record(record),
  }
  waiting.last = waiting.last + 1
  waiting[waiting.last] = entry
  if not is_pumping then
    is_pumping, waiting.sleep = true, FIRST_SLEEP
    module:add_timer(FIRST_SLEEP, pump)
  end

  return true
end


-- What was submitted reaches the disk, and what waits for it its users.
local function finish()
  local ok, message = true, nil
  if gate then
    ok, message = gate:flush(FLUSH_DEADLINE)
  end
  if not ok then
    module:log("error", "not everything is on disk yet: %s", message)
  end

  while waiting.first <= waiting.last do
    deliver_first()
  end
end


local function close()
  finish()
  if gate then
    gate:close()
    gate = nil
  end
end


-- What was parked goes out once its customer has written.
local drainer = async.runner(function()
  local _, log = closed.drain(gate, "prosody", HANDS)
  for _, message in ipairs(log) do
    module:log(message.trouble and "warn" or "info", "%s", message.line)
  end
end, { error = function(_, message)
  module:log("error", "what was parked could not be sent: %s", message)
end })


local function drain()
  if gate and drainer.state == "ready" and gate:due("prosody") then
    drainer:run(true)
  end

  return DRAIN_EVERY
end


local function hook_addresses(events, handler)
  for _, address in ipairs({ "bare", "full", "host" }) do
    module:hook_object_event(events, "message/" .. address, handler, PRIORITY)
  end
end


-- The component's messages are seen where they arrive: at each of this server's hosts, or on their way to another one.
local function watch(host)
  if host ~= module.host then
    hook_addresses(hosts[host].events, incoming)
  end
end


module.unload = close


hook_addresses(hosts[module.host].events, outgoing)
module:hook("route/remote", incoming, PRIORITY)
for host in pairs(hosts) do
  watch(host)
end
module:hook_global("host-activated", watch)

module:hook_global("server-started", use_store, -PRIORITY)
module:hook_global("config-reloaded", open)
module:hook_global("server-stopping", finish, PRIORITY)
module:hook_global("server-cleanup", close)

open()
module:add_timer(DRAIN_EVERY, drain)
