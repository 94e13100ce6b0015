--- csw in HAProxy: actions for sends and for the platform's answers to them, a filter that puts another body in place
--- of a send's own, and services for webhooks and for the window. They translate; guard decides.
---
--- It is loaded with `lua-load-per-thread`: each thread has a Lua of its own and waits for no other, while the library
--- is in the process once and shares one store among them. Under `lua-load` all threads would queue for one Lua, and
--- filters would enter it without queueing (2.6), which breaks it.

local closed = require "csw.closed"
local csw    = require "csw"
local guard  = require "csw.guard"
local lends  = require "csw.haproxy_hands"

local char     = string.char
local concat   = table.concat
local find     = string.find
local gmatch   = string.gmatch
local gsub     = string.gsub
local match    = string.match
local pairs    = pairs
local pcall    = pcall
local tonumber = tonumber
local tostring = tostring

local core, filter = core, filter


-- The path of a send, with and without a version: the business phone number id, and which of the two endpoints.
local SEND_PATHS = { "^/v%d+%.%d+/(%d+)/([%a_]+)$", "^/(%d+)/([%a_]+)$" }
local ENDPOINTS = { messages = true, marketing_messages = true }

-- What the library takes.
local MAX_BODY = 3 * 1024 * 1024

-- How often to look whether there is anything to do outside of requests.
local DUE_MS = 1000

-- What was decided travels in variables of the transaction, for ACLs and logs, and to the answer's headers.
local VARIABLES = {
  ["txn.csw_verdict"]        = "X-CSW-Verdict",
  ["txn.csw_reason"]         = "X-CSW-Reason",
  ["txn.csw_window_expires"] = "X-CSW-Window-Expires",
  ["txn.csw_conversation"]   = "X-CSW-Conversation",
  ["txn.csw_charge"]         = "X-CSW-Charge",
  ["txn.csw_instead"]        = "X-CSW-Instead",
  ["txn.csw_note"]           = "X-CSW-Note",
}


local options = { loopback_only = true }
local gate
local test_clock

-- Of a send on whose way the filter is, which can put another body in place of its own; and of one without it.
local forwarding, hands

local _M = {}


local function log(level, ...)
  core.log(level, "csw: " .. concat({ ... }))
end


local function decoded(text)
  return (gsub(gsub(text, "+", " "), "%%(%x%x)", function(hex)
    return char(tonumber(hex, 16))
  end))
end


-- The arguments of a query. One that stands there twice has no value.
local function arguments_of(query)
  local arguments = {}
  for name, value in gmatch(query or "", "([^&=]+)=?([^&]*)") do
    name = decoded(name)
    arguments[name] = arguments[name] == nil and decoded(value)
  end

  return arguments
end


-- The time to decide for: the wall clock, or what a test or story asks for.
local function time_of(header)
  return test_clock and header and guard.time(header) or nil
end


local function settle(decision, status, body, at)
  local ok, ticket, message = pcall(gate.submit_settle, gate, decision, status, body, at)
  if not ok or not ticket then
    log(core.err, "what became of a send is not recorded: ", tostring(ok and message or ticket))
  end
end


local function keep(token, status, response, body)
  local ok, ticket, message = pcall(gate.submit_keep, gate, "haproxy", token, status, response, body)
  if not ok or not ticket then
    log(core.err, "the body of a send is not kept: ", tostring(ok and message or ticket))
  end
end


local function send_path(path)
  for _, pattern in ipairs(SEND_PATHS) do
    local business, endpoint = match(path or "", pattern)
    if ENDPOINTS[endpoint] then
      return business, endpoint
    end
  end
end


-- The body, where the buffer holds it to its end. `wait-for-body` has answered what stayed away; what is not whole now
-- does not fit, and csw decides on nothing of which it has seen a part.
local function whole_body(txn)
  if tonumber(txn.f:internal_htx_has_eom()) ~= 1 then
    return nil, "the body does not fit into the gateway's buffer", "too_large"
  end

  return txn.f:req_body() or ""
end


local function decide(txn, send)
  local fetch, http = txn.f, txn.http
  local body, message, code = whole_body(txn)
  if not body then
    return guard.undecided(gate, send, message, code, options.fail)
  end

  local content_type = guard.content_type(body)
  local objection = guard.objection(fetch:method(), arguments_of(fetch:query()), fetch:req_fhdr("content-type"),
    not content_type)
  if objection then
    return guard.undecided(gate, send, objection, "body", options.fail)
  end

  send.body = body
  local action = guard.send(gate, send, txn:get_var("txn.csw_forwards") and forwarding or hands, options.fail)
  if action.pass then
    -- The platform reads what csw has read, and answers so that csw can read it.
    http:req_set_header("Content-Type", content_type or "application/json")
    http:req_del_header("Content-Encoding")
    if not content_type then
      http:req_set_header("Content-Encoding", "gzip")
    end
    http:req_del_header("Accept-Encoding")
  end

  -- The filter puts it in place of the body that is in the buffer.
  if action.forward then
    http:req_set_header("Content-Type", "application/json")
    http:req_del_header("Content-Encoding")
    http:req_del_header("Transfer-Encoding")
    http:req_set_header("Content-Length", tostring(#action.forward))
    txn:set_var("txn.csw_forward", action.forward)
  end

  return action
end


-- Ends the request with an answer; nothing after it runs.
local function reply(txn, status, headers, body)
  local lists = {}
  for name, value in pairs(headers) do
    lists[name] = { value }
  end

  txn:done({ status = status, headers = lists, body = body })
end


-- `http-request lua.csw_send`. An error in an action would let the request go on, so none leaves this one: until
-- `txn.csw_pass` is set, the send is not to go on.
local function send_action(txn)
  local business, endpoint = send_path(txn.f:path())
  if not business then
    return reply(txn, 404, {}, "")
  end

  local send = {
    gateway = "haproxy",
    business = business,
    at = time_of(txn.f:req_fhdr("x-csw-at")),
    endpoint = endpoint,
    parked = txn.f:req_fhdr("x-csw-parked") ~= nil,
  }
  local ok, action = pcall(decide, txn, send)
  if not ok then
    action = guard.undecided(gate, send, tostring(action), nil, options.fail)
  end

  if action.fault then
    log(core.err, "send ", action.pass and "passed" or "refused", " without a decision: ", action.fault)
  end
  for variable, name in pairs(VARIABLES) do
    if action.headers[name] then
      txn:set_var(variable, action.headers[name])
    end
  end
  txn:set_var("txn.csw_log", action.log)

  if action.stopped then
    settle(action.stopped, 400, "", send.at)
  end
  if not action.pass then
    -- The ledger counts what was stopped as well.
    if action.decision then
      settle(action.decision, action.status, "", send.at)
    end
    return reply(txn, action.status, action.headers, action.body)
  end

  if action.decision then
    txn:set_var("txn.csw_token", action.decision.token)
  end
  if action.keep then
    txn:set_var("txn.csw_kept", send.body)
  end
  if send.at then
    txn:set_var("txn.csw_at", tostring(send.at))
  end
  txn:set_var("txn.csw_pass", true)
end


-- `http-response lua.csw_settle`: tells the client what csw decided, and records what the platform answered. It never
-- waits.
local function settle_action(txn)
  if not txn:get_var("txn.csw_verdict") then
    return
  end

  for variable, name in pairs(VARIABLES) do
    local value = txn:get_var(variable)
    txn.http:res_del_header(name)
    if value then
      txn.http:res_add_header(name, value)
    end
  end

  txn:set_var("txn.csw_settled", true)
  local token = txn:get_var("txn.csw_token")
  if token then
    local status, response, kept = txn.f:status(), txn.f:res_body() or "", txn:get_var("txn.csw_kept")
    settle(token, status, response, guard.time(txn:get_var("txn.csw_at")))
    if kept then
      keep(token, status, response, kept)
    end
  end
end


-- `filter lua.csw_body`: puts another body in place of the one that `csw_send` has read to its end.
local Body = { id = "csw_body", flags = filter.FLT_CFG_FL_HTX }
Body.__index = Body


function Body.new()
  return setmetatable({}, Body)
end


-- So that `csw_send` knows that the filter is on the way of this request.
function Body.start_analyze(_, txn, channel)
  if not channel:is_resp() then
    txn:set_var("txn.csw_forwards", true)
  end
end


function Body:http_headers(txn, message)
  self.body = not message:is_resp() and txn:get_var("txn.csw_forward") or nil
  if self.body then
    filter.register_data_filter(self, message.channel)
  end
end


function Body:http_payload(_, message)
  local body = self.body
  self.body = nil
  if not body then
    message:remove()

  elseif message:set(body) ~= #body then
    return filter.ERROR
  end
end


local function answer(applet, action)
  applet:set_status(action.status)
  for name, value in pairs(action.headers) do
    applet:add_header(name, value)
  end
  applet:add_header("Content-Length", #action.body)
  applet:start_response()
  applet:send(action.body)
end


local function header_of(applet, name)
  local values = applet.headers[name]

  return values and values[0]
end


-- `receive` may give less than it was asked for, and nothing at the end alone.
local function posted_body(applet)
  local pieces, size = {}, 0
  repeat
    local piece = applet:receive(MAX_BODY + 1 - size)
    size = size + #piece
    pieces[#pieces + 1] = piece
  until piece == "" or size > MAX_BODY

  if size > MAX_BODY then
    return nil, "the body is larger than 3 MiB", "too_large"
  end

  -- Copying a large body takes its time: most come whole.
  return #pieces > 2 and concat(pieces) or pieces[1]
end


-- Records a webhook: its body once the events are on disk.
local function ingest(applet)
  if not gate then
    return nil, "the gate is not open"
  end

  local body, message, code = posted_body(applet)
  if not body then
    return nil, message, code
  end

  -- Receiving and submitting copy it: not both while others wait.
  core.yield()
  local ticket
  ticket, message, code = gate:submit_ingest(body, header_of(applet, "x-hub-signature-256"),
    time_of(header_of(applet, "x-csw-at")))
  if not ticket then
    return nil, message, code
  end

  local state, result
  state, result, code = hands.await(ticket)
  if state ~= "done" then
    return nil, result or state, code
  end

  for _, place in ipairs(result and result.unreadable or {}) do
    log(core.warning, "a part of a webhook cannot be read: ", place)
  end

  return body
end


-- What the application behind csw answers to a webhook, byte by byte as it came.
local function forward(applet, body)
  local headers = {}
  for _, name in ipairs({ "content-type", "x-hub-signature", "x-hub-signature-256" }) do
    headers[name] = header_of(applet, name)
  end

  local status, answered, text = lends.post(options.application, headers, body)
  return { status = status or 502, headers = { ["Content-Type"] = answered["content-type"] }, body = text or "" }
end


-- `http-request use-service lua.csw_webhook`: the handshake, and webhooks, which are answered once they are on disk.
local function webhook_service(applet)
  if applet.method == "GET" then
    local arguments = arguments_of(applet.qs)
    return answer(applet, guard.handshake(gate, arguments["hub.mode"], arguments["hub.verify_token"],
      arguments["hub.challenge"]))
  end

  if applet.method ~= "POST" then
    return answer(applet, { status = 405, headers = { Allow = "GET, POST" }, body = "" })
  end

  local ok, body, message, code = pcall(ingest, applet)
  if not ok or not body then
    local action = guard.refuse_webhook(tostring(ok and message or body), code)
    log(action.status == 503 and core.err or core.warning, "webhook not recorded: ", action.fault)
    return answer(applet, action)
  end

  if options.application then
    return answer(applet, forward(applet, body))
  end
  answer(applet, { status = 200, headers = { ["Content-Type"] = "text/plain" }, body = "" })
end


-- `http-request use-service lua.csw_window`: open or closed, for workflow tools of this host.
local function window_service(applet)
  local address = applet.sf:src()
  local loopback = address == "" or address == "::1" or find(gsub(address, "^::ffff:", ""), "^127%.")
  if options.loopback_only and not loopback then
    return answer(applet, { status = 403, headers = {}, body = "" })
  end

  local arguments = arguments_of(applet.qs)
  answer(applet, guard.window(gate, arguments.business, arguments.customer, arguments.at))
end


-- In the worker: opens the store while no request waits, and does what there is to do outside of requests.
local function background()
  local ok, state, message = pcall(gate.check, gate, "1", "000")
  if not ok or not state then
    log(core.err, "the store cannot be used yet: ", tostring(ok and message or state))
  end

  while hands.send do
    core.msleep(DUE_MS)
    local due
    ok, due = pcall(gate.due, gate, "haproxy")
    if ok and due then
      local drained
      ok, due, drained = pcall(closed.drain, gate, "haproxy", forwarding)
      for _, told in ipairs(ok and drained or {}) do
        core.log(told.trouble and core.err or core.info, told.line)
      end
    end
    if not ok then
      log(core.err, "what was parked is not sent: ", tostring(due))
    end
  end
end


--- For a file of `lua-load-per-thread`: reads csw.toml and registers the actions `csw_send` and `csw_settle`, the
--- filter `csw_body`, and the services `csw_webhook` and `csw_window`.
---
--- It runs as root and before the chroot, so csw.toml and the secrets may lie where only root reads them. The store is
--- opened by the worker: as HAProxy's user, and inside the chroot.
---@param path string  csw.toml
---@param opts? { fail?: "open"|"closed", loopback_only?: boolean, own?: string, application?: string }
---  fail: what sends do while csw.toml cannot be read; without it HAProxy does not start then, and a reload is refused;
---  loopback_only: false lets `csw_window` answer other hosts (default true);
---  own: where this HAProxy takes sends ("http://127.0.0.1:8080/v23.0"), for those of csw's own;
---  application: the URL that gets each webhook once it is on disk, and whose answer goes back to the platform
function _M.start(path, opts)
  if core.thread == 0 then
    error("csw.haproxy.start: load this file with lua-load-per-thread, not with lua-load", 2)
  end

  local known = { fail = true, loopback_only = true, own = true, application = true }
  for name, value in pairs(opts or {}) do
    if not known[name] then
      error("csw.haproxy.start: no option is called " .. tostring(name), 2)
    end
    options[name] = value
  end
  if options.own and not match(options.own, "^https?://[^/]+") then
    error("csw.haproxy.start: own is " .. options.own .. "; expected where sends are taken, such as"
      .. " \"http://127.0.0.1:8080/v23.0\"", 2)
  end

  local message
  gate, message = csw.open(path)
  if not gate and not options.fail then
    error("csw: " .. message, 0)
  end
  if not gate then
    log(core.alert, "cannot open the gate, sends fail ", options.fail, " and webhooks are answered 503: ", message)
  end
  options.fail = options.fail or "closed"
  test_clock = gate and gate:settings().test_clock
  hands, forwarding = lends.of(gate, options.own), lends.of(gate, options.own)
  forwarding.forwards = true

  core.register_action("csw_send", { "http-req" }, send_action)
  core.register_action("csw_settle", { "http-res" }, settle_action)
  core.register_filter("csw_body", Body, function(instance) return instance end)
  core.register_service("csw_webhook", "http", webhook_service)
  core.register_service("csw_window", "http", window_service)

  -- Once in the process.
  if gate and core.thread == 1 then
    core.register_task(background)
  end
end


--- This thread's gate, for Lua of your own.
---@return csw.Gate?  nil where csw.toml could not be read
function _M.gate()
  return gate
end


return _M
