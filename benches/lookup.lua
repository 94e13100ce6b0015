-- Measures in a worker of nginx: called by lookup.sh.
local csw = require("csw")
local ffi = require("ffi")


local BUSINESS = "106540352242922"
local FIRST = 10000000000
local DRAWN = 500000


ffi.cdef("typedef struct { long seconds, nanoseconds; } csw_bench_time; int clock_gettime(int, csw_bench_time *);")
local time = ffi.new("csw_bench_time")


local function nanoseconds()
  ffi.C.clock_gettime(1, time)
  return tonumber(time.seconds) * 1e9 + tonumber(time.nanoseconds)
end


local function customer(number)
  return ("%.0f"):format(number)
end


-- The best of some rounds: what the machine does besides only makes a round slower.
local function measured(keys, work)
  local best = math.huge
  for _ = 1, 5 do
    local before = nanoseconds()
    for index = 1, #keys do
      work(keys[index])
    end
    best = math.min(best, (nanoseconds() - before) / #keys)
  end
  return best
end


local count = tonumber(ngx.var.arg_count)
local gate = assert(csw.open({ store = "lmdb:" .. ngx.var.arg_store }))
local windows = ngx.shared.windows
local now = ngx.now() * 1000
for index = 0, count - 1 do
  assert(windows:safe_set(BUSINESS .. ":" .. customer(FIRST + index), now))
end


math.randomseed(7)
local keys, dict_keys, strangers, dict_strangers = {}, {}, {}, {}
for index = 1, DRAWN do
  local number = math.random(0, count - 1)
  keys[index], strangers[index] = customer(FIRST + number), customer(2 * FIRST + number)
  dict_keys[index], dict_strangers[index] = BUSINESS .. ":" .. keys[index], BUSINESS .. ":" .. strangers[index]
end


assert(gate:check(BUSINESS, keys[1]) == "open" and windows:get(dict_keys[1]))
local function check(key) return gate:check(BUSINESS, key) end
local function get(key) return windows:get(key) end
local checked, got = measured(keys, check), measured(dict_keys, get)
local check_none, get_none = measured(strangers, check), measured(dict_strangers, get)
ngx.say(("| %d | %.0f | %.0f | %.2f | %.0f | %.0f |"):format(count, checked, got, checked / got, check_none, get_none))
