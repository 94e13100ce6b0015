--- What a SIP MESSAGE says (RFC 3428), in csw's words: read through Kamailio's pseudo-variables.
--- Nothing is decided here.

local guard = require "csw.guard"

local char   = string.char
local concat = table.concat
local find   = string.find
local floor  = math.floor
local format = string.format
local gsub   = string.gsub
local lower  = string.lower
local match  = string.match
local pairs  = pairs
local pcall  = pcall
local sort   = table.sort
local tonumber = tonumber
local tostring = tostring
local type     = type

local KSR = KSR


-- What is told about a message is none: typing (RFC 3994), and delivered or read (RFC 5438).
local NOTICES = {
  ["application/im-iscomposing+xml"] = true,
  ["message/imdn+xml"] = true,
}

-- To the guard they are receipts, which pass always.
local RECEIPT = '{"messaging_product":"whatsapp","status":"read","message_id":"sip"}'

local MONTHS = {
  Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12,
}


local _M = {}


-- What a source says of this message; nothing where a function of the script's fails.
local function value_of(source)
  if type(source) == "function" then
    local ok, value = pcall(source)
    if not ok then
      KSR.err(format("csw: a function of the options failed: %s\n", tostring(value)))
    end

    return ok and value or nil
  end

  if type(source) ~= "string" then
    return nil
  end

  if find(source, "$", 1, true) then
    return KSR.pv.get(source)
  end

  return source
end


--- The number that an option names: the user part of a URI without its parameters, its escapes resolved.
---@param source csw.kamailio.Source|{ send: csw.kamailio.Source, received: csw.kamailio.Source }
---@param direction "send"|"received"
---@return string
function _M.number(source, direction)
  if type(source) == "table" then
    source = source[direction]
  end

  local user = match(tostring(value_of(source) or ""), "^[^;]*")
  return (gsub(user, "%%(%x%x)", function(digits)
    return char(tonumber(digits, 16))
  end))
end


-- The content type in lower case, and its parameters as they stand.
local function content_type()
  local media, parameters = match(KSR.pv.get("$cT") or "", "^%s*([^;%s]*)%s*(.*)")

  return lower(media or ""), parameters or ""
end


-- A parameter of a header's value.
local function parameter(text, name)
  local pattern = ";%s*" .. name .. "%s*=%s*"

  return match(text, pattern .. '"([^"]*)"') or match(text, pattern .. "([^;%s]+)")
end


--- When it was written (Date; RFC 3261, 20.17), which is long before it arrives where the trunk had to keep it.
---@return integer? at  Unix ms
function _M.written_at()
  local day, name, year, hour, minute, second =
    match(KSR.hdr.get("Date") or "", "^%s*%a+,%s+(%d%d?)%s+(%a+)%s+(%d%d%d%d)%s+(%d%d):(%d%d):(%d%d)%s+GMT")
  local month = MONTHS[name]
  if not month then
    return nil
  end

  -- Years that begin in March have their leap day last.
  year = month > 2 and tonumber(year) or year - 1
  local of_year = floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  local days = 365 * year + floor(year / 4) - floor(year / 100) + floor(year / 400) + of_year - 719468

  local at = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000

  return at > 0 and at or nil
end


--- Whether it only tells of another message: typing, delivered, read.
---@return boolean
function _M.is_notice()
  return NOTICES[content_type()] or false
end


--- The body of the Cloud API that says what this MESSAGE says.
---@param customer string
---@param options csw.kamailio.Options
---@return string
function _M.body(customer, options)
  local media, parameters = content_type()
  if NOTICES[media] then
    return RECEIPT
  end

  local template, language
  local named = value_of(options.template)
  if type(named) == "string" then
    template = match(named, "^%s*([^;%s]*)")
    language = parameter(named, "language")

  elseif options.template_type and media == lower(options.template_type) then
    template = parameter(parameters, "name")
    language = parameter(parameters, "language")
  end

  return guard.body({
    to = customer,
    text = KSR.pv.get("$rb") or "",
    -- What says template and names none is free-form.
    template = template ~= "" and template or nil,
    language = language,
  })
end


--- X-CSW-* as a message carries them.
---@param headers table<string, string>
---@return string
function _M.header_lines(headers)
  local lines = {}
  for name, value in pairs(headers) do
    if find(name, "^X%-CSW%-") then
      lines[#lines + 1] = name .. ": " .. value .. "\r\n"
    end
  end
  sort(lines)

  return concat(lines)
end


return _M
