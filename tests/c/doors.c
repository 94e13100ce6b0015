// The ordinary use of every function, on both stores.
#define _POSIX_C_SOURCE 200809L

#include "check.h"
#include <poll.h>
#include <unistd.h>

// Made with `printf %s "$body" | openssl dgst -sha256 -hmac "$SECRET"`.
#define SECRET "app secret"
#define WEBHOOK(messages)                                                                                              \
    "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"102290129340398\",\"changes\":[{"                  \
    "\"field\":\"messages\",\"value\":{\"messaging_product\":\"whatsapp\",\"metadata\":{"                              \
    "\"display_phone_number\":\"15550783881\",\"phone_number_id\":\"106540352242922\"},\"messages\":[" messages        \
    "]}}]}]}"
#define MESSAGE(id, timestamp)                                                                                         \
    "{\"from\":\"16505550300\",\"id\":\"" id "\",\"timestamp\":\"" timestamp                                           \
    "\",\"type\":\"text\",\"text\":{\"body\":\"hi\"}}"
#define ONE_MESSAGE WEBHOOK(MESSAGE("wamid.in", "1699956000"))
#define ONE_MESSAGE_SIGNATURE "sha256=2f83442667791d0244683971457ec4beb4d8a4868e3e5d5af52ee4cdccfb6c17"
#define HALF_READABLE WEBHOOK(MESSAGE("wamid.in2", "1699956000") "," MESSAGE("wamid.in3", "soon"))
#define HALF_READABLE_SIGNATURE "sha256=1a2cd66395e317ee92acf16e3921e909c164ae1b55f9debc38422ae7e5f96a8d"
#define NOT_JSON "not json"
#define NOT_JSON_SIGNATURE "sha256=13c85a378d5ccf68c2add6d86384690e76ae2c592b90305fbf95499fa69aa584"

#define TEXT "{\"messaging_product\":\"whatsapp\",\"to\":\"" CUSTOMER "\",\"type\":\"text\",\"text\":{\"body\":\"hi\"}}"
#define TEMPLATE(name)                                                                                                 \
    "{\"messaging_product\":\"whatsapp\",\"to\":\"" CUSTOMER "\",\"type\":\"template\",\"template\":{\"name\":\"" name \
    "\",\"language\":{\"code\":\"en\"}}}"
#define RECEIPT "{\"messaging_product\":\"whatsapp\",\"status\":\"read\",\"message_id\":\"wamid.in\"}"
#define ACCEPTED(id)                                                                                                   \
    "{\"messaging_product\":\"whatsapp\",\"contacts\":[{\"input\":\"" CUSTOMER "\",\"wa_id\":\"" CUSTOMER              \
    "\"}],\"messages\":[{\"id\":\"" id "\"}]}"
#define REFUSED "{\"error\":{\"message\":\"(#131047) Re-engagement message\",\"code\":131047}}"

#define CONFIG(store)                                                                                                  \
    "store = \"" store "\"\n"                                                                                          \
    "fail = \"open\"\n"                                                                                                \
    "test_clock = true\n"                                                                                              \
    "[webhook]\n"                                                                                                      \
    "secret_env = \"CSW_TEST_SECRET\"\n"                                                                               \
    "verify_token_env = \"CSW_TEST_TOKEN\"\n"                                                                          \
    "[templates.category]\n"                                                                                           \
    "order_update = \"utility\"\n"                                                                                     \
    "[numbers.5550001]\n"                                                                                              \
    "mode = \"monitor\"\n"

static csw_error error = {.size = sizeof error};

static void versions_are_those_of_the_header(void)
{
    CHECK(strcmp(csw_version(), CSW_VERSION) == 0);
    CHECK(csw_abi_version() == CSW_ABI_VERSION);
}

struct word {
    int32_t number;
    const char *word;
};

// A name for every number of the list, and for no other.
static void names_are(const char *(*name_of)(int32_t), const struct word *words, size_t count)
{
    for (int32_t number = -100; number <= 100; number++) {
        const char *expected = NULL;
        for (size_t i = 0; i < count; i++)
            if (words[i].number == number)
                expected = words[i].word;
        const char *name = name_of(number);
        CHECK(expected == NULL ? name == NULL : name != NULL && strcmp(name, expected) == 0);
    }
    CHECK(name_of(INT32_MIN) == NULL && name_of(INT32_MAX) == NULL);
}

#define NAMES_ARE(name_of, ...)                                                                                        \
    names_are(name_of, (const struct word[]){__VA_ARGS__},                                                             \
              sizeof((const struct word[]){__VA_ARGS__}) / sizeof(struct word))

static void every_value_has_its_word(void)
{
    NAMES_ARE(csw_code_name, {CSW_OK, "ok"}, {CSW_PENDING, "pending"}, {CSW_CODE_INVALID, "invalid"},
              {CSW_CODE_CONFIG, "config"}, {CSW_CODE_BODY, "body"}, {CSW_CODE_NOT_JSON, "not_json"},
              {CSW_CODE_SIGNATURE, "signature"}, {CSW_CODE_TOO_LARGE, "too_large"}, {CSW_CODE_BUSY, "busy"},
              {CSW_CODE_TIMEOUT, "timeout"}, {CSW_CODE_EXPIRED, "expired"}, {CSW_CODE_FORKED, "forked"},
              {CSW_CODE_STORE, "store"}, {CSW_CODE_FORMAT, "format"}, {CSW_CODE_INTERNAL, "internal"});
    NAMES_ARE(csw_state_name, {CSW_STATE_OPEN, "open"}, {CSW_STATE_CLOSED, "closed"}, {CSW_STATE_UNKNOWN, "unknown"});
    NAMES_ARE(csw_reason_name, {CSW_REASON_WINDOW_OPEN, "window_open"},
              {CSW_REASON_FREE_ENTRY_POINT, "free_entry_point"}, {CSW_REASON_TEMPLATE, "template"},
              {CSW_REASON_RECEIPT, "receipt"}, {CSW_REASON_WINDOW_CLOSED, "window_closed"},
              {CSW_REASON_NEVER_SEEN, "never_seen"}, {CSW_REASON_REFUSED_BY_PLATFORM, "refused_by_platform"},
              {CSW_REASON_TEMPLATE_NOT_APPROVED, "template_not_approved"},
              {CSW_REASON_TEMPLATE_UNKNOWN, "template_unknown"}, {CSW_REASON_NUMBER_NOT_ENABLED, "number_not_enabled"},
              {CSW_REASON_USER_ID_IN_TO, "user_id_in_to"}, {CSW_REASON_OVER_COST, "over_cost"},
              {CSW_REASON_FAULT_OPEN, "fault_open"}, {CSW_REASON_FAULT_CLOSED, "fault_closed"});
    NAMES_ARE(csw_event_kind_name, {CSW_EVENT_KIND_CUSTOMER_MESSAGE, "customer_message"},
              {CSW_EVENT_KIND_CUSTOMER_CALL, "customer_call"}, {CSW_EVENT_KIND_CALL_ACCEPTED, "call_accepted"},
              {CSW_EVENT_KIND_BUSINESS_MESSAGE, "business_message"}, {CSW_EVENT_KIND_SENT, "sent"},
              {CSW_EVENT_KIND_DELIVERED, "delivered"}, {CSW_EVENT_KIND_READ, "read"}, {CSW_EVENT_KIND_FAILED, "failed"},
              {CSW_EVENT_KIND_TEMPLATE_STATUS, "template_status"},
              {CSW_EVENT_KIND_TEMPLATE_CATEGORY, "template_category"}, {CSW_EVENT_KIND_IDENTITY, "identity"});
    NAMES_ARE(csw_class_name, {CSW_CLASS_FREE_FORM, "free_form"}, {CSW_CLASS_TEMPLATE, "template"},
              {CSW_CLASS_REACTION, "reaction"}, {CSW_CLASS_RECEIPT, "receipt"}, {CSW_CLASS_UNKNOWN, "unknown"});
    NAMES_ARE(csw_category_name, {CSW_CATEGORY_MARKETING, "marketing"}, {CSW_CATEGORY_UTILITY, "utility"},
              {CSW_CATEGORY_AUTHENTICATION, "authentication"},
              {CSW_CATEGORY_AUTHENTICATION_INTERNATIONAL, "authentication_international"},
              {CSW_CATEGORY_SERVICE, "service"}, {CSW_CATEGORY_UNKNOWN, "unknown"});
    NAMES_ARE(csw_conversation_name, {CSW_CONVERSATION_OPENS, "opens"}, {CSW_CONVERSATION_JOINS, "joins"},
              {CSW_CONVERSATION_NONE, "none"});
    NAMES_ARE(csw_conversation_category_name, {CSW_CONVERSATION_CATEGORY_MARKETING, "marketing"},
              {CSW_CONVERSATION_CATEGORY_UTILITY, "utility"},
              {CSW_CONVERSATION_CATEGORY_AUTHENTICATION, "authentication"},
              {CSW_CONVERSATION_CATEGORY_SERVICE, "service"},
              {CSW_CONVERSATION_CATEGORY_FREE_ENTRY_POINT, "free_entry_point"});
    NAMES_ARE(csw_verdict_name, {CSW_VERDICT_ALLOW, "allow"}, {CSW_VERDICT_DENY, "deny"});
    NAMES_ARE(csw_charge_name, {CSW_CHARGE_FREE, "free"}, {CSW_CHARGE_BILLABLE, "billable"},
              {CSW_CHARGE_UNKNOWN, "unknown"});
    NAMES_ARE(csw_charge_reason_name, {CSW_CHARGE_REASON_SERVICE_FREE, "service_free"},
              {CSW_CHARGE_REASON_FREE_TIER, "free_tier"}, {CSW_CHARGE_REASON_IN_WINDOW, "in_window"},
              {CSW_CHARGE_REASON_FREE_ENTRY_POINT, "free_entry_point"},
              {CSW_CHARGE_REASON_JOINS_CONVERSATION, "joins_conversation"},
              {CSW_CHARGE_REASON_OPENS_CONVERSATION, "opens_conversation"},
              {CSW_CHARGE_REASON_PER_MESSAGE, "per_message"}, {CSW_CHARGE_REASON_REACTION, "reaction"},
              {CSW_CHARGE_REASON_NO_RATE, "no_rate"});
    NAMES_ARE(csw_mode_name, {CSW_MODE_ENFORCE, "enforce"}, {CSW_MODE_MONITOR, "monitor"}, {CSW_MODE_OFF, "off"});
    NAMES_ARE(csw_fail_name, {CSW_FAIL_OPEN, "open"}, {CSW_FAIL_CLOSED, "closed"});
}

static void window_opens_with_the_customers_act_and_closes_to_the_millisecond(const csw_gate *gate)
{
    const char *customer = "16505550100";
    csw_window window = window_at(gate, customer, MORNING);
    CHECK(window.state == CSW_STATE_UNKNOWN && window.branch == CSW_STATE_CLOSED);
    CHECK(window.reason == CSW_REASON_NEVER_SEEN);
    CHECK(window.expires_at == 0 && window.last_act == 0 && window.remaining_ms == 0);

    csw_event event = event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, customer, "wamid.1", MORNING);
    csw_recorded first = record(gate, event), again = record(gate, event);
    CHECK(first.events == 1 && first.repeated == 0 && first.conversation == CSW_CONVERSATION_NONE);
    CHECK(again.events == 1 && again.repeated == 1);

    window = window_at(gate, customer, MORNING);
    CHECK(window.state == CSW_STATE_OPEN && window.branch == CSW_STATE_OPEN);
    CHECK(window.reason == CSW_REASON_WINDOW_OPEN);
    CHECK(window.last_act == MORNING && window.expires_at == MORNING + 24 * HOUR && window.remaining_ms == 24 * HOUR);
    window = window_at(gate, customer, MORNING + 24 * HOUR - 1);
    CHECK(window.state == CSW_STATE_OPEN && window.remaining_ms == 1);
    window = window_at(gate, customer, MORNING + 24 * HOUR);
    CHECK(window.state == CSW_STATE_CLOSED && window.branch == CSW_STATE_CLOSED);
    CHECK(window.reason == CSW_REASON_WINDOW_CLOSED);
    CHECK(window.expires_at == MORNING + 24 * HOUR && window.remaining_ms == 0);
}

static void calls_open_the_window_and_sends_do_not(const csw_gate *gate)
{
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_CALL, "16505550101", NULL, MORNING));
    CHECK(window_at(gate, "16505550101", MORNING).state == CSW_STATE_OPEN);
    record(gate, event_of(CSW_EVENT_KIND_CALL_ACCEPTED, "16505550102", NULL, MORNING));
    CHECK(window_at(gate, "16505550102", MORNING).state == CSW_STATE_OPEN);

    const int32_t sends[] = {CSW_EVENT_KIND_BUSINESS_MESSAGE, CSW_EVENT_KIND_SENT, CSW_EVENT_KIND_DELIVERED,
                             CSW_EVENT_KIND_READ};
    for (size_t i = 0; i < sizeof sends / sizeof *sends; i++)
        record(gate, event_of(sends[i], "16505550103", "wamid.2", MORNING));
    CHECK(window_at(gate, "16505550103", MORNING).state == CSW_STATE_UNKNOWN);
}

static void entry_point_lets_through_for_72_hours(const csw_gate *gate)
{
    csw_event click = event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, "16505550104", NULL, MORNING);
    click.entry_point = 1;
    record(gate, click);
    csw_window window = window_at(gate, "16505550104", MORNING + 72 * HOUR - 1);
    CHECK(window.state == CSW_STATE_OPEN && window.reason == CSW_REASON_FREE_ENTRY_POINT);
    CHECK(window.free_entry_expires_at == MORNING + 72 * HOUR);
    CHECK(window_at(gate, "16505550104", MORNING + 72 * HOUR).state == CSW_STATE_CLOSED);
}

static void failure_for_a_closed_window_closes_it(const csw_gate *gate)
{
    const char *customer = "16505550105";
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, customer, NULL, MORNING));
    record(gate, event_of(CSW_EVENT_KIND_BUSINESS_MESSAGE, customer, "wamid.3", MORNING + HOUR));
    csw_event failed = event_of(CSW_EVENT_KIND_FAILED, customer, "wamid.3", MORNING + HOUR);
    failed.code = 131047;
    record(gate, failed);
    CHECK(window_at(gate, customer, MORNING + 2 * HOUR).reason == CSW_REASON_REFUSED_BY_PLATFORM);
}

static void zero_is_the_wall_clock_and_the_future_is_clamped_to_it(const csw_gate *gate)
{
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, "16505550106", NULL, 0));
    CHECK(window_at(gate, "16505550106", 0).state == CSW_STATE_OPEN);
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, "16505550106", NULL, INT64_MAX));
    CHECK(window_at(gate, "16505550106", INT64_MAX).state == CSW_STATE_CLOSED);
}

static csw_decision decided(const csw_gate *gate, const char *body, int64_t at)
{
    csw_decision decision = {.size = sizeof decision};
    CHECK(csw_decide(gate, STRING(BUSINESS), CSW_ENDPOINT_MESSAGES, STRING(body), at, &decision, &error) == CSW_OK);
    CHECK(decision.token_length > 0 && decision.token_length <= sizeof decision.token);
    return decision;
}

static void sends_are_decided_by_their_bodies(const csw_gate *gate)
{
    csw_decision decision = decided(gate, TEXT, MORNING);
    CHECK(decision.verdict == CSW_VERDICT_DENY && decision.would_deny == 0);
    CHECK(decision.reason == CSW_REASON_NEVER_SEEN && decision.message_class == CSW_CLASS_FREE_FORM);
    CHECK(decision.conversation == CSW_CONVERSATION_NONE && decision.charge == 0 && decision.charge_reason == 0);
    CHECK(decision.window.state == CSW_STATE_UNKNOWN);

    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING));
    decision = decided(gate, TEXT, MORNING + HOUR);
    CHECK(decision.verdict == CSW_VERDICT_ALLOW && decision.reason == CSW_REASON_WINDOW_OPEN);
    CHECK(decision.category == CSW_CATEGORY_SERVICE && decision.estimated == 0);
    CHECK(decision.conversation == CSW_CONVERSATION_OPENS);
    CHECK(decision.conversation_category == CSW_CONVERSATION_CATEGORY_SERVICE);
    CHECK(decision.charge == CSW_CHARGE_FREE && decision.charge_reason == CSW_CHARGE_REASON_SERVICE_FREE);
    CHECK(decision.window.state == CSW_STATE_OPEN && decision.window.remaining_ms == 23 * HOUR);

    decision = decided(gate, TEMPLATE("order_update"), MORNING + 48 * HOUR);
    CHECK(decision.verdict == CSW_VERDICT_ALLOW && decision.reason == CSW_REASON_TEMPLATE);
    CHECK(decision.message_class == CSW_CLASS_TEMPLATE && decision.category == CSW_CATEGORY_UTILITY);
    CHECK(decision.conversation_category == CSW_CONVERSATION_CATEGORY_UTILITY && decision.estimated == 0);
    CHECK(decision.charge == CSW_CHARGE_BILLABLE);
    CHECK(decision.charge_reason == CSW_CHARGE_REASON_OPENS_CONVERSATION);
    CHECK(decision.window.state == CSW_STATE_CLOSED);

    decision = decided(gate, TEMPLATE("of_no_known_category"), MORNING);
    CHECK(decision.category == CSW_CATEGORY_UNKNOWN && decision.estimated == 1);
    CHECK(decision.conversation_category == CSW_CONVERSATION_CATEGORY_MARKETING);

    CHECK(csw_decide(gate, STRING(BUSINESS), CSW_ENDPOINT_MARKETING_MESSAGES, STRING(TEMPLATE("sale")), MORNING,
                     &decision, &error) == CSW_OK);
    CHECK(decision.category == CSW_CATEGORY_MARKETING && decision.estimated == 0);

    decision = decided(gate, RECEIPT, MORNING);
    CHECK(decision.verdict == CSW_VERDICT_ALLOW && decision.reason == CSW_REASON_RECEIPT);
    CHECK(decision.message_class == CSW_CLASS_RECEIPT && decision.category == 0 && decision.charge == 0);
    CHECK(decision.conversation == CSW_CONVERSATION_NONE && decision.conversation_category == 0);

    CHECK(csw_decide(gate, STRING("5550001"), CSW_ENDPOINT_MESSAGES, STRING(TEXT), MORNING, &decision, &error) ==
          CSW_OK);
    CHECK(decision.verdict == CSW_VERDICT_ALLOW && decision.would_deny == 1);

    CHECK(csw_decide(gate, STRING(BUSINESS), CSW_ENDPOINT_MESSAGES, STRING("{"), MORNING, &decision, &error) ==
          CSW_CODE_BODY);
    CHECK(error.code == CSW_CODE_BODY && error.message[0] != '\0');
}

static csw_recorded settled(const csw_gate *gate, const csw_decision *decision, int32_t status, const char *response)
{
    csw_recorded recorded = {.size = sizeof recorded};
    int64_t at = MORNING + 2 * HOUR;
    CHECK(csw_settle(gate, decision, status, STRING(response), at, &recorded, &error) == CSW_OK);
    return recorded;
}

static void platforms_answer_settles_a_send(const csw_gate *gate)
{
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING));
    csw_decision decision = decided(gate, TEXT, MORNING + HOUR);
    csw_decision copy = decision;
    csw_recorded sent = settled(gate, &decision, 200, ACCEPTED("wamid.10"));
    CHECK(sent.events == 1 && sent.repeated == 0 && sent.category == CSW_CATEGORY_SERVICE);
    CHECK(sent.conversation == CSW_CONVERSATION_OPENS);
    CHECK(sent.conversation_category == CSW_CONVERSATION_CATEGORY_SERVICE);
    CHECK(settled(gate, &copy, 200, ACCEPTED("wamid.10")).repeated == 1);
    CHECK(decided(gate, TEXT, MORNING + 3 * HOUR).conversation == CSW_CONVERSATION_JOINS);

    CHECK(settled(gate, &decision, 500, "oh no").events == 0);
    CHECK(decided(gate, TEXT, MORNING + 3 * HOUR).verdict == CSW_VERDICT_ALLOW);

    settled(gate, &decision, 400, REFUSED);
    decision = decided(gate, TEXT, MORNING + 3 * HOUR);
    CHECK(decision.verdict == CSW_VERDICT_DENY && decision.reason == CSW_REASON_REFUSED_BY_PLATFORM);
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING + 4 * HOUR));
    CHECK(decided(gate, TEXT, MORNING + 4 * HOUR).verdict == CSW_VERDICT_ALLOW);
}

static int32_t ingested(const csw_gate *gate, const char *bytes, const char *signature, int64_t at,
                        csw_recorded *recorded)
{
    size_t signature_length = signature == NULL ? 0 : strlen(signature);
    return csw_ingest(gate, STRING(bytes), signature, signature_length, at, recorded, &error);
}

static void signed_webhook_is_recorded(const csw_gate *gate)
{
    const char *customer = "16505550300";
    csw_recorded recorded = {.size = sizeof recorded};
    CHECK(ingested(gate, ONE_MESSAGE, NULL, 0, &recorded) == CSW_CODE_SIGNATURE);
    CHECK(ingested(gate, ONE_MESSAGE, NOT_JSON_SIGNATURE, 0, &recorded) == CSW_CODE_SIGNATURE);
    CHECK(ingested(gate, ONE_MESSAGE, "", 0, &recorded) == CSW_CODE_SIGNATURE);
    CHECK(ingested(gate, NOT_JSON, NOT_JSON_SIGNATURE, 0, &recorded) == CSW_CODE_NOT_JSON);
    CHECK(window_at(gate, customer, MORNING).state == CSW_STATE_UNKNOWN);

    CHECK(ingested(gate, ONE_MESSAGE, ONE_MESSAGE_SIGNATURE, MORNING - HOUR, &recorded) == CSW_OK);
    CHECK(recorded.events == 1 && recorded.repeated == 0 && recorded.unreadable == 0);
    CHECK(window_at(gate, customer, MORNING).last_act == MORNING - HOUR);

    CHECK(ingested(gate, HALF_READABLE, HALF_READABLE_SIGNATURE, 0, &recorded) == CSW_OK);
    CHECK(recorded.events == 1 && recorded.unreadable == 1);
    CHECK(strstr(recorded.unreadable_text, "messages[1].timestamp") != NULL);
    CHECK(window_at(gate, customer, MORNING).last_act == MORNING);
    CHECK(ingested(gate, HALF_READABLE, HALF_READABLE_SIGNATURE, 0, NULL) == CSW_OK);
}

static void handshake_knows_the_verify_token(const csw_gate *gate)
{
    CHECK(csw_handshake(gate, STRING("verify token"), &error) == CSW_OK);
    CHECK(csw_handshake(gate, STRING("verify toke"), &error) == CSW_CODE_SIGNATURE);
    CHECK(csw_handshake(gate, NULL, 0, &error) == CSW_CODE_SIGNATURE);
}

static void settings_are_those_of_the_number(const csw_gate *gate)
{
    csw_settings settings = {.size = sizeof settings};
    CHECK(csw_settings_of(gate, NULL, 0, &settings, &error) == CSW_OK);
    CHECK(settings.fail == CSW_FAIL_OPEN && settings.mode == CSW_MODE_ENFORCE && settings.test_clock == 1);
    CHECK(csw_settings_of(gate, STRING("5550001"), &settings, &error) == CSW_OK);
    CHECK(settings.mode == CSW_MODE_MONITOR);
}

static void tickets_say_how_it_went(const csw_gate *gate)
{
    uint64_t act = 0, webhook = 0, unproven = 0, send = 0;
    csw_recorded recorded = {.size = sizeof recorded};
    csw_event event = event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, "16505550107", NULL, MORNING);
    csw_decision decision = decided(gate, TEMPLATE("order_update"), MORNING);
    CHECK(csw_submit_record(gate, &event, &act, &error) == CSW_OK);
    CHECK(csw_submit_ingest(gate, STRING(ONE_MESSAGE), STRING(ONE_MESSAGE_SIGNATURE), 0, &webhook, &error) == CSW_OK);
    CHECK(csw_submit_ingest(gate, STRING(ONE_MESSAGE), NULL, 0, 0, &unproven, &error) == CSW_OK);
    CHECK(csw_submit_settle(gate, &decision, 200, STRING(ACCEPTED("wamid.11")), MORNING, &send, &error) == CSW_OK);

    CHECK(csw_wait(gate, act, LONG_ENOUGH, &recorded, &error) == CSW_OK && recorded.events == 1);
    CHECK(window_at(gate, "16505550107", MORNING).state == CSW_STATE_OPEN);
    CHECK(csw_wait(gate, act, 0, NULL, &error) == CSW_OK);
    CHECK(csw_flush(gate, LONG_ENOUGH, &error) == CSW_OK);
    CHECK(csw_poll(gate, webhook, &recorded, &error) == CSW_OK && recorded.repeated == 1);
    CHECK(csw_poll(gate, unproven, &recorded, &error) == CSW_CODE_SIGNATURE && error.code == CSW_CODE_SIGNATURE);
    CHECK(csw_poll(gate, send, &recorded, &error) == CSW_OK);
    CHECK(recorded.conversation == CSW_CONVERSATION_OPENS && recorded.category == CSW_CATEGORY_UTILITY);
    CHECK(csw_poll(gate, send, NULL, &error) == CSW_OK);
}

static void event_descriptor_wakes_for_decided_tickets(const csw_gate *gate)
{
    int32_t fd = -1, again = -1;
    CHECK(csw_event_fd(gate, &fd, &error) == CSW_OK && csw_event_fd(gate, &again, &error) == CSW_OK);
    CHECK(fd >= 0 && fd == again);
    CHECK(csw_flush(gate, LONG_ENOUGH, &error) == CSW_OK);
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    uint64_t ticket, count;
    while (poll(&waiting, 1, 0) == 1)
        CHECK(read(fd, &count, sizeof count) == sizeof count);

    csw_event event = event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, "16505550108", NULL, MORNING);
    CHECK(csw_submit_record(gate, &event, &ticket, &error) == CSW_OK);
    int32_t status;
    do {
        CHECK(poll(&waiting, 1, LONG_ENOUGH) == 1);
        CHECK(read(fd, &count, sizeof count) == sizeof count);
        status = csw_poll(gate, ticket, NULL, &error);
    } while (status == CSW_PENDING);
    CHECK(status == CSW_OK);
    CHECK(poll(&waiting, 1, 0) == 0);
}

// On days that the other tests leave alone.
static void report_counts_what_was_sent(const csw_gate *gate)
{
    const int64_t day = INT64_C(24) * HOUR, monday = MORNING - 365 * day, tuesday = monday + day;
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, monday));
    csw_event send = event_of(CSW_EVENT_KIND_BUSINESS_MESSAGE, CUSTOMER, "wamid.20", monday);
    record(gate, send);
    send.id = "wamid.21";
    record(gate, send);
    send.id = "wamid.22";
    send.at = tuesday;
    send.category = CSW_CATEGORY_MARKETING;
    record(gate, send);

    size_t count = 99;
    CHECK(csw_report(gate, monday, tuesday, CSW_BY_DAY, NULL, 0, &count, &error) == CSW_OK && count == 2);

    csw_report_row rows[3];
    memset(rows, 0x5a, sizeof rows);
    rows[0].size = sizeof rows[0];
    const csw_report_row untouched = rows[1];
    CHECK(csw_report(gate, monday, tuesday, CSW_BY_DAY, rows, 1, &count, &error) == CSW_OK && count == 2);
    CHECK(memcmp(&rows[1], &untouched, sizeof untouched) == 0);

    CHECK(csw_report(gate, monday, tuesday, CSW_BY_DAY, rows, 3, &count, &error) == CSW_OK && count == 2);
    CHECK(strcmp(rows[0].day, "2022-11-14") == 0 && rows[0].messages == 2 && rows[0].conversations == 1);
    CHECK(rows[0].free == 2 && rows[0].billable == 0);
    CHECK(strcmp(rows[1].day, "2022-11-15") == 0 && rows[1].messages == 1 && rows[1].conversations == 1);
    CHECK(rows[1].free == 0 && rows[1].billable == 1);
    CHECK(rows[0].business == 0 && rows[0].message_class == 0 && rows[0].category == 0);

    CHECK(csw_report(gate, monday, tuesday, 0, rows, 3, &count, &error) == CSW_OK && count == 1);
    CHECK(rows[0].messages == 3 && rows[0].conversations == 2 && rows[0].day[0] == '\0');

    const int32_t details = CSW_BY_BUSINESS | CSW_BY_CLASS | CSW_BY_CATEGORY | CSW_BY_CONVERSATION_CATEGORY;
    CHECK(csw_report(gate, tuesday, tuesday, details, rows, 3, &count, &error) == CSW_OK && count == 1);
    CHECK(rows[0].business == UINT64_C(106540352242922) && rows[0].charge_reason == 0);
    CHECK(rows[0].message_class == CSW_CLASS_TEMPLATE && rows[0].category == CSW_CATEGORY_MARKETING);
    CHECK(rows[0].conversation_category == CSW_CONVERSATION_CATEGORY_MARKETING);

    // Messages and the charges for them are counted apart: a charge may fall due on a later day.
    CHECK(csw_report(gate, tuesday, tuesday, CSW_BY_CHARGE_REASON, rows, 3, &count, &error) == CSW_OK && count == 2);
    CHECK(rows[0].charge_reason == 0 && rows[0].messages == 1 && rows[0].billable == 0);
    CHECK(rows[1].charge_reason == CSW_CHARGE_REASON_OPENS_CONVERSATION && rows[1].billable == 1);
}

static void gate_opens_by_its_file(void)
{
    FILE *file = fopen("csw.toml", "w");
    CHECK(file != NULL && fputs(CONFIG("memory:"), file) >= 0 && fclose(file) == 0);
    csw_gate *gate = NULL;
    CHECK(csw_open(STRING("csw.toml"), &gate, &error) == CSW_OK && gate != NULL);
    settings_are_those_of_the_number(gate);
    csw_close(gate);

    CHECK(csw_open(STRING("no.toml"), &gate, &error) == CSW_CODE_CONFIG && strstr(error.message, "no.toml") != NULL);
    CHECK(csw_open_text(STRING("stroe = \"memory:\""), &gate, &error) == CSW_CODE_CONFIG);
    CHECK(strstr(error.message, "store") != NULL);
}

int main(void)
{
    setenv("CSW_TEST_SECRET", SECRET, 1);
    setenv("CSW_TEST_TOKEN", "verify token", 1);
    versions_are_those_of_the_header();
    every_value_has_its_word();
    gate_opens_by_its_file();
    const char *configs[] = {CONFIG("memory:"), CONFIG("lmdb:store")};
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        csw_gate *gate = opened(configs[i]);
        window_opens_with_the_customers_act_and_closes_to_the_millisecond(gate);
        calls_open_the_window_and_sends_do_not(gate);
        entry_point_lets_through_for_72_hours(gate);
        failure_for_a_closed_window_closes_it(gate);
        zero_is_the_wall_clock_and_the_future_is_clamped_to_it(gate);
        sends_are_decided_by_their_bodies(gate);
        platforms_answer_settles_a_send(gate);
        signed_webhook_is_recorded(gate);
        handshake_knows_the_verify_token(gate);
        settings_are_those_of_the_number(gate);
        tickets_say_how_it_went(gate);
        event_descriptor_wakes_for_decided_tickets(gate);
        report_counts_what_was_sent(gate);
        csw_close(gate);
    }
    return 0;
}
