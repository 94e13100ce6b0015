--- A stand-in for the Graph API: takes sends, answers with a message id, and posts signed `sent`
--- and `delivered` webhooks back. It keeps a customer service window of its own, written from the
--- platform's documents and not from csw, so that the two can be compared.
---
---   POST /[vNN.N/]<phone number id>/[marketing_]messages   as at the platform
---     X-Standin-Refuse: sync    answer 131047, whatever its own window says
---     X-Standin-Refuse: async   accept, then report the message as failed with 131047
---   POST /standin/customer  {"from":, "text":, "business":, "referral":{"source_type":"ad"}}
---     a customer writes, or clicks an ad: posts the inbound webhook
---
--- Environment: CSW_STANDIN_WEBHOOK (http://host:port/path), CSW_STANDIN_SECRET (the app secret),
--- CSW_STANDIN_RULES (guide or meta). The header `X-CSW-At` (Unix ms) sets the time.

local cjson = require "cjson.safe"
local ffi   = require "ffi"

local floor  = math.floor
local format = string.format
local gsub   = string.gsub
local match  = string.match

local C = ffi.C
local ngx = ngx


-- From libcrypto, which nginx itself is linked with.
ffi.cdef[[
  typedef struct evp_md_st EVP_MD;
  const EVP_MD *EVP_sha256(void);
  unsigned char *HMAC(const EVP_MD *evp_md, const void *key, int key_len,
                      const unsigned char *d, size_t n, unsigned char *md, unsigned int *md_len);
]]


local HOUR = 60 * 60 * 1000
local WINDOW = 24 * HOUR
local FREE_ENTRY_POINT = 72 * HOUR

local BUSINESS = "106540352242922"
local DISPLAY_NUMBER = "15550783881"
local CLOSED_DETAILS = "Message failed to send because more than 24 hours have passed since the"
  .. " customer last replied to this number."

local RULES = os.getenv("CSW_STANDIN_RULES") or "guide"
local SECRET = os.getenv("CSW_STANDIN_SECRET") or ""
local WEBHOOK = os.getenv("CSW_STANDIN_WEBHOOK") or ""

local customers = ngx.shared.customers

local _M = {}


local function now()
  return tonumber(ngx.var.http_x_csw_at) or floor(ngx.now() * 1000)
end


local function answer(status, body)
  ngx.status = status
  ngx.say(cjson.encode(body))
  return ngx.exit(ngx.HTTP_OK)
end


local function refuse(code, message, details)
  return answer(400, {
    error = {
      message = format("(#%d) %s", code, message),
      type = "OAuthException",
      code = code,
      error_data = { messaging_product = "whatsapp", details = details },
      fbtrace_id = "standin",
    },
  })
end


local function sign(bytes)
  local digest = ffi.new("unsigned char[32]")
  C.HMAC(C.EVP_sha256(), SECRET, #SECRET, bytes, #bytes, digest, nil)

  return "sha256=" .. gsub(ffi.string(digest, 32), ".", function(char)
    return format("%02x", char:byte())
  end)
end


-- Posts one webhook and returns the status of the answer.
local function post(business, field, content, at)
  local host, port, path = match(WEBHOOK, "^http://([^:/]+):(%d+)(/.*)$")
  if not host then
    return nil, "CSW_STANDIN_WEBHOOK is not http://host:port/path: " .. WEBHOOK
  end

  content.messaging_product = "whatsapp"
  content.metadata = { display_phone_number = DISPLAY_NUMBER, phone_number_id = business }
  local body = cjson.encode({
    object = "whatsapp_business_account",
    entry = { { id = "102290129340398", changes = { { field = field, value = content } } } },
  })

  local socket = ngx.socket.tcp()
  socket:settimeouts(1000, 1000, 10000)
  local ok, message = socket:connect(host, tonumber(port))
  if not ok then
    return nil, message
  end

  socket:send({
    "POST ", path, " HTTP/1.1\r\nHost: ", host, "\r\nConnection: close\r\n",
    "Content-Type: application/json\r\nX-Hub-Signature-256: ", sign(body), "\r\n",
    at and format("X-CSW-At: %.0f\r\n", at) or "", "Content-Length: ", #body, "\r\n\r\n", body,
  })

  local line
  line, message = socket:receive("*l")
  socket:close()
  return line and tonumber(match(line, "^HTTP/%S+ (%d+)")), message
end


local function post_statuses(premature, business, id, to, at, statuses, test_time)
  for _, status in ipairs(premature and {} or statuses) do
    local content = {
      id = id,
      status = status,
      timestamp = format("%.0f", floor(at / 1000)),
      recipient_id = to,
    }
    if status == "failed" then
      content.errors = { {
        code = 131047,
        title = "Re-engagement message",
        message = "Re-engagement message",
        error_data = { details = CLOSED_DETAILS },
      } }
    end

    local code, message = post(business, "messages", { statuses = { content } }, test_time)
    if code ~= 200 then
      ngx.log(ngx.ERR, "the webhook of a status was not taken: ", code or message)
    end
  end
end


-- The window: 24 hours from the customer's last message. In the guide's reading a click to WhatsApp
-- lets everything through for 72 hours; for the platform itself that is a matter of cost.
local function is_open(business, customer, at)
  local key = business .. ":" .. customer
  local act = customers:get("act:" .. key)
  local click = RULES == "guide" and customers:get("click:" .. key)

  return act and at < act + WINDOW or click and at < click + FREE_ENTRY_POINT
end


local function is_template(send, endpoint)
  return send.type == "template" or endpoint == "marketing_messages"
    or send.category == "utility" or send.category == "authentication"
end


--- The platform's endpoint for sends.
function _M.messages(business)
  ngx.req.read_body()
  local send = cjson.decode(ngx.req.get_body_data() or "")
  if type(send) ~= "table" or send.messaging_product ~= "whatsapp" then
    return refuse(100, "Invalid parameter", "The parameter messaging_product is required.")
  end

  if send.status == "read" then
    return answer(200, { success = true })
  end

  local input = tostring(send.to or send.recipient)
  local customer = match(input, "^%u%u%.") and input or gsub(input, "%D", "")
  local endpoint = match(ngx.var.uri, "[^/]+$")
  local at = now()
  local wish = ngx.var.http_x_standin_refuse
  local closed = not is_template(send, endpoint) and not is_open(business, customer, at)
  if wish == "sync" or closed and wish ~= "async" then
    return refuse(131047, "Re-engagement message", CLOSED_DETAILS)
  end

  local id = "wamid." .. ngx.encode_base64(format("%s:%d:%.6f", customer,
    customers:incr("sends", 1, 0), ngx.now()))
  ngx.timer.at(0, post_statuses, business, id, customer, at,
    wish == "async" and { "failed" } or { "sent", "delivered" },
    ngx.var.http_x_csw_at and at)

  return answer(200, {
    messaging_product = "whatsapp",
    contacts = { { input = input, wa_id = customer } },
    messages = { { id = id, message_status = send.type == "template" and "accepted" or nil } },
  })
end


--- A customer writes to the business.
function _M.customer()
  ngx.req.read_body()
  local act = cjson.decode(ngx.req.get_body_data() or "")
  if type(act) ~= "table" or not act.from then
    return answer(400, { error = 'send {"from":"<number>","text":"<message>"}' })
  end

  local business = act.business or BUSINESS
  local customer = gsub(act.from, "%D", "")
  local at = now()
  local key = business .. ":" .. customer
  customers:set("act:" .. key, math.max(at, customers:get("act:" .. key) or 0))
  if act.referral then
    customers:set("click:" .. key, math.max(at, customers:get("click:" .. key) or 0))
  end

  local status, message = post(business, "messages", {
    contacts = { { profile = { name = "Sheena Nelson" }, wa_id = customer } },
    messages = { {
      from = customer,
      id = "wamid." .. ngx.encode_base64(format("%s:%d:%.6f", customer,
        customers:incr("acts", 1, 0), ngx.now())),
      timestamp = format("%.0f", floor(at / 1000)),
      type = "text",
      text = { body = act.text or "Hello" },
      referral = act.referral,
    } },
  }, ngx.var.http_x_csw_at and at)

  return answer(status and 200 or 502, { webhook = status or message })
end


return _M
