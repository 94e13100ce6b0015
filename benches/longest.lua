--- For benches/nginx.sh: the longest time that a call of the library held a worker, by the clock and of the processor.
--- Told in the error log when the worker exits.

local ffi = require("ffi")

local C = ffi.C
local ngx = ngx


ffi.cdef[[
  struct longest_timespec { long sec; long nsec; };
  int clock_gettime(int clock, struct longest_timespec *time);
]]

local CLOCK_MONOTONIC, CLOCK_THREAD = 1, 3
local CALLS = {
  "check", "decide", "instead", "due", "poll", "submit_ingest", "submit_settle", "submit_keep", "submit_park",
}

local time = ffi.new("struct longest_timespec")
local longest, busiest, counts = {}, {}, {}

local _M = {}


local function now(clock)
  C.clock_gettime(clock, time)

  return tonumber(time.sec) * 1e6 + tonumber(time.nsec) / 1e3
end


--- Watches the calls of a gate.
function _M.watch(gate)
  local methods = getmetatable(gate).__index
  for _, name in ipairs(CALLS) do
    local method = methods[name]
    longest[name], busiest[name], counts[name] = 0, 0, 0
    methods[name] = function(...)
      local began, used = now(CLOCK_MONOTONIC), now(CLOCK_THREAD)
      local first, second, third = method(...)
      busiest[name] = math.max(busiest[name], now(CLOCK_THREAD) - used)
      longest[name] = math.max(longest[name], now(CLOCK_MONOTONIC) - began)
      counts[name] = counts[name] + 1

      return first, second, third
    end
  end
end


--- Tells what was seen.
function _M.tell()
  for name, held in pairs(longest) do
    if counts[name] > 0 then
      ngx.log(ngx.WARN, ("longest %s %.0f %.0f %d"):format(name, held, busiest[name], counts[name]))
    end
  end
end


return _M
