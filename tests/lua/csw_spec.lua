-- The Lua API, the same on LuaJIT (ffi) and PUC Lua (native). The rules are tested in Rust; here it is the bridge.
local csw = require("csw")


local BUSINESS, CUSTOMER = "106540352242922", "16505551234"
local HOUR = 3600 * 1000
-- Some days ago: what is recorded is clamped to the clock.
local NOON = 1700000000000
local TEXT = '{"messaging_product":"whatsapp","to":"16505551234","type":"text","text":{"body":"Hello"}}'
local TEMPLATE = '{"messaging_product":"whatsapp","to":"16505551234","type":"template",'
  .. '"template":{"name":"sale","language":{"code":"en_US"}}}'
local ACCEPTED = '{"messaging_product":"whatsapp","contacts":[{"input":"16505551234","wa_id":"16505551234"}],'
  .. '"messages":[{"id":"%s"}]}'
local REFUSED = '{"error":{"message":"(#131047) Re-engagement message","code":131047}}'


local function open(more)
  local config = { store = "memory:" }
  for key, value in pairs(more or {}) do
    config[key] = value
  end
  return assert(csw.open(config))
end


local function customer_writes(gate, at, id)
  return assert(gate:record({ kind = "customer_message", business = BUSINESS, customer = CUSTOMER, at = at, id = id }))
end


describe("csw.open", function()
  it("takes a table with the keys of csw.toml", function()
    local gate = open({ numbers = { [BUSINESS] = { mode = "monitor" } }, test_clock = true, fail = "open" })
    assert.same({ fail = "open", mode = "monitor", test_clock = true, prefer_free = "off" }, gate:settings(BUSINESS))
    assert.same("enforce", gate:settings().mode)
  end)

  it("says what is wrong with a configuration", function()
    local gate, message, code = csw.open({ store = "memory:", rulez = "guide" })
    assert.is_nil(gate)
    assert.equal("config", code)
    assert.matches("did you mean `rules`", message, 1, true)
  end)

  it("quotes whatever a table holds", function()
    local gate, message, code = csw.open({ store = 'x"\n\\y' })
    assert.is_nil(gate)
    assert.equal("config", code)
    assert.matches("store", message)
  end)

  it("names a file that is not there", function()
    local gate, message, code = csw.open("/nowhere/csw.toml")
    assert.is_nil(gate)
    assert.equal("config", code)
    assert.matches("/nowhere/csw.toml", message, 1, true)
  end)

  it("refuses anything else as a mistake of the program", function()
    assert.has_error(function() csw.open(42) end)
  end)

  it("states the versions of library and interface", function()
    assert.matches("^%d+%.%d+%.%d+$", csw.VERSION)
    assert.equal(1, csw.ABI_VERSION)
  end)
end)


describe("a window", function()
  it("is unknown before anything was recorded", function()
    local state, expires_at, reason = open():check(BUSINESS, CUSTOMER)
    assert.equal("unknown", state)
    assert.is_nil(expires_at)
    assert.equal("never_seen", reason)
  end)

  it("is open for 24 hours from the customer's message, to the millisecond", function()
    local gate = open()
    customer_writes(gate, NOON)
    local expiry = NOON + 24 * HOUR
    assert.same({ "open", expiry, "window_open" }, { gate:check(BUSINESS, CUSTOMER, expiry - 1) })
    assert.same({ "closed", expiry, "window_closed" }, { gate:check(BUSINESS, CUSTOMER, expiry) })
  end)

  it("is told whole", function()
    local gate = open()
    customer_writes(gate, NOON)
    assert.same({
      state = "open",
      branch = "open",
      reason = "window_open",
      expires_at = NOON + 24 * HOUR,
      last_act = NOON,
      remaining = 23 * HOUR,
    }, gate:window(BUSINESS, CUSTOMER, NOON + HOUR))
  end)

  it("can be asked for a number given as a number", function()
    assert.equal("unknown", (open():check(106540352242922, 16505551234)))
  end)

  it("faults on a customer that cannot be read, without showing it", function()
    local state, message, code = open():check(BUSINESS, "whatsapp:+447700900123")
    assert.is_nil(state)
    assert.equal("invalid", code)
    assert.is_nil(message:find("7700900123", 1, true))
  end)

  it("raises on a customer that is no string", function()
    assert.has_error(function() open():check(BUSINESS, nil) end)
    assert.has_error(function() open():check(BUSINESS, {}) end)
  end)
end)


describe("a decision", function()
  it("stops free-form messages outside the window and lets templates through", function()
    local gate = open()
    local stopped = assert(gate:decide(BUSINESS, TEXT, NOON))
    assert.same({ "deny", "never_seen", "free_form", "none" },
                { stopped.verdict, stopped.reason, stopped.class, stopped.conversation })
    assert.is_nil(stopped.charge)
    assert.equal("unknown", stopped.window.state)

    local passed = assert(gate:decide(BUSINESS, TEMPLATE, NOON))
    assert.same({ "allow", "template", "template", "opens", "marketing", "billable" },
                { passed.verdict, passed.reason, passed.class, passed.conversation, passed.conversation_category,
                  passed.charge })
    assert.is_true(passed.estimated)
  end)

  it("becomes a message once the platform has accepted the send", function()
    local gate = open()
    local decision = assert(gate:decide(BUSINESS, TEMPLATE, NOON))
    local recorded = assert(gate:settle(decision, 200, ACCEPTED:format("wamid.1"), NOON))
    assert.same({ "opens", "marketing", false },
                { recorded.conversation, recorded.conversation_category, recorded.repeated })
    assert.equal("joins", gate:decide(BUSINESS, TEMPLATE, NOON + HOUR).conversation)
    assert.is_true(gate:settle(decision, 200, ACCEPTED:format("wamid.1"), NOON).repeated)
  end)

  it("can be settled by its token alone", function()
    local gate = open()
    local token = gate:decide(BUSINESS, TEMPLATE, NOON).token
    assert.equal("opens", gate:settle(token, 200, ACCEPTED:format("wamid.1"), NOON).conversation)
    local recorded, _, code = gate:settle("no token", 200, "{}", NOON)
    assert.is_nil(recorded)
    assert.equal("invalid", code)
  end)

  it("closes the window when the platform refuses the send", function()
    local gate = open()
    customer_writes(gate, NOON)
    local decision = assert(gate:decide(BUSINESS, TEXT, NOON + HOUR))
    assert.equal("allow", decision.verdict)
    assert(gate:settle(decision, 400, REFUSED, NOON + HOUR))
    assert.same("refused_by_platform", select(3, gate:check(BUSINESS, CUSTOMER, NOON + HOUR)))
  end)

  it("takes the endpoint into account", function()
    local gate = open()
    assert.equal("marketing", gate:decide(BUSINESS, TEMPLATE, NOON, "marketing_messages").category)
    assert.has_error(function() gate:decide(BUSINESS, TEMPLATE, NOON, "elsewhere") end)
  end)

  it("faults on a body that cannot be read", function()
    local decision, message, code = open():decide(BUSINESS, "{", NOON)
    assert.is_nil(decision)
    assert.equal("body", code)
    assert.is_string(message)
  end)
end)


describe("recording", function()
  it("recognises what was recorded before", function()
    local gate = open()
    assert.is_false(customer_writes(gate, NOON, "wamid.7").repeated)
    assert.is_true(customer_writes(gate, NOON + HOUR, "wamid.7").repeated)
    assert.equal(NOON, gate:window(BUSINESS, CUSTOMER, NOON).last_act)
  end)

  it("tells what a message of the business did", function()
    local gate = open()
    local event = { kind = "business_message", business = BUSINESS, customer = CUSTOMER, at = NOON, id = "wamid.1",
                    category = "utility" }
    local recorded = assert(gate:record(event))
    assert.same({ "opens", "utility", "utility" },
                { recorded.conversation, recorded.conversation_category, recorded.category })
  end)

  it("opens a free entry point", function()
    local gate = open()
    assert(gate:record({ kind = "customer_message", business = BUSINESS, customer = CUSTOMER, at = NOON,
                         entry_point = true }))
    assert.same({ "open", NOON + 72 * HOUR, "free_entry_point" }, { gate:check(BUSINESS, CUSTOMER, NOON + 30 * HOUR) })
  end)

  it("raises on words that are none", function()
    local gate = open()
    assert.has_error(function() gate:record({ kind = "message", business = BUSINESS, customer = CUSTOMER }) end)
    assert.has_error(function() gate:record({ business = BUSINESS, customer = CUSTOMER }) end)
    assert.has_error(function()
      gate:record({ kind = "business_message", business = BUSINESS, customer = CUSTOMER, category = "spam" })
    end)
    assert.has_error(function() gate:record("customer_message") end)
  end)

  it("refuses a webhook without a secret", function()
    local recorded, message, code = open():ingest("{}", "sha256=00", NOON)
    assert.is_nil(recorded)
    assert.equal("signature", code)
    assert.matches("secret", message)
  end)
end)


describe("a ticket", function()
  it("is pending until it is done", function()
    local gate = open()
    local ticket = assert(gate:submit_record({ kind = "customer_message", business = BUSINESS, customer = CUSTOMER,
                                               at = NOON }))
    assert.is_number(ticket)
    assert.is_true(gate:flush(10000))
    local status, recorded = gate:poll(ticket)
    assert.equal("done", status)
    assert.equal(1, recorded.events)
  end)

  it("says why it failed", function()
    local gate = open()
    local ticket = assert(gate:submit_ingest("{}", nil, NOON))
    assert(gate:flush(10000))
    local status, message, code = gate:poll(ticket)
    assert.same({ "failed", "signature" }, { status, code })
    assert.is_string(message)
  end)

  it("is waited for, with a bound", function()
    local gate = open()
    local ticket = assert(gate:submit_record({ kind = "customer_message", business = BUSINESS, customer = CUSTOMER,
                                               at = NOON }))
    local status, recorded = gate:wait(ticket, 10000)
    assert.equal("done", status)
    assert.equal(1, recorded.events)
    assert.equal("done", (gate:wait(ticket, 0)))
  end)

  it("that was never issued is a fault", function()
    local status, _, code = open():poll(77)
    assert.same({ "failed", "invalid" }, { status, code })
    status, _, code = open():wait(77, 0)
    assert.same({ "failed", "invalid" }, { status, code })
  end)
end)


describe("a host that waits by yielding", function()
  after_each(function() csw.pause(nil) end)

  it("is let go until the commit", function()
    local gate, sleeps = open(), 0
    csw.pause(function() sleeps = sleeps + 1 return true end)
    customer_writes(gate, NOON)
    assert.equal("open", (gate:check(BUSINESS, CUSTOMER, NOON)))
    assert.is_true(sleeps > 0)
  end)

  it("is told to submit where it cannot yield, and nothing is recorded", function()
    local gate = open()
    csw.pause(function() return nil, "use submit_record here" end)
    local recorded, message, code = gate:record({ kind = "customer_message", business = BUSINESS,
                                                  customer = CUSTOMER, at = NOON })
    assert.is_nil(recorded)
    assert.same({ "use submit_record here", "invalid" }, { message, code })
    assert.is_true(gate:flush())
    assert.equal("unknown", (gate:check(BUSINESS, CUSTOMER, NOON)))
  end)
end)


describe("a branch", function()
  it("is the one that the window falls into", function()
    local gate = open()
    customer_writes(gate, NOON)
    local branches = {
      open = function(window) return "free-form until " .. ("%d"):format(window.expires_at) end,
      closed = function(window) return "template: " .. window.reason end,
    }
    assert.equal("free-form until " .. ("%d"):format(NOON + 24 * HOUR), gate:branch(BUSINESS, CUSTOMER, branches, NOON))
    assert.equal("template: window_closed", gate:branch(BUSINESS, CUSTOMER, branches, NOON + 24 * HOUR))
    assert.has_error(function() gate:branch(BUSINESS, CUSTOMER, { open = print }) end)
  end)
end)


describe("a report", function()
  it("groups totals by what is asked", function()
    local gate = open()
    for index, category in ipairs({ "marketing", "utility", "utility" }) do
      assert(gate:record({ kind = "business_message", business = BUSINESS, customer = CUSTOMER, at = NOON,
                           id = "wamid." .. index, category = category }))
    end
    local rows = assert(gate:report({ from = NOON, to = NOON, by = { "day", "category" } }))
    local function row(more)
      local all = { day = "2023-11-14", reported = 0, unpriced = 1, stopped = 0, refused = 0, dropped = 0,
                    amount = "0" }
      for key, value in pairs(more) do
        all[key] = value
      end
      return all
    end
    assert.same({
      row({ category = "marketing", messages = 1, conversations = 1, free = 0, billable = 1 }),
      row({ category = "utility", messages = 2, conversations = 1, free = 1, billable = 1 }),
    }, rows)
    assert.has_error(function() gate:report({ by = { "week" } }) end)
  end)

  it("is empty where nothing happened", function()
    assert.same({}, open():report({ from = NOON, to = NOON }))
  end)
end)


describe("the cost of a send", function()
  it("has no amount where the number has no currency, and says so", function()
    local decision = assert(open():decide(BUSINESS, TEMPLATE, NOON))
    assert.same({ "billable", nil, "no_currency", nil, "north_america" },
                { decision.charge, decision.amount, decision.no_amount, decision.currency, decision.market })
  end)

  it("is nothing for what is free", function()
    local gate = open({ currency = "EUR" })
    customer_writes(gate, NOON)
    local decision = assert(gate:decide(BUSINESS, TEXT, NOON))
    assert.same({ "0", "0", "0", "EUR", nil },
                { decision.amount, decision.lowest, decision.highest, decision.currency, decision.no_amount })
  end)
end)


describe("the books", function()
  it("count a send that was stopped once its decision is settled", function()
    local gate = open()
    local decision = assert(gate:decide(BUSINESS, TEXT, NOON))
    assert.equal("deny", decision.verdict)
    assert(gate:settle(decision, 400, nil, NOON))
    local rows = assert(gate:report({ from = NOON, to = NOON, by = { "charge", "market", "basis", "currency" } }))
    assert.same({ 1, 0 }, { rows[1].stopped, rows[1].messages })
  end)

  it("name the windows about to close, soonest first", function()
    local gate = open()
    for index = 1, 3 do
      assert(gate:record({ kind = "customer_message", business = BUSINESS, customer = "1650555100" .. index,
                           at = NOON + index * HOUR }))
    end
    local rows = assert(gate:expiring({ at = NOON + 24 * HOUR, within = 2 * HOUR }))
    assert.same({
      { business = BUSINESS, customer = "16505551001", expires_at = NOON + 25 * HOUR },
      { business = BUSINESS, customer = "16505551002", expires_at = NOON + 26 * HOUR },
    }, rows)
    assert.equal(1, #assert(gate:expiring({ at = NOON + 24 * HOUR, within = 2 * HOUR, limit = 1 })))
  end)

  it("keep their totals when a customer is erased", function()
    local gate = open()
    customer_writes(gate, NOON, "wamid.in")
    assert(gate:record({ kind = "business_message", business = BUSINESS, customer = CUSTOMER, at = NOON,
                         id = "wamid.out", template = "sale", language = "en_US", category = "marketing" }))
    assert.equal(1, gate:forget(CUSTOMER))
    assert.equal(0, gate:forget(CUSTOMER, BUSINESS))
    assert.equal("unknown", (gate:check(BUSINESS, CUSTOMER, NOON)))
    assert.equal(1, assert(gate:report({ from = NOON, to = NOON }))[1].messages)
    local erased, message, code = gate:forget("nobody")
    assert.same({ nil, "invalid" }, { erased, code })
    assert.matches("customer", message)
  end)
end)


describe("the closed branch", function()
  local STEPS = {
    account = "1",
    closed = {
      steps = { "template:order_update", "channel:sms", "park" },
      again = true,
      template = { order_update = { categories = { "utility" } } },
      channel = { sms = { location = "/sms" } },
      park = { nudge = "we_have_news/en_US" },
    },
  }

  it("tells step by step what can be done in place of a denied send", function()
    local gate = open(STEPS)
    local template = assert(gate:instead(BUSINESS, TEXT, NOON, 0))
    assert.same({ kind = "template", step = "template:order_update", unfit = "template_unknown" }, template)
    local channel = assert(gate:instead(BUSINESS, TEXT, NOON, 1))
    assert.matches("^csw%.%x+$", channel.id)
    channel.id = nil
    assert.same({ kind = "channel", step = "channel:sms", location = "/sms", to = CUSTOMER, text = "Hello" }, channel)
    assert.same({ kind = "park", step = "park", to = CUSTOMER }, (gate:instead(BUSINESS, TEXT, NOON, 2)))
    assert.same({ kind = "block", step = "block" }, (gate:instead(BUSINESS, TEXT, NOON, 3)))
    local step, message, code = gate:instead(BUSINESS, "no json", NOON, 2)
    assert.same({ nil, "body" }, { step, code })
    assert.matches("expected a JSON object", message)
  end)

  it("parks a message and hands it out once the customer writes, once", function()
    local gate = open(STEPS)
    local parked = assert(gate:park("spec", BUSINESS, TEXT))
    assert.same({ "parked", BUSINESS, CUSTOMER, 1, 0 },
                { parked.kind, parked.business, parked.customer, parked.waiting, parked.dropped })
    assert.is_nil(parked.body)

    local function take()
      local ticket = assert(gate:submit_take("spec"))
      assert(gate:flush())
      return gate:parcel(ticket)
    end
    local nudge = take()
    assert.equal("nudge", nudge.kind)
    assert.matches("we_have_news", nudge.body)
    assert.is_false(gate:due("spec"))
    assert.is_nil((take()))

    assert(gate:record({ kind = "customer_message", business = BUSINESS, customer = CUSTOMER }))
    assert.is_true(gate:due("spec"))
    assert.is_false(gate:due("other"))
    local parcel = take()
    assert.same({ "parked", parked.id, TEXT }, { parcel.kind, parcel.id, parcel.body })
    assert(gate:submit_return(parcel, "sent"))
    assert(gate:flush())
    assert.is_nil((take()))
    assert.has_error(function() gate:submit_return(parcel, "eaten") end)
  end)

  it("hands out a message that the platform refused after all", function()
    local gate = open(STEPS)
    assert(gate:record({ kind = "customer_message", business = BUSINESS, customer = CUSTOMER }))
    local decision = assert(gate:decide(BUSINESS, TEXT))
    assert.is_true(decision.keep)
    assert.equal("16*******34", decision.customer)
    assert(gate:settle(decision, 200, ACCEPTED:format("wamid.1")))
    assert(gate:submit_keep("spec", decision, 200, ACCEPTED:format("wamid.1"), TEXT))
    assert(gate:record({ kind = "failed", business = BUSINESS, customer = CUSTOMER, id = "wamid.1", code = 131047 }))
    local ticket = assert(gate:submit_take("spec"))
    assert(gate:flush())
    assert.same({ "refused", TEXT }, { gate:parcel(ticket).kind, gate:parcel(ticket).body })
  end)

  it("chooses the send of a workflow by the window", function()
    local gate = open()
    local request = '{"business":"%s","customer":"%s","open":{"type":"text","text":{"body":"Hello"}},'
      .. '"closed":{"type":"template","template":{"name":"sale","language":{"code":"en"}}}%s}'
    local choice = assert(gate:choose(request:format(BUSINESS, CUSTOMER, "")))
    assert.same({ BUSINESS, "closed", false }, { choice.business, choice.branch, choice.forecast })
    assert.matches('"name":"sale"', choice.body, 1, true)
    assert(gate:record({ kind = "customer_message", business = BUSINESS, customer = CUSTOMER }))
    assert.equal("open", gate:choose(request:format(BUSINESS, CUSTOMER, "")).branch)
    assert.is_true(gate:choose(request:format(BUSINESS, CUSTOMER, ',"at":4102444800000')).forecast)
    local none, message, code = gate:choose("{}")
    assert.same({ nil, "body" }, { none, code })
    assert.matches("business", message)
  end)

  it("reads bodies that are larger than what was read before", function()
    local gate = open({ closed = { steps = { "channel:sms" }, channel = { sms = {} } } })
    for _, length in ipairs({ 10, 200000, 20 }) do
      local body = TEXT:gsub("Hello", ("x"):rep(length))
      assert.equal(length, #gate:instead(BUSINESS, body, NOON, 0).text)
    end
  end)

  it("counts what was decided", function()
    local gate = open()
    gate:decide(BUSINESS, TEXT, NOON)
    local metrics = assert(gate:metrics())
    assert.matches('csw_decisions_total{verdict="deny",reason="never_seen"} 1\n', metrics, 1, true)
  end)
end)


describe("a closed gate", function()
  it("answers with a fault, however often it is closed", function()
    local gate = open()
    gate:close()
    gate:close()
    local state, message, code = gate:check(BUSINESS, CUSTOMER)
    assert.is_nil(state)
    assert.equal("invalid", code)
    assert.matches("closed", message)
  end)

  it("is closed by the collector as well", function()
    for index = 1, 2000 do
      open()
      if index % 500 == 0 then
        collectgarbage()
        collectgarbage()
      end
    end
    assert.is_table(open())
  end)
end)


describe("the handshake", function()
  it("knows no token where none is configured", function()
    assert.is_false(open():handshake("anything"))
  end)
end)
