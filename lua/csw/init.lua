--- The customer service window for gateways: the public Lua API.
--
-- LuaJIT goes through the C library (csw.ffi), PUC Lua through a module of its own (csw_native); both give the
-- same results. Times are Unix milliseconds. A fault is nil, message, code; a programmer's mistake is an error.
-- A denied send is a result.
local ABI_VERSION = 1
local WAIT_MS = 30000
local HOUR_MS = 3600000
local MAX_MS = 4294967295
local POLLS = { 0.001, 0.001, 0.002, 0.004, 0.008 }


local type = type
local error = error


-- Not by the global `jit`: there are hosts that complain of globals which are not there.
local backend = require(package.loaded.jit and "csw.ffi" or "csw_native")
if backend.abi_version ~= ABI_VERSION then
  error("csw: the library speaks interface " .. backend.abi_version .. ", these Lua files speak " .. ABI_VERSION
        .. "; install both from one version")
end


---@alias csw.State "open"|"closed"|"unknown"

---@class csw.Window
---@field state csw.State
---@field branch "open"|"closed" the state, with unknown falling where the configuration says
---@field reason string
---@field expires_at integer? the first moment at which it is closed, also when that has passed
---@field last_act integer? the customer's last act that opens a window
---@field free_entry_expires_at integer? when the free entry point ends, if one is open
---@field remaining integer how long it stays open, in ms; 0 when it is not

---@class csw.Decision
---@field verdict "allow"|"deny"
---@field would_deny boolean it would have been denied, were the number's mode not monitor
---@field reason string
---@field class "free_form"|"template"|"reaction"|"receipt"|"unknown"
---@field category string? nil for receipts
---@field estimated boolean the category is a guess
---@field conversation "opens"|"joins"|"none"
---@field conversation_category string?
---@field charge "free"|"billable"|"unknown"|nil nil for denied sends, receipts and reactions
---@field charge_reason string?
---@field amount string? what it would cost by what is known now, an exact decimal
---@field lowest string? the least that it can come to: other than amount where that depends on the free tier
---@field highest string? the most that it can come to
---@field currency string? that the number is billed in
---@field market string? the customer's
---@field no_amount string? why a billable send has no amount
---@field at integer for which moment
---@field business string the phone number id
---@field prefer_free boolean a billable template whose text could go out free-form for nothing
---@field keep boolean give the body to submit_keep once the platform has accepted it
---@field customer string? redacted, for logs
---@field branch "open"|"closed"
---@field window csw.Window
---@field token string what settling the send needs: bytes, not for logs

---@class csw.Instead
---@field kind "block"|"template"|"channel"|"park"
---@field step string as csw.toml writes it, such as "template:order_update"
---@field unfit string? why it cannot serve the send: the next step is to be tried
---@field body string? of a template: what to send instead
---@field decision csw.Decision? about it
---@field location string? of a channel: where the gateway reaches it
---@field text string? of a channel
---@field to string? of a channel: the customer's phone number; of park: the customer as the send names them
---@field id string? of a channel: a fresh id for the text

---@class csw.Parcel
---@field kind "parked"|"nudge"|"refused"
---@field id integer
---@field business string
---@field customer string not for logs
---@field gateway string
---@field in_hand_until integer
---@field waiting integer how many messages of the customer wait, this one among them
---@field dropped integer how many were given up for it
---@field body string? what to send

---@class csw.Event
---@field kind "customer_message"|"customer_call"|"call_accepted"|"business_message"|"sent"|"delivered"|"read"|"failed"
---@field business string the phone number id
---@field customer string a phone number, a user id, or group:<id>
---@field at integer? nil is now; the future is clamped to now
---@field id string? without one nothing is recognised as repeated
---@field class string? of a business_message
---@field category string? of a business_message
---@field template string? of a business_message: the template's name
---@field language string? of a business_message: the template's language
---@field code integer? of a failed: 131047 and 470 close the window
---@field entry_point boolean? of a customer_message: they came through an entry point

---@class csw.Recorded
---@field events integer
---@field repeated boolean everything in it had been recorded before, and nothing changed
---@field ignored integer
---@field unreadable string[] parts that could not be read, each by its place
---@field conversation "opens"|"joins"|"none" what the last message of the business did
---@field conversation_category string?
---@field category string?

---@class csw.Gate
local Gate = {}
Gate.__index = Gate


local _M = {
  VERSION = backend.version,
  ABI_VERSION = ABI_VERSION,
}


-- How this host waits without blocking: nil where blocking is right.
local pause


--- Tells csw how this host waits: the adapters of event loops call it.
---@param sleep (fun(seconds: number): boolean?, string?)? yields; nil, message where that cannot be done now
function _M.pause(sleep)
  pause = sleep
end


local function is_name(key)
  return type(key) == "string" and key:find("^[%w_%-]+$") ~= nil
end


local QUOTED = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }


local function quoted(text)
  return '"' .. text:gsub('[%z\1-\31\127"\\]', function(letter)
    return QUOTED[letter] or ("\\u%04x"):format(letter:byte())
  end) .. '"'
end


-- A configuration table as TOML, each value on one line.
local function as_toml(value)
  if type(value) == "string" then
    return quoted(value)
  end

  if type(value) ~= "table" then
    return type(value) == "number" and ("%.14g"):format(value) or tostring(value)
  end

  local parts = {}
  if #value > 0 then
    for index, item in ipairs(value) do
      parts[index] = as_toml(item)
    end
    return "[" .. table.concat(parts, ", ") .. "]"
  end

  for key, item in pairs(value) do
    parts[#parts + 1] = (is_name(key) and key or quoted(tostring(key))) .. " = " .. as_toml(item)
  end
  table.sort(parts)
  return "{ " .. table.concat(parts, ", ") .. " }"
end


--- Opens a gate: reads and validates the configuration and its secrets, nothing else.
--- The store opens on first use in each process.
---@param config string|table the path of csw.toml, or a table with the same keys
---@return csw.Gate? gate
---@return string? message
---@return string? code
function _M.open(config)
  local core, message, code
  if type(config) == "table" then
    local lines = {}
    for key, value in pairs(config) do
      lines[#lines + 1] = quoted(tostring(key)) .. " = " .. as_toml(value)
    end
    table.sort(lines)
    core, message, code = backend.open_text(table.concat(lines, "\n"))

  elseif type(config) == "string" then
    core, message, code = backend.open(config)

  else
    error("csw.open: expected the path of csw.toml or a table, got " .. type(config), 2)
  end

  if not core then
    return nil, message, code
  end
  return setmetatable({ core = core }, Gate)
end


--- The window by its parts: no table is made. The hot path.
---@return csw.State? state
---@return integer|string|nil expires_at the message, for a fault
---@return string reason the code, for a fault
function Gate:check(business, customer, at)
  return self.core:check(business, customer, at)
end


--- A customer's window at a moment; nil or 0 is now, the future may be asked for.
---@return csw.Window?
---@return string? message
---@return string? code
function Gate:window(business, customer, at)
  return self.core:window(business, customer, at)
end


--- May this send go out, and what would it open and cost? Nothing is recorded.
---@param business string
---@param body string what a client posts: JSON, form fields, or either gzipped
---@param at integer?
---@param endpoint "messages"|"marketing_messages"|nil
---@return csw.Decision?
---@return string? message
---@return string? code "body" and "too_large": never forward it
function Gate:decide(business, body, at, endpoint)
  return self.core:decide(business, body, at, endpoint)
end


--- Takes an event and returns at once.
---@param event csw.Event
---@return integer? ticket
---@return string? message
---@return string? code
function Gate:submit_record(event)
  return self.core:submit_record(event)
end


--- Takes a webhook and returns at once: its signature is verified by the recorder, and what is wrong with it is said
--- by the ticket.
---@return integer? ticket
---@return string? message
---@return string? code
function Gate:submit_ingest(bytes, signature, at)
  return self.core:submit_ingest(bytes, signature, at)
end


--- Takes the platform's answer to a send and returns at once. Until somebody asks for the ticket, others gather with it
--- for up to 10 ms, so that one commit takes them all.
---@param decision csw.Decision|string the decision, or its token
---@return integer? ticket
---@return string? message
---@return string? code
function Gate:submit_settle(decision, http_status, response, at)
  local token = type(decision) == "table" and decision.token or decision
  local status = tonumber(http_status) or error("csw: http_status is " .. tostring(http_status), 2)
  return self.core:submit_settle(token, status, response, at)
end


--- How a ticket stands.
---@param ticket integer
---@return "pending"|"done"|"failed"|"timeout"|"expired"
---@return csw.Recorded|string|nil result what was recorded, or the message
---@return string? code
function Gate:poll(ticket)
  return self.core:poll(ticket)
end


--- Waits until a ticket is decided, at most so long, and says how it stands then. Blocks.
---@param ticket integer
---@param timeout_ms integer
---@return "done"|"failed"|"timeout"|"expired"
---@return csw.Recorded|string|nil result what was recorded, or the message
---@return string? code
function Gate:wait(ticket, timeout_ms)
  return self.core:wait(ticket, timeout_ms)
end


-- Waits until a ticket is decided: by blocking, or by yielding where the host has said how.
local function committed(self, ticket, message, code)
  if not ticket then
    return nil, message, code
  end

  local status, result
  if not pause then
    status, result, code = self.core:wait(ticket, WAIT_MS)

  else
    local polls = 0
    repeat
      polls = polls + 1
      local slept, why = pause(POLLS[polls] or POLLS[#POLLS])
      if not slept then
        return nil, why, "invalid"
      end
      status, result, code = self.core:poll(ticket)
    until status ~= "pending"
  end

  if status == "done" then
    return result
  end
  return nil, result, code or status
end


-- Refuses before anything is taken where this host cannot wait now.
local function cannot_wait()
  if not pause then
    return nil
  end
  local can, why = pause(0)
  return not can and why or nil
end


--- Records an event and returns once it is on disk.
---@param event csw.Event
---@return csw.Recorded?
---@return string? message
---@return string? code
function Gate:record(event)
  local why = cannot_wait()
  if why then
    return nil, why, "invalid"
  end
  return committed(self, self.core:submit_record(event))
end


--- Verifies, parses and records a webhook, and returns once it is on disk.
---@return csw.Recorded?
---@return string? message
---@return string? code
function Gate:ingest(bytes, signature, at)
  local why = cannot_wait()
  if why then
    return nil, why, "invalid"
  end
  return committed(self, self.core:submit_ingest(bytes, signature, at))
end


--- Records the platform's answer to a send, and returns once it is on disk.
---@param decision csw.Decision|string the decision, or its token
---@return csw.Recorded?
---@return string? message
---@return string? code
function Gate:settle(decision, http_status, response, at)
  local why = cannot_wait()
  if why then
    return nil, why, "invalid"
  end
  return committed(self, self:submit_settle(decision, http_status, response, at))
end


--- Calls the branch that the window falls into, and returns what it returns.
---@param branches { open: fun(window: csw.Window), closed: fun(window: csw.Window) }
function Gate:branch(business, customer, branches, at)
  local open, closed = branches.open, branches.closed
  if type(open) ~= "function" or type(closed) ~= "function" then
    error("gate:branch: expected { open = function, closed = function }", 2)
  end

  local window, message, code = self.core:window(business, customer, at)
  if not window then
    return nil, message, code
  end
  return (window.branch == "open" and open or closed)(window)
end


-- What a question found, once its ticket is done: reading runs in a thread of the library, so that no host is held.
local function found(self, rows, ticket, message, code)
  local done
  done, message, code = committed(self, ticket, message, code)
  if not done then
    return nil, message, code
  end
  return self.core[rows](self.core, ticket)
end


--- Totals of the days from one moment to another, both included. Amounts are exact decimals in the row's currency;
--- rows are always grouped by currency.
---@param query { from: integer?, to: integer?, by: string[]? }
---  by: day, business, class, category, conversation_category, charge, charge_reason, market, currency, basis
---@return table[]? rows
---@return string? message
---@return string? code
function Gate:report(query)
  local why = cannot_wait()
  if why then
    return nil, why, "invalid"
  end
  query = query or {}
  return found(self, "report_rows", self.core:submit_report(query.from, query.to, query.by or {}))
end


--- The windows that are open and about to close, soonest first.
---@param query { at: integer?, within: integer?, limit: integer? } within is in ms (an hour), limit is 100
---@return { business: string, customer: string, expires_at: integer }[]?
---@return string? message
---@return string? code
function Gate:expiring(query)
  local why = cannot_wait()
  if why then
    return nil, why, "invalid"
  end
  query = query or {}
  local within, limit = query.within or HOUR_MS, query.limit or 100
  if type(within) ~= "number" or type(limit) ~= "number" or within < 0 or limit < 0 or within > MAX_MS then
    error("csw: within is a number of ms, below 50 days, and limit is a number", 2)
  end
  return found(self, "expiring_rows", self.core:submit_expiring(query.at, within, limit))
end


--- Erases a customer, of one number or of all: what is known of them, and who they were in the ledger. Totals stay.
---@param customer string
---@param business string?
---@return integer? erased how many contacts
---@return string? message
---@return string? code
function Gate:forget(customer, business)
  local why = cannot_wait()
  if why then
    return nil, why, "invalid"
  end
  local done, message, code = committed(self, self.core:submit_forget(customer, business))
  return done and done.events, message, code
end


--- Whether this is a token of the webhook's verification handshake.
---@param token string
---@return boolean
function Gate:handshake(token)
  return self.core:handshake(token)
end


--- What a gateway needs to know of the configuration of a number.
---@param business string?
---@return { fail: "open"|"closed", mode: "enforce"|"monitor"|"off", test_clock: boolean, prefer_free: string,
---  token_file: string? }?
---@return string? message
---@return string? code
function Gate:settings(business)
  return self.core:settings(business)
end


--- What the closed branch of a number makes of a denied send at its step of this index, counted from 0. The last step
--- is always "block".
---@return csw.Instead?
---@return string? message
---@return string? code
function Gate:instead(business, body, at, index)
  return self.core:instead(business, body, at, index or 0)
end


--- Parks a denied send until its customer's next act, and returns at once; `parcel` tells its number once the ticket is
--- done. What a kind of gateway parks is handed out to such a gateway alone.
---@param gateway string its name, such as "nginx"
---@return integer? ticket
---@return string? message
---@return string? code
function Gate:submit_park(gateway, business, body)
  return self.core:submit_park(gateway, business, body)
end


--- Parks a denied send and returns once it is on disk.
---@return csw.Parcel?
---@return string? message
---@return string? code
function Gate:park(gateway, business, body)
  local why = cannot_wait()
  if why then
    return nil, why, "invalid"
  end
  local ticket, message, code = self.core:submit_park(gateway, business, body)
  local done
  done, message, code = committed(self, ticket, message, code)
  if not done then
    return nil, message, code
  end
  return self.core:parcel(ticket)
end


--- Whether there is anything for a kind of gateway to take now: as cheap as `check`.
---@param gateway string
---@return boolean?
---@return string? message
---@return string? code
function Gate:due(gateway)
  return self.core:due(gateway)
end


--- Takes the next parked message that may go out, or something else to be sent; `parcel` has it once that is done.
--- Nothing is handed out twice: say within a minute what became of it.
---@param gateway string
---@param at integer?
---@return integer? ticket
---@return string? message
---@return string? code
function Gate:submit_take(gateway, at)
  return self.core:submit_take(gateway, at)
end


--- What a ticket of `submit_park` or `submit_take` that is done is about; nil where there is nothing to do.
---@param ticket integer
---@return csw.Parcel?
---@return string? message
---@return string? code
function Gate:parcel(ticket)
  return self.core:parcel(ticket)
end


--- Says what became of a parcel that was taken.
---@param parcel csw.Parcel
---@param fate "sent"|"closed"|"later"|"refused"|"lost"
---@return integer? ticket
---@return string? message
---@return string? code
function Gate:submit_return(parcel, fate)
  return self.core:submit_return(parcel, fate)
end


--- Keeps the body of an accepted send until its delivery is heard of, so that the closed branch can be run for it
--- should the platform refuse it after all. For decisions whose `keep` is true.
---@param gateway string
---@param decision csw.Decision|string the decision, or its token
---@return integer? ticket
---@return string? message
---@return string? code
function Gate:submit_keep(gateway, decision, http_status, response, body)
  local token = type(decision) == "table" and decision.token or decision
  local status = tonumber(http_status) or error("csw: http_status is " .. tostring(http_status), 2)
  return self.core:submit_keep(gateway, token, status, response, body)
end


--- Chooses one of the two sends of a workflow's request by the customer's window: JSON with `business`, `customer`,
--- `open` and `closed`, and `at` for a later moment, for which it only tells which it would be (`forecast`).
---@param request string
---@param at integer?
---@return { business: string, branch: "open"|"closed", forecast: boolean, body: string }?
---@return string? message
---@return string? code "body" names the key at fault
function Gate:choose(request, at)
  return self.core:choose(request, at)
end


--- What all processes of the host have done, in Prometheus's text format.
---@return string?
---@return string? message
---@return string? code
function Gate:metrics()
  return self.core:metrics()
end


--- Waits until everything submitted is on disk or has failed, at most so long. Blocks.
---@param timeout_ms integer?
---@return true?
---@return string? message
---@return string? code
function Gate:flush(timeout_ms)
  return self.core:flush(timeout_ms or WAIT_MS)
end


--- Closes the gate; it answers every later call with a fault.
function Gate:close()
  self.core:close()
end


return _M
