--- How a text travels as SMS (3GPP TS 23.038 and 23.040): in which alphabet, and in how many parts. Kannel has to be
--- told the one, and cuts off what has too many of the other.

local ceil   = math.ceil
local gmatch = string.gmatch


-- Characters of UTF-8, and the NUL that Lua 5.1 has no other way to write in a pattern.
local CHARACTER = "[%z\1-\127\192-\255][\128-\191]*"

local BASIC = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
  .. "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
local EXTENDED = "^{}\\[~]|€"

local SEPTETS = {}
for char in gmatch(BASIC, CHARACTER) do
  SEPTETS[char] = 1
end
for char in gmatch(EXTENDED, CHARACTER) do
  SEPTETS[char] = 2
end

-- What one SMS holds, and each of several. Of 153 septets one may stay empty, since no pair is cut in two.
local GSM  = { coding = 0, one = 160, each = 152 }
local UCS2 = { coding = 2, one = 70, each = 67 }

local _M = {}


--- How a text is sent: 7 bits for each character where they have all of its characters, else UCS-2.
---@param text string  UTF-8
---@return 0|2 coding  the alphabet, as Kannel numbers it
---@return integer parts
function _M.measure(text)
  local alphabet = GSM
  local septets, units = 0, 0
  for char in gmatch(text, CHARACTER) do
    local weight = SEPTETS[char]
    if not weight then
      alphabet = UCS2
    end

    septets = septets + (weight or 0)
    units = units + (#char > 3 and 2 or 1)
  end

  local length = alphabet == GSM and septets or units
  return alphabet.coding, length <= alphabet.one and 1 or ceil(length / alphabet.each)
end


return _M
