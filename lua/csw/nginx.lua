--- csw in nginx (lua-nginx-module): one function per phase. They translate; guard decides.
---
--- The library is loaded by the workers, in `init_worker`, never by the master: a master would
--- keep its code over every reload. Requiring this file loads no library.

local closed   = require "csw.closed"
local guard    = require "csw.guard"
local at_hand  = require "csw.nginx_hands"

local concat   = table.concat
local find     = string.find
local ipairs   = ipairs
local match    = string.match
local open     = io.open
local pairs    = pairs
local pcall    = pcall
local tonumber = tonumber
local tostring = tostring
local type     = type

local ngx = ngx
local ERR, NOTICE, WARN = ngx.ERR, ngx.NOTICE, ngx.WARN


-- A send's path: the business phone number id, and which of the two endpoints.
local SEND = "/(%d+)/([%a_]*messages)$"

-- What the library takes.
local MAX_BODY = 3 * 1024 * 1024

-- Of a platform's response; its answers to sends are below 1 KiB.
local MAX_RESPONSE = 64 * 1024

local WEBHOOK_DEADLINE = 5 -- seconds
local FLUSH_DEADLINE = 2000 -- ms
local DRAIN_EVERY = 1 -- second
local DRAINS = 8 -- at once

-- How much LuaJIT compiles in one piece: by its defaults less than the path of a send, which it would interpret then.
local COMPILES = { "maxrecord=30000", "maxirconst=8000", "maxsnap=5000", "loopunroll=60" }

-- Where `gate:record` and its like can wait for the disk by yielding.
local YIELDING = { rewrite = true, access = true, content = true, timer = true }

-- The decision travels in nginx variables, since `ngx.ctx` ends where `error_page` begins. Without a loop, which would
-- keep LuaJIT from compiling what is done for each send.
local function tell(var, headers)
  var.csw_verdict = headers["X-CSW-Verdict"] or ""
  var.csw_reason = headers["X-CSW-Reason"] or ""
  var.csw_window_expires = headers["X-CSW-Window-Expires"] or ""
  var.csw_conversation = headers["X-CSW-Conversation"] or ""
  var.csw_charge = headers["X-CSW-Charge"] or ""
  var.csw_instead = headers["X-CSW-Instead"] or ""
  var.csw_note = headers["X-CSW-Note"] or ""
end


-- nil, too, is set: no upstream speaks for csw.
local function filled(value)
  return value ~= "" and value or nil
end


local function retell(header, var)
  header["X-CSW-Verdict"] = filled(var.csw_verdict)
  header["X-CSW-Reason"] = filled(var.csw_reason)
  header["X-CSW-Window-Expires"] = filled(var.csw_window_expires)
  header["X-CSW-Conversation"] = filled(var.csw_conversation)
  header["X-CSW-Charge"] = filled(var.csw_charge)
  header["X-CSW-Instead"] = filled(var.csw_instead)
  header["X-CSW-Note"] = filled(var.csw_note)
end


local NOTHING = {}


local options = { fail = "closed", loopback_only = true, loopback = false }
local config_path
local gate
local test_clock
local last_attempt
local last_failure

local _M = {}


local function log(level, ...)
  ngx.log(level, "csw: ", ...)
end


-- From a timer: to a request's own lines nginx adds its request line, and with it tokens and numbers.
local function log_apart(level, ...)
  local message = concat({ ... })
  local ok = ngx.timer.at(0, function() log(level, message) end)
  if not ok then
    log(level, "a fault could not be logged: no timer is left")
  end
end


local function pause(seconds)
  if not YIELDING[ngx.get_phase()] then
    return nil, "the " .. ngx.get_phase() .. " phase of nginx cannot wait: use submit_*"
  end

  ngx.sleep(seconds)
  return true
end


local function open_gate()
  local csw = require "csw"
  csw.pause(pause)

  local opened, message = csw.open(config_path)
  if not opened then
    return nil, message
  end

  test_clock = opened:settings().test_clock

  -- The first use opens the store, which may take a moment: now, while no request waits.
  local state
  state, message = opened:check("1", "000")
  if not state then
    log(ERR, "the store cannot be used yet: ", message)
  end

  return opened
end


-- The worker's gate. While it cannot be opened, one attempt a second; a failure is logged once.
local function current_gate()
  if gate then
    return gate
  end

  local now = ngx.now()
  if not config_path or last_attempt and now - last_attempt < 1 then
    return nil
  end
  last_attempt = now

  local ok, opened, message = pcall(open_gate)
  if ok and opened then
    gate = opened
    if last_failure then
      log(NOTICE, "the gate is open now")
    end

    return gate
  end

  message = tostring(ok and message or opened)
  if message ~= last_failure then
    last_failure = message
    log(ERR, "cannot open the gate, sends fail ", options.fail, " and webhooks are answered 503: ",
      message)
  end

  return nil
end


-- The time to decide for: the wall clock, or what a test or story asks for.
local function request_time()
  return test_clock and guard.time(ngx.var.http_x_csw_at) or nil
end


-- Also when nginx put it into a file because it is larger than `client_body_buffer_size`.
local function request_body()
  ngx.req.read_body()

  local body = ngx.req.get_body_data()
  if body then
    return body
  end

  local path = ngx.req.get_body_file()
  if not path then
    return ""
  end

  local file, message = open(path, "rb")
  if not file then
    return nil, message
  end

  body = file:read(MAX_BODY + 1) or ""
  file:close()
  if #body > MAX_BODY then
    return nil, "the body is larger than 3 MiB", "too_large"
  end

  return body
end


-- Takes a header away, however often it stands there. Most requests have it not, and each touch of the list costs.
local function clear_header(name, value)
  if value then
    ngx.req.clear_header(name)
  end
end


local function answer(action)
  ngx.status = action.status
  for name, value in pairs(action.headers) do
    ngx.header[name] = value
  end
  ngx.header["Content-Length"] = #action.body
  ngx.print(action.body)

  return ngx.exit(ngx.HTTP_OK)
end


-- A query argument given exactly once and with a value.
local function argument(arguments, name)
  local value = arguments[name]

  return type(value) == "string" and value or nil
end


-- Waits for a ticket without holding up the worker.
local function await(ticket)
  return at_hand.await(gate, ticket, WEBHOOK_DEADLINE)
end


---@type csw.Hands
local hands = { forwards = true, await = await, channel = at_hand.channel }


-- Parked messages, and what else is to be done outside of requests. A request of our own does it, since subrequests
-- need one; while it lasts, the next second may begin another.
local drains = 0


local function drain_when_due(premature)
  if premature or drains >= DRAINS or not current_gate() then
    return
  end

  local due, message = gate:due("nginx")
  if due then
    drains = drains + 1
    local status, _, cause = at_hand.drain(options.loopback)
    drains = drains - 1
    message = status ~= 200 and (status ~= 503 and status and "location /csw/drain answered " .. status or cause)
  end
  if message then
    log(ERR, "parked messages cannot be sent: ", message)
  end
end


local function is_of_this_host()
  local address = ngx.var.remote_addr
  return find(address, "^127%.") or address == "::1" or find(address, "^unix:")
end


-- Whether the request comes from this host, or may come from elsewhere.
local function is_local()
  return not options.loopback_only or is_of_this_host()
end


--- For `init_worker_by_lua`: opens the gate in this worker.
---@param path string  csw.toml
---@param opts? { fail?: "open"|"closed", loopback_only?: boolean, loopback?: string }
---  fail: what sends do while csw.toml itself cannot be read (default "closed");
---  loopback_only: false lets `window` and `metrics` answer other hosts (default true);
---  loopback: this server's own address, with the path before the number ("http://127.0.0.1:8080/v23.0"), for what it
---  sends by itself: without it nothing is parked
function _M.init_worker(path, opts)
  if ngx.get_phase() ~= "init_worker" then
    error("csw.nginx.init_worker belongs into init_worker_by_lua, since the master must not load"
      .. " the library", 2)
  end

  jit.opt.start(unpack(COMPILES))
  config_path = path
  for name, value in pairs(opts or {}) do
    if options[name] == nil then
      error("csw.nginx.init_worker: no option is called " .. tostring(name), 2)
    end
    options[name] = value
  end

  if options.loopback then
    if not match(options.loopback, "^http://[^/:]+:%d+[%w%./]*$") then
      error("csw.nginx.init_worker: loopback is " .. tostring(options.loopback)
        .. "; it is an address of this server such as \"http://127.0.0.1:8080/v23.0\"", 2)
    end
    hands.send = function(send, token)
      return at_hand.send(options.loopback, send, token)
    end
    -- One worker looks; another takes its place when it is gone.
    if ngx.worker.id() == 0 then
      ngx.timer.every(DRAIN_EVERY, drain_when_due)
    end
  end

  current_gate()
end


--- The worker's gate, for Lua of your own.
---@return csw.Gate?  nil while it cannot be opened: the error log says why
function _M.gate()
  return current_gate()
end


--- For `exit_worker_by_lua`: what was submitted reaches the disk before the worker is gone.
function _M.exit_worker()
  if not gate then
    return
  end

  local ok, message = gate:flush(FLUSH_DEADLINE)
  if not ok then
    log(ERR, "the worker exits before everything is on disk: ", message)
  end
  gate:close()
end


--- For `access_by_lua` of the webhook's location. Returns once the events are on disk, and the
--- location's own content handler goes on: `proxy_pass` to an application, or `accepted`.
function _M.webhook()
  local method = ngx.req.get_method()
  if method == "GET" then
    local arguments = ngx.req.get_uri_args()
    return answer(guard.handshake(current_gate(), argument(arguments, "hub.mode"),
      argument(arguments, "hub.verify_token"), argument(arguments, "hub.challenge")))
  end

  if method ~= "POST" then
    return ngx.exit(ngx.HTTP_NOT_ALLOWED)
  end

  local function refuse(message, code)
    local action = guard.refuse_webhook(message, code)
    if action.fault then
      log_apart(action.status == 503 and ERR or WARN, "webhook not recorded: ", action.fault)
    end

    return answer(action)
  end

  if not current_gate() then
    return refuse()
  end

  local body, message, code = request_body()
  if not body then
    return refuse(message, code)
  end

  local ticket
  ticket, message, code = gate:submit_ingest(body, ngx.var.http_x_hub_signature_256, request_time())
  if not ticket then
    return refuse(message, code)
  end

  local state, result
  state, result, code = await(ticket)
  if state ~= "done" then
    return refuse(result or state, code)
  end

  for _, place in ipairs(result and result.unreadable or {}) do
    log_apart(WARN, "a part of a webhook cannot be read: ", place)
  end
end


--- For `content_by_lua` of the webhook's location where no application stands behind it.
function _M.accepted()
  return answer({ status = 200, headers = { ["Content-Type"] = "text/plain" }, body = "" })
end


--- For `access_by_lua` of the send location.
function _M.send()
  local var = ngx.var
  local business, endpoint = match(var.uri, SEND)
  if not business then
    return ngx.exit(ngx.HTTP_NOT_FOUND)
  end

  local body, message, code = request_body()
  if body then
    local content_type = guard.content_type(body)
    local arguments, truncated
    if var.is_args ~= "" then
      arguments, truncated = ngx.req.get_uri_args(8)
      arguments.more = truncated
    end
    local objection = guard.objection(ngx.req.get_method(), arguments, var.content_type, not content_type)
    if objection then
      body, message, code = nil, objection, "body"

    else
      -- The platform reads what csw has read.
      ngx.req.set_header("Content-Type", content_type or "application/json")
      if content_type then
        clear_header("Content-Encoding", var.http_content_encoding)
      else
        ngx.req.set_header("Content-Encoding", "gzip")
      end
    end
  end

  local send = {
    gateway = "nginx",
    business = business,
    body = body,
    at = request_time(),
    endpoint = endpoint,
    parked = var.http_x_csw_parked ~= nil,
  }
  clear_header("X-CSW-Parked", var.http_x_csw_parked)
  if var.http_x_csw_branch then
    ngx.ctx.csw_branch = ngx.req.is_internal() and match(var.http_x_csw_branch, "^%l+$") or nil
    ngx.req.clear_header("X-CSW-Branch")
  end
  local action
  if body then
    action = guard.send(current_gate(), send, hands, options.fail)

  else
    action = guard.undecided(current_gate(), send, message, code, options.fail)
  end

  tell(var, action.headers)
  var.csw_log = action.log
  if action.fault then
    log_apart(ERR, "send ", action.pass and "passed" or "refused", " without a decision: ", action.fault)
  end

  -- Settled either way: the ledger counts what was stopped as well.
  if action.decision then
    var.csw_token = action.decision.token
  end
  if not action.pass then
    return answer(action)
  end

  if action.forward then
    ngx.req.set_header("Content-Type", "application/json")
    ngx.req.clear_header("Content-Encoding")
    ngx.req.set_body_data(action.forward)
    gate:submit_settle(action.stopped, ngx.HTTP_BAD_REQUEST, "", send.at)
  end
  ngx.ctx.csw_response = { body = action.keep and hands.send and body or nil }
end


--- For `access_by_lua` of `/csw/branch`, or `/v23.0/csw/branch`: of the two sends that a workflow posts, the one that
--- the window asks for goes to the send location. For a later time (`at`) it is only told which that would be.
function _M.branch()
  if ngx.req.get_method() ~= "POST" then
    return ngx.exit(ngx.HTTP_NOT_ALLOWED)
  end

  local request, message, code = request_body()
  local choice, action
  if request then
    choice, action = guard.choose(current_gate(), request, request_time())

  else
    action = guard.undecided(current_gate(), { gateway = "nginx" }, message, code, options.fail)
  end

  if not choice then
    if action.fault then
      log_apart(ERR, "a branch cannot be chosen: ", action.fault)
    end

    return answer(action)
  end

  ngx.req.set_header("Content-Type", "application/json")
  ngx.req.clear_header("Content-Encoding")
  ngx.req.set_header("X-CSW-Branch", choice.branch)
  ngx.req.set_body_data(choice.body)
  return ngx.exec(match(ngx.var.uri, "^(.*)/csw/branch$") .. "/" .. choice.business .. "/messages", ngx.var.args)
end


--- For `header_filter_by_lua`: tells the client what csw decided, also after `error_page`.
function _M.response_headers()
  local var = ngx.var
  if (var.csw_verdict or "") == "" then
    if var.upstream_status and match(var.uri, SEND) then
      log_apart(ERR, "a send went out undecided: `satisfy any` or a subrequest skipped the access phase")
    end
    return
  end

  retell(ngx.header, var)
  ngx.header["X-CSW-Branch"] = ngx.ctx.csw_branch

  -- Whoever sends by itself wants to know: what never reached the platform may be sent again.
  ngx.header["X-CSW-Reached"] = nil
  if ngx.status >= 500 and var.upstream_status and not find(var.upstream_connect_time or "", "%d") then
    ngx.header["X-CSW-Reached"] = "no"
  end
end


--- For `body_filter_by_lua` of the send location: keeps the platform's answer for `settle`.
function _M.response_body()
  local chunks = ngx.ctx.csw_response
  if not chunks then
    return
  end

  local chunk = ngx.arg[1]
  local size = (chunks.size or 0) + #chunk
  chunks.size = size
  if size <= MAX_RESPONSE then
    chunks[#chunks + 1] = chunk
  end
end


--- For `log_by_lua` of the server: records what became of a send. It never waits.
function _M.settle()
  local var = ngx.var
  local token = var.csw_token
  if not token or token == "" or not gate then
    return
  end

  -- "502, 200 : 200" are two tries, then what `error_page` led to: the platform's is the last try.
  local status = var.upstream_status or ""
  if #status ~= 3 then
    status = match(status, "^[^:]*%f[%d](%d+)") or ngx.status
  end
  local chunks = ngx.ctx.csw_response or NOTHING
  local response = chunks[2] and concat(chunks) or chunks[1] or ""
  local ticket, message = gate:submit_settle(token, tonumber(status), response, request_time())
  if ticket and chunks.body then
    ticket, message = gate:submit_keep("nginx", token, tonumber(status), response, chunks.body)
  end
  if not ticket then
    log_apart(ERR, "the platform's answer to a send is not recorded: ", message)
  end
end


--- For `content_by_lua` of `/csw/drain`, which this server asks by itself once a second while there is something to do.
function _M.drain()
  if not is_of_this_host() then
    return ngx.exit(ngx.HTTP_FORBIDDEN)
  end

  if not current_gate() or not hands.send then
    return ngx.exit(ngx.HTTP_SERVICE_UNAVAILABLE)
  end

  local sent, drained = closed.drain(gate, "nginx", hands, request_time())
  local lines = {}
  for index, message in ipairs(drained) do
    lines[index] = message.line
    if message.trouble then
      log_apart(ERR, "a message that waited: ", message.line)
    end
  end
  ngx.var.csw_log = concat(lines, "\n")

  return answer({ status = 200, headers = { ["Content-Type"] = "application/json" }, body = '{"sent":' .. sent .. "}" })
end


--- For `content_by_lua` of `/csw/metrics`: what all processes of the host have done, for Prometheus.
function _M.metrics()
  if not is_local() then
    return ngx.exit(ngx.HTTP_FORBIDDEN)
  end

  return answer(guard.metrics(current_gate()))
end


--- For `content_by_lua` of `/csw/window`. It logs nothing: nginx would add the request line, and
--- with it the customer's number.
function _M.window()
  if not is_local() then
    return ngx.exit(ngx.HTTP_FORBIDDEN)
  end

  local arguments = ngx.req.get_uri_args()
  return answer(guard.window(current_gate(), argument(arguments, "business"),
    argument(arguments, "customer"), argument(arguments, "at")))
end


return _M
