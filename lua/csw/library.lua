--- The C library, and the words of its enumerations: by their numbers, and back.
local ffi = require("ffi")
require("csw.cdefs")


local error = error
local ffi_string = ffi.string


-- The library, looked for where Lua modules are (`?` is libcsw there), then where the system looks.
local function load_library()
  local tried = {}
  for template in package.cpath:gmatch("[^;]+") do
    local path = template:gsub("%?", "libcsw")
    local file = io.open(path, "rb")
    if file then
      file:close()
      return ffi.load(path)
    end
    tried[#tried + 1] = path
  end

  local ok, library = pcall(ffi.load, "csw")
  if ok then
    return library
  end
  error("csw: libcsw.so is in none of these places; name its folder in package.cpath (lua_package_cpath):\n  "
        .. table.concat(tried, "\n  ") .. "\n  " .. library)
end


local C = load_library()


-- The words for the numbers of an enumeration, asked for once each; false where there is none.
local function words(name)
  return setmetatable({}, {
    __index = function(self, number)
      local word = name(number)
      local known = word ~= nil and ffi_string(word)
      self[number] = known
      return known
    end,
  })
end


-- The numbers for its words.
local function numbers(name)
  local by_word = {}
  for number = 1, 64 do
    local word = name(number)
    if word ~= nil then
      by_word[ffi_string(word)] = number
    end
  end
  return by_word
end


return {
  C = C,

  CODES = words(C.csw_code_name),
  STATES = words(C.csw_state_name),
  REASONS = words(C.csw_reason_name),
  CLASSES = words(C.csw_class_name),
  CATEGORIES = words(C.csw_category_name),
  CONVERSATIONS = words(C.csw_conversation_name),
  CONVERSATION_CATEGORIES = words(C.csw_conversation_category_name),
  VERDICTS = words(C.csw_verdict_name),
  CHARGES = words(C.csw_charge_name),
  CHARGE_REASONS = words(C.csw_charge_reason_name),
  NO_AMOUNTS = words(C.csw_no_amount_name),
  BASES = words(C.csw_basis_name),
  MODES = words(C.csw_mode_name),
  FAILS = words(C.csw_fail_name),
  PREFER_FREE = words(C.csw_prefer_free_name),
  STEP_KINDS = words(C.csw_step_kind_name),
  UNFITS = words(C.csw_unfit_name),
  PARCEL_KINDS = words(C.csw_parcel_kind_name),
  KIND_NUMBERS = numbers(C.csw_event_kind_name),
  CLASS_NUMBERS = numbers(C.csw_class_name),
  CATEGORY_NUMBERS = numbers(C.csw_category_name),
  PARCEL_KIND_NUMBERS = numbers(C.csw_parcel_kind_name),
  FATE_NUMBERS = numbers(C.csw_fate_name),
}
