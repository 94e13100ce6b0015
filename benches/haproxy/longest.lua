-- How long the longest call held its thread. Loaded before csw.haproxy, it measures every action, service and filter
-- that is registered afterwards, from where HAProxy enters it or a wait ends to where it returns or waits again.
-- `http-request use-service lua.longest` says what it found since it was asked last: wall clock, processor, calls.

local longest = require "longest"

local core = core
local running, pcall, pack, unpack = coroutine.running, pcall, table.pack, table.unpack

-- By coroutine: when it got its thread.
local began = setmetatable({}, { __mode = "k" })

local WAITS = { receive = true, send = true, start_response = true }


local function gets_thread()
  began[running()] = { longest.begin() }
end


local function leaves_thread()
  longest.finish(unpack(began[running()]))
end


local function measured(func)
  return function(...)
    gets_thread()
    local results = pack(pcall(func, ...))
    leaves_thread()

    -- A reply of HAProxy's is thrown.
    if not results[1] then
      error(results[2], 0)
    end
    return unpack(results, 2, results.n)
  end
end


local function waits(func)
  return function(...)
    leaves_thread()
    local results = pack(func(...))
    gets_thread()

    return unpack(results, 1, results.n)
  end
end


-- An applet whose methods that may wait are not counted.
local function watched(applet)
  return setmetatable({}, {
    __index = function(_, name)
      local value = applet[name]
      if type(value) ~= "function" then
        return value
      end

      local function method(_, ...)
        return value(applet, ...)
      end
      return WAITS[name] and waits(method) or method
    end,
  })
end


local register_action, register_filter = core.register_action, core.register_filter
local register_service = core.register_service


register_service("longest", "http", function(applet)
  local wall, cpu, calls = longest.read()
  local text = ("%.0f %.0f %.0f\n"):format(wall / 1000, cpu / 1000, calls)
  applet:set_status(200)
  applet:add_header("Content-Length", #text)
  applet:start_response()
  applet:send(text)
end)


function core.register_action(name, kinds, func, arguments)
  return register_action(name, kinds, measured(func), arguments or 0)
end


function core.register_service(name, mode, func)
  func = measured(func)
  return register_service(name, mode, function(applet) return func(watched(applet)) end)
end


function core.register_filter(name, class, func)
  for _, callback in ipairs({ "start_analyze", "http_headers", "http_payload" }) do
    class[callback] = measured(class[callback])
  end
  return register_filter(name, class, func)
end


-- A task waits as well, and is not measured.
for _, name in ipairs({ "msleep", "yield" }) do
  local wait = core[name]
  core[name] = function(...)
    return (began[running()] and waits(wait) or wait)(...)
  end
end
