--- Measures in a worker of nginx, and answers with rows for benches/table.awk: called by benches/lookup.sh.

local cjson = require "cjson"
local csw   = require "csw"
local ffi   = require "ffi"
local redis = require "nginx.redis"

local C = ffi.C
local format = string.format
local ngx = ngx


local BUSINESS = "106540352242922"
local FIRST = 10000000000
local DRAWN, BODIES, ASKED = 500000, 100000, 5000
local ROUNDS = 5

local args = ngx.req.get_uri_args()
local count, large_count = tonumber(args.count), tonumber(args.large_count)


ffi.cdef[[
  struct bench_timespec { long sec; long nsec; };
  int clock_gettime(int clock, struct bench_timespec *time);
]]
local time = ffi.new("struct bench_timespec")


local function nanoseconds()
  C.clock_gettime(1, time)

  return tonumber(time.sec) * 1e9 + tonumber(time.nsec)
end


-- What each piece of work takes for one of its inputs, in the best of some rounds, all by turns: what the machine does
-- besides only makes a round slower.
local function measured(works)
  local best = {}
  for _ = 1, ROUNDS do
    for place, work in ipairs(works) do
      local call, inputs, others = work[1], work[2], work[3] or {}
      local began = nanoseconds()
      for index = 1, #inputs do
        call(inputs[index], others[index])
      end
      best[place] = math.min(best[place] or math.huge, (nanoseconds() - began) / #inputs)
    end
  end

  return unpack(best)
end


local function row(work, result, beside, name, limit)
  ngx.say(table.concat({ work, format("%.0f", result), format("%.0f", beside), name, "ns", limit or "" }, "\t"))
end


-- Numbers of customers in random order.
local function drawn(first, below, amount)
  local numbers = {}
  for index = 1, amount do
    numbers[index] = format("%.0f", first + math.random(0, below - 1))
  end

  return numbers
end


local function keys_of(customers)
  local keys = {}
  for index, customer in ipairs(customers) do
    keys[index] = BUSINESS .. ":" .. customer
  end

  return keys
end


-- A text message as a client posts it.
local function body(customer)
  local head = format('{"messaging_product":"whatsapp","recipient_type":"individual","to":"%s","type":"text",'
    .. '"text":{"body":"', customer)

  return head .. ("x"):rep(300 - #head - 3) .. '"}}'
end


local function opened(path)
  return assert(csw.open({ store = "lmdb:" .. path }))
end


local function checking(gate, customers, state)
  assert(gate:check(BUSINESS, customers[1]) == state, "the store is not what it should be")

  return { function(customer) return gate:check(BUSINESS, customer) end, customers }
end


local function asking(keys, address, port)
  local client = redis:new()
  assert(client:connect(address, port))
  assert(client:exists(keys[1]) == 1, "Redis has not what it should have")

  return { function(key) return client:exists(key) end, { unpack(keys, 1, ASKED) } }
end


math.randomseed(7)
local windows = ngx.shared.windows
for number = 0, count - 1 do
  assert(windows:safe_set(format("%s:%.0f", BUSINESS, FIRST + number), ngx.now() * 1000))
end
local function get(key) return windows:get(key) end

local customers, strangers = drawn(FIRST, count, DRAWN), drawn(2 * FIRST, count, DRAWN)
local keys, strange_keys = keys_of(customers), keys_of(strangers)
assert(get(keys[1]) and not get(strange_keys[1]))

local bodies = {}
for index = 1, BODIES do
  bodies[index] = body(customers[index])
end

local gate = opened(args.open)
assert(#bodies[1] == 300 and gate:decide(BUSINESS, bodies[1]).verdict == "allow")
local open, unknown, closed, large, got, got_none, decided, decoded = measured({
  checking(gate, customers, "open"),
  checking(gate, strangers, "unknown"),
  checking(opened(args.closed), customers, "closed"),
  checking(opened(args.large), drawn(FIRST, large_count, DRAWN), "open"),
  { get, keys },
  { get, strange_keys },
  { function(text) return gate:decide(BUSINESS, text) end, bodies },
  { function(text, key) return cjson.decode(text) and windows:get(key) end, bodies, keys },
})

-- Last, since LuaJIT compiles no loop that waits, and would give it up for the others as well.
local by_tcp, by_socket = measured({
  asking(keys, "127.0.0.1", args.redis_port),
  asking(keys, "unix:" .. args.redis_socket),
})


local work = "`check` from LuaJIT, " .. count .. " contacts, window "
row(work .. "open", open, got, "`ngx.shared.DICT:get`", "<=0.25x")
row(work .. "open", open, by_tcp, "Redis `EXISTS`, TCP")
row(work .. "open", open, by_socket, "Redis `EXISTS`, Unix socket")
row(work .. "open", open, tonumber(args.sqlite), "SQLite by primary key, from C")
row(work .. "unknown", unknown, got_none, "`ngx.shared.DICT:get`", "<=0.8x")
row(work .. "closed", closed, got, "`ngx.shared.DICT:get`", "<=0.8x")
row("`check` from LuaJIT, " .. large_count .. " contacts, window open", large, open, count .. " contacts", "<=2x")
row("`decide` of a 300-byte body from LuaJIT, " .. count .. " contacts", decided, decoded,
  "`cjson.decode` and `ngx.shared.DICT:get`", "<=0.5x")
