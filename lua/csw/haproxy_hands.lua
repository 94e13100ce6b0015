--- What HAProxy lends csw (`csw.Hands`): waiting by its own sleep, and requests of csw's own by its HTTP client to its
--- own frontend, where sends are decided and settled like any other, and other channels are paths.

local answers = require "csw.answers"
local guard   = require "csw.guard"

local format = string.format
local match  = string.match
local min    = math.min
local pairs  = pairs
local tostring = tostring

local core = core

local json_utf8 = answers.json_utf8


local WAIT_MS = 5000
local LONGEST_SLEEP = 8 -- ms

-- Within the minute for which a parked message may be in hand.
local CLIENT_TIMEOUT = 30000 -- ms

local _M = {}


local function now()
  local time = core.now()

  return time.sec * 1000 + time.usec / 1000
end


--- Posts to an HTTP server, without holding the thread.
---@param url string
---@param headers table<string, string>
---@param body string
---@return integer? status  also HAProxy's own, where the server gave none
---@return table<string, string> headers  by their names in lower case
---@return string? body
function _M.post(url, headers, body)
  -- With its length, or HAProxy would send it in chunks, which not every server reads.
  local lists = { ["content-length"] = { tostring(#body) } }
  for name, value in pairs(headers) do
    lists[name] = { value }
  end

  local response = core.httpclient():post({ url = url, headers = lists, body = body, timeout = CLIENT_TIMEOUT })
  local answered = {}
  for name, values in pairs(response.headers or {}) do
    answered[name:lower()] = values[0]
  end

  return response.status, answered, response.body
end


--- The hands of a gate: `await` always, `channel` and `send` where HAProxy is told where its own frontend is.
---@param gate csw.Gate?
---@param own string?  where this HAProxy takes sends, such as "http://127.0.0.1:8080/v23.0"
---@return csw.Hands
function _M.of(gate, own)
  local hands = {}


  -- The thread does other things meanwhile.
  function hands.await(ticket)
    local deadline = now() + WAIT_MS
    local delay = 1

    core.msleep(delay)
    while true do
      local state, result, code = gate:poll(ticket)
      if state ~= "pending" then
        return state, result, code
      end

      if now() >= deadline then
        return "timeout", format("it was not on disk within %d s", WAIT_MS / 1000), "timeout"
      end

      core.msleep(delay)
      delay = min(delay * 2, LONGEST_SLEEP)
    end
  end

  if not own then
    return hands
  end
  local origin = match(own, "^%a+://[^/]+")


  function hands.channel(location, letter)
    local body = format('{"to":%s,"text":%s,"business":%s,"id":%s}', json_utf8(letter.to), json_utf8(letter.text),
      json_utf8(letter.business), json_utf8(letter.id))
    local status, _, answer = _M.post(origin .. location, { ["content-type"] = answers.JSON }, body)

    return status, answer and match(answer, '"id"%s*:%s*"([^"]+)"')
  end


  function hands.send(send, token)
    local headers = {
      ["authorization"] = token and "Bearer " .. token,
      ["content-type"] = guard.content_type(send.body),
      ["x-csw-parked"] = send.parked and "1" or nil,
      ["x-csw-at"] = send.at and format("%.0f", send.at),
    }

    local url = format("%s/%s/%s", own, send.business, send.endpoint)
    local status, answered, body = _M.post(url, headers, send.body)

    -- What the frontend did not answer reached nobody: the 503 is of HAProxy's client itself.
    if status == 503 and not answered["x-csw-verdict"] then
      answered["x-csw-reached"] = "no"
    end

    return status, answered, body
  end


  return hands
end


return _M
