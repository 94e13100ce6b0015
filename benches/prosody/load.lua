--- For benches/prosody.sh: four clients that write to customers of a component as fast as they are read, and the
--- component that counts what arrives. Prints messages per second.
---
---   lua5.4 load.lua <c2s port> <component port> <messages per client> <component> <secret>

package.path = "/usr/lib/prosody/?.lua;" .. package.path
package.cpath = "/usr/lib/prosody/?.so;" .. package.cpath

local hashes = require "util.hashes"
local socket = require "socket"
local encodings = require "util.encodings"

local CLIENTS, CUSTOMERS = 4, 1000
local client_port, component_port, count, name, secret = table.unpack(arg)
count = tonumber(count)


local function open(port, namespace, to)
  local conn = assert(socket.connect("127.0.0.1", tonumber(port)))
  conn:setoption("tcp-nodelay", true)
  local head = ("<stream:stream xmlns='%s' xmlns:stream='http://etherx.jabber.org/streams' to='%s' version='1.0'>")
    :format(namespace, to)
  assert(conn:send(head))
  return conn, head
end


-- Reads on until a pattern is met, and returns what it captures.
local function expect(conn, pattern)
  local read = ""
  conn:settimeout(0.01)
  for _ = 1, 1000 do
    local data, _, part = conn:receive(65536)
    read = read .. (data or part or "")
    if read:find(pattern) then
      return read:match(pattern)
    end
  end
  error("waited in vain for " .. pattern .. " in " .. read)
end


local component = open(component_port, "jabber:component:accept", name)
local id = expect(component, "<stream:stream.-%sid='([^']+)'")
component:send("<handshake>" .. hashes.sha1(id .. secret, true) .. "</handshake>")
expect(component, "<handshake")

local clients = {}
for n = 1, CLIENTS do
  local user = "load" .. n
  local conn, head = open(client_port, "jabber:client", "example.com")
  expect(conn, "</stream:features>")
  conn:send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"
    .. encodings.base64.encode("\0" .. user .. "\0secret") .. "</auth>")
  expect(conn, "<success")
  conn:send(head)
  expect(conn, "</stream:features>")
  conn:send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq><presence/>")
  expect(conn, "<presence")
  clients[n] = { conn = conn, sent = 0, pending = "" }
end

-- A thousand customers write, so that their windows are open.
for n = 0, CUSTOMERS - 1 do
  component:send(("<message from='1650555%04d@%s' to='load1@example.com' type='headline' id='x'/>"
    .. "<message from='1650555%04d@%s' to='load1@example.com' id='%d.%s'><body>x</body></message>")
    :format(n, name, n, name, n, id))
end
expect(clients[1].conn, "id='999." .. id:gsub("%-", "%%-"))

local text = ("x"):rep(180)
local began, arrived, tail = socket.gettime(), 0, ""
component:settimeout(0)
while arrived < CLIENTS * count do
  local busy = {}
  for _, client in ipairs(clients) do
    client.conn:settimeout(0)
    if client.pending == "" and client.sent < count then
      local parts = {}
      for index = 1, math.min(50, count - client.sent) do
        parts[index] = ("<message to='1650555%04d@%s' type='chat' id='%d'><body>%s</body></message>")
          :format(client.sent % CUSTOMERS, name, client.sent, text)
        client.sent = client.sent + 1
      end
      client.pending = table.concat(parts)
    end
    if client.pending ~= "" then
      local sent, _, part = client.conn:send(client.pending)
      client.pending = client.pending:sub((sent or part) + 1)
      busy[#busy + 1] = client.conn
    end
    local data, _, part = client.conn:receive(65536)
    assert(not (data or part):find("type='error'"), "a message was stopped")
  end

  local data, _, part = component:receive(1048576)
  data = tail .. (data or part)
  local _, found = data:gsub("</message>", "")
  arrived = arrived + found
  tail = data:sub(-9):match("<[^>]*$") or ""
  if found == 0 then
    socket.select({ component }, busy, 0.05)
  end
end

print(("%.0f"):format(arrived / (socket.gettime() - began)))
