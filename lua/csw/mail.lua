--- How an e-mail looks (RFC 5322, MIME): one text for one recipient.

local concat = table.concat
local date   = os.date
local find   = string.find
local gsub   = string.gsub
local match  = string.match
local min    = math.min
local sub    = string.sub
local type   = type

local encode_base64 = ngx.encode_base64


-- Narrower than RFC 5321: nothing that is quoted, and nothing that could end a command or a header.
local ADDRESS = "^[%w.!#$%%&'*+/=?^_~-]+@%w[%w.-]*$"
local MAX_ADDRESS = 254

-- Lines have at most 76 characters, also with an encoded word behind the header's name (RFC 2045, RFC 2047).
local WORD_BYTES = 39
local LINE_BYTES = 57

local _M = {}


--- Whether it is an address that may stand in commands and headers.
---@return boolean
function _M.is_address(text)
  return type(text) == "string" and #text <= MAX_ADDRESS and find(text, ADDRESS) ~= nil
end


-- As encoded words, cut between characters; plain where nothing needs encoding.
local function header_text(text)
  if #text <= WORD_BYTES and not find(text, "[^ -~]") and not find(text, "=?", 1, true) then
    return text
  end

  local words, first = {}, 1
  while first <= #text do
    local last = min(first + WORD_BYTES - 1, #text)
    while last > first and find(text, "^[\128-\191]", last + 1) do
      last = last - 1
    end
    words[#words + 1] = "=?utf-8?B?" .. encode_base64(sub(text, first, last)) .. "?="
    first = last + 1
  end

  return concat(words, "\r\n ")
end


--- The message, and the dot that ends it. Base64 lets every text through as it is, and no line of it begins with one.
---@param from string      an address, as is `to`
---@param to string
---@param subject string
---@param letter csw.Letter
---@return string
function _M.message(from, to, subject, letter)
  local lines = {
    "Date: " .. date("!%a, %d %b %Y %H:%M:%S +0000"),
    "From: <" .. from .. ">",
    "To: <" .. to .. ">",
    "Subject: " .. header_text(subject),
    "Message-ID: <" .. letter.id .. "@" .. match(from, "@(.*)") .. ">",
    "Auto-Submitted: auto-generated",
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: base64",
    "",
  }
  local text = gsub(gsub(letter.text, "\r\n?", "\n"), "\n", "\r\n")
  for first = 1, #text, LINE_BYTES do
    lines[#lines + 1] = encode_base64(sub(text, first, first + LINE_BYTES - 1))
  end
  lines[#lines + 1] = "."

  return concat(lines, "\r\n")
end


return _M
