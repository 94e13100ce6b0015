--- For benches/prosody.sh: how long a message to the component holds Prosody, from before csw sees it until it is
--- written to the component. Logged when the component goes, in microseconds: the median, the 99th percentile, the
--- longest.

local time = require "util.time"

local monotonic = time.monotonic
local held = {}


local function measure(handlers, name, event)
  local began = monotonic()
  local result = handlers(name, event)
  held[#held + 1] = (monotonic() - began) * 1e6

  return result
end


for _, address in ipairs({ "bare", "full" }) do
  module:wrap_event("message/" .. address, measure)
end


module:hook("component-disconnected", function()
  if #held == 0 then
    return
  end

  table.sort(held)
  module:log("info", "held %.0f %.0f %.0f", held[math.ceil(#held / 2)], held[math.ceil(#held * 0.99)], held[#held])
  held = {}
end)
