--- What nginx can do beside letting a send pass and answering it (`csw.Hands`): wait, reach another channel by a
--- location, and send by itself, as a request to its own address, so that the guard sees that send like every other.

local concat   = table.concat
local format   = string.format
local gmatch   = string.gmatch
local lower    = string.lower
local match    = string.match
local min      = math.min
local tonumber = tonumber

local ngx = ngx


local LONGEST_SLEEP = 0.008

-- Of a send of our own, in ms. All of it ends within the minute for which a parked message may be in hand.
local CONNECT_TIMEOUT, SEND_TIMEOUT, READ_TIMEOUT = 1000, 5000, 30000

-- Of a drain: some seconds, and the last of its sends.
local DRAIN_TIMEOUT = 60000

local _M = {}


--- Waits for a ticket without holding up the worker.
---@param gate csw.Gate
---@param ticket integer
---@param seconds number  at most so long
---@return string state  as `gate:poll` tells it
---@return any result
---@return string? code
function _M.await(gate, ticket, seconds)
  local deadline = ngx.now() + seconds
  local delay = 0.001

  ngx.sleep(delay)
  while true do
    local state, result, code = gate:poll(ticket)
    if state ~= "pending" then
      return state, result, code
    end

    if ngx.now() >= deadline then
      return "timeout", "it was not on disk within " .. seconds .. " s", "timeout"
    end

    ngx.sleep(delay)
    delay = min(delay * 2, LONGEST_SLEEP)
  end
end


--- Gives a text to a location of this server, as a subrequest.
---@param location string
---@param letter csw.Letter
---@return integer status
---@return string? id  as the location names it in `X-CSW-Channel-Id`
function _M.channel(location, letter)
  local response = ngx.location.capture(location, {
    method = ngx.HTTP_POST,
    body = letter.text,
    args = { to = letter.to, business = letter.business, id = letter.id },
  })

  return response.status, response.header["X-CSW-Channel-Id"]
end


-- One request to this server itself. nil where nobody can tell what became of it.
local function request(address, path, lines, body, timeout)
  local host, port = match(address, "^http://([^/:]+):(%d+)")
  local socket = ngx.socket.tcp()
  socket:settimeouts(CONNECT_TIMEOUT, SEND_TIMEOUT, timeout)
  local ok, message = socket:connect(host, tonumber(port))
  if not ok then
    return 503, { ["x-csw-reached"] = "no", ["x-csw-why"] = address .. ": " .. message }, message
  end

  lines[#lines + 1] = format("Host: %s:%s", host, port)
  lines[#lines + 1] = "Content-Length: " .. #body
  -- HTTP/1.0: the answer ends where the connection does.
  ok, message = socket:send({ "POST ", path, " HTTP/1.0\r\n", concat(lines, "\r\n"), "\r\n\r\n", body })
  local answer
  if ok then
    answer, message = socket:receive("*a")
  end
  socket:close()

  local status, head, rest = match(answer or "", "^HTTP/%S+ (%d+)[^\r]*\r\n(.-)\r\n\r\n(.*)$")
  if not status then
    return nil, nil, message or "no answer"
  end

  local headers = {}
  for name, value in gmatch(head, "([^:\r\n]+): ([^\r\n]*)") do
    headers[lower(name)] = value
  end
  return tonumber(status), headers, rest
end


--- A send of our own through this server's send location.
---@param address string  of this server, with the path before the number: "http://127.0.0.1:8080/v23.0"
---@param send csw.Send
---@param token string?   the number's access token
---@return integer? status
---@return table<string, string>? headers  their names in lower case
---@return string? body  or the message
function _M.send(address, send, token)
  local lines = { "Content-Type: application/json" }
  if token then
    lines[#lines + 1] = "Authorization: Bearer " .. token
  end
  if send.parked then
    lines[#lines + 1] = "X-CSW-Parked: 1"
  end
  if send.at then
    lines[#lines + 1] = format("X-CSW-At: %.0f", send.at)
  end

  local prefix = match(address, "^http://[^/]+(.-)/?$")
  return request(address, format("%s/%s/messages", prefix, send.business), lines, send.body, READ_TIMEOUT)
end


--- Lets a request of this server's own do what there is to do: subrequests need one.
---@param address string
---@return integer? status
---@return table? headers
---@return string? message
function _M.drain(address)
  return request(address, "/csw/drain", {}, "", DRAIN_TIMEOUT)
end


return _M
