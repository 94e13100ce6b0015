--- Another channel in nginx: a text as an e-mail, through a mail server that speaks SMTP (RFC 5321). For a location of
--- csw's subrequests: see examples/nginx/channels.conf.

local email = require "csw.mail"

local concat = table.concat
local find   = string.find
local floor  = math.floor
local format = string.format
local gsub   = string.gsub
local ipairs = ipairs
local match  = string.match
local min    = math.min
local open   = io.open
local pairs  = pairs
local pcall  = pcall
local sub    = string.sub
local tostring = tostring
local type   = type

local ngx = ngx
local encode_base64 = ngx.encode_base64


local CONNECT_TIMEOUT = 1000 -- ms
local TIMEOUT = 3000
local MAX_LINES = 100

-- What a server says of the message that it took: Exim, Postfix, and Sendmail or OpenSMTPD.
local QUEUE_IDS = { "%f[%w]id=([%w.-]+)", "queued as ([%w.-]+)", "([%w.-]+) Message accepted" }


---@class csw.Mail
---@field host string       the mail server: an address, or a name where nginx has a `resolver`
---@field port? integer     (default 25)
---@field from string       the sender's address; what cannot be delivered returns there
---@field to string|fun(letter: csw.Letter): string?  the recipient's address, in which {customer} and {business} stand
---  for their numbers; or what finds it, which answers nil for customers that have none
---@field subject? string|fun(letter: csw.Letter): string?
---@field hello? string     this host's name (default: the domain of `from`)
---@field tls? boolean      STARTTLS, or no mail; nginx verifies by `lua_ssl_trusted_certificate`
---@field name? string      the name on the server's certificate (default: `host`)
---@field username? string  for AUTH PLAIN, which needs `tls` or a server on the loopback
---@field password_file? string  readable for nginx's workers
---@field timeout? integer  ms that each answer of the server may take (default 3000)

local _M = {}


-- From a timer: to a request's own lines nginx adds its request line.
local function refuse(status, why)
  if status >= 500 then
    ngx.timer.at(0, function() ngx.log(ngx.ERR, "csw: an e-mail was not sent: ", why) end)
  end

  ngx.status = status
  ngx.say(why)
end


-- A setting that is the same for all, or another for each letter. Of an error only the place is told, since its words
-- may hold an address.
local function filled(mail, name, letter)
  local setting = mail[name] or ""
  if type(setting) ~= "function" then
    return (gsub(setting, "{(%l+)}", { customer = letter.to, business = letter.business }))
  end

  local ok, value = pcall(setting, letter)
  if not ok then
    return nil, "the function in `" .. name .. "` fails at " .. (match(tostring(value), "^(%S+:%d+):") or "?")
  end

  return value and tostring(value) or ""
end


-- Sends a command, if any, and reads the reply. `what` stands for them in a reason: the server's words may repeat an
-- address, and the command a password.
local function ask(socket, what, class, command)
  local ok, message = true, nil
  if command then
    ok, message = socket:send(command .. "\r\n")
  end
  if not ok then
    return nil, what .. " could not be sent: " .. message
  end

  local words = {}
  local code, more
  repeat
    local line
    line, message = socket:receive()
    if not line then
      return nil, what .. " was not answered: " .. message
    end

    code, more = match(line, "^(%d%d%d)(%-?)")
    words[#words + 1] = sub(line, 5)
  until more ~= "-" or #words == MAX_LINES

  if not code or floor(code / 100) ~= class then
    return nil, format("%s was answered %s", what, match(words[1], "^%d%.%d+%.%d+") or code or "in no SMTP")
  end

  return concat(words, "\n")
end


-- lua-resty-core may throw where the server is quick and its certificate not trusted (its issue 499).
local function handshake(socket, name)
  local ok, session, message = pcall(socket.sslhandshake, socket, nil, name, true)
  if ok and session then
    return true
  end

  return nil, "the mail server's TLS is not trusted: " .. (ok and message or "its certificate is refused")
end


local function credentials(mail)
  if not mail.tls and not find(mail.host, "^127%.") and mail.host ~= "::1" then
    return nil, "a password would travel in clear: set tls"
  end

  local file, message = open(mail.password_file or "", "rb")
  if not file then
    return nil, "the password cannot be read: " .. message
  end

  local password = match(file:read("*a") or "", "^[^\r\n]*")
  file:close()

  return encode_base64("\0" .. mail.username .. "\0" .. password)
end


-- One whole conversation. What the server said when it had taken the message, or why it has not.
local function converse(socket, mail, to, message)
  local hello = { ask, "EHLO", 2, "EHLO " .. (mail.hello or match(mail.from, "@(.*)")) }
  local steps = { { ask, "the connection", 2 }, hello }
  if mail.tls then
    steps[3] = { ask, "STARTTLS", 2, "STARTTLS" }
    steps[4] = { handshake, mail.name or mail.host }
    steps[5] = hello
  end
  if mail.username then
    local secret, why = credentials(mail)
    if not secret then
      return nil, why
    end
    steps[#steps + 1] = { ask, "AUTH", 2, "AUTH PLAIN " .. secret }
  end
  steps[#steps + 1] = { ask, "the sender", 2, "MAIL FROM:<" .. mail.from .. ">" }
  steps[#steps + 1] = { ask, "the recipient", 2, "RCPT TO:<" .. to .. ">" }
  steps[#steps + 1] = { ask, "DATA", 3, "DATA" }
  steps[#steps + 1] = { ask, "the message", 2, message }

  local said, why = socket:connect(mail.host, mail.port or 25)
  why = "the mail server cannot be reached: " .. (why or "")
  for _, step in ipairs(steps) do
    if not said then
      break
    end
    said, why = step[1](socket, step[2], step[3], step[4])
  end
  socket:send("QUIT\r\n")
  socket:close()

  return said, why
end


-- The server's own id of the message, for whoever looks for it in the server's log.
local function queue_id(said)
  for _, form in ipairs(QUEUE_IDS) do
    local id = match(said, form)
    if id then
      return id
    end
  end

  return nil
end


local function letter_of_request()
  ngx.req.read_body()
  local arguments = ngx.req.get_uri_args()
  local letter = { text = ngx.req.get_body_data() or "" }
  for name, form in pairs({ to = "^%d+$", business = "^%d+$", id = "^[%w.-]+$" }) do
    local value = arguments[name]
    if type(value) ~= "string" or not find(value, form) then
      return nil, "the argument " .. name .. " is missing or has a strange form"
    end
    letter[name] = value
  end

  return letter
end


--- For `content_by_lua` of a channel's location: sends the subrequest's body to the customer as an e-mail. Answers 200
--- once the mail server has it, with the server's own id of it where it says one; 404 where the customer has no
--- address, 502 where the mail cannot be sent. The reason is one line, which names no address.
---@param mail csw.Mail
function _M.deliver(mail)
  local letter, why = letter_of_request()
  if not letter then
    return refuse(400, why)
  end

  if not mail.host or not mail.to or not email.is_address(mail.from) then
    return refuse(500, "csw.smtp needs a host, whom to write to, and an address in from")
  end

  local to, subject
  to, why = filled(mail, "to", letter)
  if to then
    subject, why = filled(mail, "subject", letter)
  end
  if not subject then
    return refuse(500, why)
  end

  if not email.is_address(to) then
    return refuse(404, "the customer has no e-mail address")
  end

  local socket = ngx.socket.tcp()
  local timeout = mail.timeout or TIMEOUT
  socket:settimeouts(min(CONNECT_TIMEOUT, timeout), timeout, timeout)
  local said
  said, why = converse(socket, mail, to, email.message(mail.from, to, subject, letter))
  if not said then
    return refuse(502, why)
  end

  ngx.header["X-CSW-Channel-Id"] = queue_id(said)
  ngx.print("")
end


return _M
