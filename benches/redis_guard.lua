--- A guard in ten lines over Redis, for benches/nginx.sh: customers who have a key there may be written to.

local cjson = require "cjson"
local redis = require "nginx.redis"

local ngx = ngx


ngx.req.read_body()
local send = cjson.decode(ngx.req.get_body_data())
local client = redis:new()
assert(client:connect(ngx.var.redis))
local is_open = assert(client:exists(ngx.var.business .. ":" .. send.to))
client:set_keepalive(10000, 64)
if is_open ~= 1 then
  return ngx.exit(ngx.HTTP_BAD_REQUEST)
end
