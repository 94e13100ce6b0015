// What callers do wrong is answered; nothing is followed, and nothing is written that the contract does not name.
#define _POSIX_C_SOURCE 200809L

#include "check.h"

#define TEXT "{\"to\":\"" CUSTOMER "\",\"type\":\"text\",\"text\":{\"body\":\"hi\"}}"
#define BODY_LIMIT ((size_t)3 << 20)
#define COUNT(values) (sizeof(values) / sizeof *(values))

static csw_error error = {.size = sizeof error};

// A refusal says what is wrong, in the status and in the error.
static int refused(int32_t expected, int32_t status)
{
    int said = status == expected && error.code == expected && error.message[0] != '\0' &&
               memchr(error.message, '\0', sizeof error.message) != NULL;
    memset(&error, 0, sizeof error);
    error.size = sizeof error;
    return said;
}

#define INVALID(call) CHECK(refused(CSW_CODE_INVALID, call))

static int is_all(const void *bytes, int value, size_t length)
{
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < length; i++)
        if (byte[i] != value)
            return 0;
    return 1;
}

// An output of `length` bytes that is untouched but for the size that the caller set.
static int is_untouched(const void *bytes, size_t length)
{
    return is_all((const char *)bytes + sizeof(uint32_t), 0xa5, length - sizeof(uint32_t));
}

static void *poisoned(void *bytes, size_t length, uint32_t size)
{
    memset(bytes, 0xa5, length);
    memcpy(bytes, &size, sizeof size);
    return bytes;
}

static csw_decision allowed(const csw_gate *gate)
{
    csw_decision decision = {.size = sizeof decision};
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING));
    CHECK(csw_decide(gate, STRING(BUSINESS), CSW_ENDPOINT_MESSAGES, STRING(TEXT), MORNING, &decision, NULL) == CSW_OK);
    return decision;
}

// Every function with this gate, all else being right.
static void gate_is_refused(const csw_gate *gate, const csw_decision *decision)
{
    csw_window window = {.size = sizeof window};
    csw_decision out = {.size = sizeof out};
    csw_event event = event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING);
    csw_settings settings = {.size = sizeof settings};
    uint64_t ticket = 77;
    int32_t fd = 77;
    size_t count = 77;
    INVALID(csw_check(gate, STRING(BUSINESS), STRING(CUSTOMER), MORNING, &window, &error));
    INVALID(csw_decide(gate, STRING(BUSINESS), CSW_ENDPOINT_MESSAGES, STRING(TEXT), MORNING, &out, &error));
    INVALID(csw_record(gate, &event, NULL, &error));
    INVALID(csw_ingest(gate, STRING("{}"), NULL, 0, 0, NULL, &error));
    INVALID(csw_settle(gate, decision, 200, STRING("{}"), 0, NULL, &error));
    INVALID(csw_submit_record(gate, &event, &ticket, &error));
    INVALID(csw_submit_ingest(gate, STRING("{}"), NULL, 0, 0, &ticket, &error));
    INVALID(csw_submit_settle(gate, decision, 200, STRING("{}"), 0, &ticket, &error));
    INVALID(csw_poll(gate, 1, NULL, &error));
    INVALID(csw_wait(gate, 1, 0, NULL, &error));
    INVALID(csw_flush(gate, 0, &error));
    INVALID(csw_event_fd(gate, &fd, &error));
    INVALID(csw_report(gate, 0, 0, CSW_BY_DAY, NULL, 0, &count, &error));
    INVALID(csw_handshake(gate, STRING("token"), &error));
    INVALID(csw_settings_of(gate, NULL, 0, &settings, &error));
    CHECK(ticket == 77 && fd == 77 && count == 77 && window.state == 0 && out.verdict == 0 && settings.mode == 0);
}

static void gate_that_is_none_is_refused(const csw_gate *gate)
{
    csw_decision decision = allowed(gate);
    gate_is_refused(NULL, &decision);
    gate_is_refused((const csw_gate *)(uintptr_t)1, &decision);
    gate_is_refused((const csw_gate *)UINTPTR_MAX, &decision);
    gate_is_refused((const csw_gate *)&decision, &decision);
    csw_close(NULL);
    csw_close((csw_gate *)(uintptr_t)1);
    csw_close((csw_gate *)&decision);

    csw_gate *closed = opened("store = \"memory:\"");
    csw_close(closed);
    csw_close(closed);
    gate_is_refused(closed, &decision);
    csw_gate *next = opened("store = \"memory:\"");
    csw_close(closed);
    gate_is_refused(closed, &decision);
    CHECK(window_at(next, CUSTOMER, MORNING).state == CSW_STATE_UNKNOWN);
    csw_close(next);
}

static void null_with_a_length_and_null_outputs_are_refused(const csw_gate *gate)
{
    csw_window window = {.size = sizeof window};
    csw_decision decision = allowed(gate);
    csw_settings settings = {.size = sizeof settings};
    csw_event event = event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING);
    csw_gate *out = NULL;
    uint64_t ticket = 0;
    size_t count = 0;
    INVALID(csw_open(NULL, 1, &out, &error));
    INVALID(csw_open(STRING("csw.toml"), NULL, &error));
    INVALID(csw_open_text(NULL, 1, &out, &error));
    INVALID(csw_open_text(STRING("store = \"memory:\""), NULL, &error));
    INVALID(csw_check(gate, NULL, 1, STRING(CUSTOMER), 0, &window, &error));
    INVALID(csw_check(gate, STRING(BUSINESS), NULL, 1, 0, &window, &error));
    INVALID(csw_check(gate, STRING(BUSINESS), STRING(CUSTOMER), 0, NULL, &error));
    INVALID(csw_decide(gate, NULL, 1, CSW_ENDPOINT_MESSAGES, STRING(TEXT), 0, &decision, &error));
    INVALID(csw_decide(gate, STRING(BUSINESS), CSW_ENDPOINT_MESSAGES, NULL, 1, 0, &decision, &error));
    INVALID(csw_decide(gate, STRING(BUSINESS), CSW_ENDPOINT_MESSAGES, STRING(TEXT), 0, NULL, &error));
    INVALID(csw_record(gate, NULL, NULL, &error));
    INVALID(csw_ingest(gate, NULL, 1, NULL, 0, 0, NULL, &error));
    INVALID(csw_ingest(gate, STRING("{}"), NULL, 1, 0, NULL, &error));
    INVALID(csw_settle(gate, NULL, 200, STRING("{}"), 0, NULL, &error));
    INVALID(csw_settle(gate, &decision, 200, NULL, 1, 0, NULL, &error));
    INVALID(csw_submit_record(gate, NULL, &ticket, &error));
    INVALID(csw_submit_record(gate, &event, NULL, &error));
    INVALID(csw_submit_ingest(gate, STRING("{}"), NULL, 0, 0, NULL, &error));
    INVALID(csw_submit_settle(gate, &decision, 200, STRING("{}"), 0, NULL, &error));
    INVALID(csw_event_fd(gate, NULL, &error));
    INVALID(csw_report(gate, 0, 0, 0, NULL, 1, &count, &error));
    INVALID(csw_report(gate, 0, 0, 0, NULL, 0, NULL, &error));
    INVALID(csw_handshake(gate, NULL, 1, &error));
    INVALID(csw_settings_of(gate, NULL, 1, &settings, &error));
    INVALID(csw_settings_of(gate, NULL, 0, NULL, &error));

    INVALID(csw_check(gate, NULL, 0, NULL, 0, 0, &window, &error));
    CHECK(refused(CSW_CODE_BODY, csw_decide(gate, STRING(BUSINESS), 0, NULL, 0, 0, &decision, &error)));
    CHECK(refused(CSW_CODE_SIGNATURE, csw_ingest(gate, NULL, 0, NULL, 0, 0, NULL, &error)));
    CHECK(csw_settle(gate, &decision, 200, NULL, 0, 0, NULL, &error) == CSW_OK);
}

static void strings_end_at_their_length(const csw_gate *gate)
{
    // Exactly as long as they are, so that the sanitizers see a byte that is read behind them.
    char *business = malloc(strlen(BUSINESS)), *customer = malloc(strlen(CUSTOMER));
    CHECK(business != NULL && customer != NULL);
    memcpy(business, BUSINESS, strlen(BUSINESS));
    memcpy(customer, CUSTOMER, strlen(CUSTOMER));
    csw_window window = {.size = sizeof window};
    CHECK(csw_check(gate, business, strlen(BUSINESS), customer, strlen(CUSTOMER), MORNING, &window, &error) == CSW_OK);
    INVALID(csw_check(gate, business, 0, customer, strlen(CUSTOMER), MORNING, &window, &error));
    INVALID(csw_check(gate, business, strlen(BUSINESS), customer, 2, MORNING, &window, &error));
    INVALID(csw_check(gate, business, strlen(BUSINESS), customer, SIZE_MAX, MORNING, &window, &error));
    INVALID(csw_check(gate, business, strlen(BUSINESS), CUSTOMER "\0", strlen(CUSTOMER) + 1, MORNING, &window, &error));
    free(business);
    free(customer);
}

static void text_that_is_no_utf_8_is_refused(const csw_gate *gate)
{
    csw_gate *out = NULL;
    csw_window window = {.size = sizeof window};
    csw_decision decision = {.size = sizeof decision};
    csw_settings settings = {.size = sizeof settings};
    csw_event event = event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, "\xff", MORNING);
    INVALID(csw_open(STRING("\xff.toml"), &out, &error));
    INVALID(csw_open_text(STRING("# \xff"), &out, &error));
    INVALID(csw_check(gate, STRING("1\xff"), STRING(CUSTOMER), 0, &window, &error));
    INVALID(csw_check(gate, STRING(BUSINESS), STRING("\xc3"), 0, &window, &error));
    INVALID(csw_record(gate, &event, NULL, &error));
    INVALID(csw_settings_of(gate, STRING("\xff"), &settings, &error));
    const char *body = "{\"to\":\"\xff\"}";
    CHECK(refused(CSW_CODE_BODY, csw_decide(gate, STRING(BUSINESS), 0, STRING(body), 0, &decision, &error)));
    CHECK(out == NULL);
}

static void numbers_that_are_no_values_are_refused(const csw_gate *gate)
{
    csw_decision decision = allowed(gate);
    csw_event event = event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING);
    const int32_t kinds[] = {INT32_MIN, -1, 0, 12, INT32_MAX, CSW_EVENT_KIND_TEMPLATE_STATUS,
                             CSW_EVENT_KIND_TEMPLATE_CATEGORY, CSW_EVENT_KIND_IDENTITY};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        event.kind = kinds[i];
        INVALID(csw_record(gate, &event, NULL, &error));
    }
    event.kind = CSW_EVENT_KIND_BUSINESS_MESSAGE;
    event.message_class = 6;
    INVALID(csw_record(gate, &event, NULL, &error));
    event.message_class = 0;
    event.category = -1;
    INVALID(csw_record(gate, &event, NULL, &error));
    INVALID(csw_decide(gate, STRING(BUSINESS), 2, STRING(TEXT), 0, &decision, &error));
    INVALID(csw_decide(gate, STRING(BUSINESS), -1, STRING(TEXT), 0, &decision, &error));
    const int32_t statuses[] = {INT32_MIN, -200, 0, 99, 1000, INT32_MAX};
    for (size_t i = 0; i < COUNT(statuses); i++)
        INVALID(csw_settle(gate, &decision, statuses[i], STRING("{}"), 0, NULL, &error));
}

static void extreme_times_are_taken(const csw_gate *gate)
{
    const int64_t times[] = {INT64_MIN, INT64_MIN + 1, -1, 1, INT64_MAX - 1, INT64_MAX};
    csw_decision decision = {.size = sizeof decision};
    size_t count;
    for (size_t i = 0; i < COUNT(times); i++) {
        record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, "16505550200", NULL, times[i]));
        record(gate, event_of(CSW_EVENT_KIND_BUSINESS_MESSAGE, "16505550200", NULL, times[i]));
        window_at(gate, "16505550200", times[i]);
        CHECK(csw_decide(gate, STRING(BUSINESS), 0, STRING(TEXT), times[i], &decision, &error) == CSW_OK);
        CHECK(csw_report(gate, INT64_MIN, times[i], 0, NULL, 0, &count, &error) == CSW_OK);
    }
}

static void token_that_no_decision_gave_is_refused(const csw_gate *gate)
{
    csw_decision decision = allowed(gate), changed = decision;
    changed.token_length = 0;
    INVALID(csw_settle(gate, &changed, 200, STRING("{}"), 0, NULL, &error));
    changed.token_length = UINT32_MAX;
    INVALID(csw_settle(gate, &changed, 200, STRING("{}"), 0, NULL, &error));
    changed = decision;
    memset(changed.token, 0xff, sizeof changed.token);
    INVALID(csw_settle(gate, &changed, 200, STRING("{}"), 0, NULL, &error));
}

static void size_that_was_not_set_is_refused(const csw_gate *gate)
{
    const uint32_t sizes[] = {0, 1, 4, 7, UINT32_MAX};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        csw_window window;
        csw_decision decision;
        csw_recorded recorded;
        csw_settings settings;
        csw_report_row row;
        csw_event event = event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, "16505550201", NULL, MORNING);
        size_t count = 77;
        poisoned(&window, sizeof window, sizes[i]);
        poisoned(&decision, sizeof decision, sizes[i]);
        poisoned(&recorded, sizeof recorded, sizes[i]);
        poisoned(&settings, sizeof settings, sizes[i]);
        poisoned(&row, sizeof row, sizes[i]);
        INVALID(csw_check(gate, STRING(BUSINESS), STRING(CUSTOMER), MORNING, &window, &error));
        INVALID(csw_decide(gate, STRING(BUSINESS), 0, STRING(TEXT), MORNING, &decision, &error));
        INVALID(csw_settle(gate, &decision, 200, STRING("{}"), 0, NULL, &error));
        INVALID(csw_record(gate, &event, &recorded, &error));
        INVALID(csw_settings_of(gate, NULL, 0, &settings, &error));
        INVALID(csw_report(gate, 0, 0, 0, &row, 1, &count, &error));
        CHECK(window_at(gate, "16505550201", MORNING).state == CSW_STATE_UNKNOWN);
        event.size = sizes[i];
        INVALID(csw_record(gate, &event, NULL, &error));
        CHECK(is_untouched(&window, sizeof window) && is_untouched(&decision, sizeof decision));
        CHECK(is_untouched(&recorded, sizeof recorded) && is_untouched(&settings, sizeof settings));
        CHECK(is_untouched(&row, sizeof row) && count == 77);
    }
}

// A program of an older or a newer minor version has smaller or larger structs.
static void structs_of_other_versions_get_no_byte_more_than_they_have(const csw_gate *gate)
{
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING));
    const csw_window whole = window_at(gate, CUSTOMER, MORNING);
    union {
        csw_window window;
        csw_decision decision;
        csw_recorded recorded;
        csw_settings settings;
        csw_report_row row;
        unsigned char bytes[4096];
    } out;
    csw_event event = event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING);
    for (uint32_t size = 8; size < sizeof out; size++) {
        poisoned(&out, sizeof out, size);
        CHECK(csw_check(gate, STRING(BUSINESS), STRING(CUSTOMER), MORNING, &out.window, &error) == CSW_OK);
        size_t written = size < sizeof whole ? size : sizeof whole;
        CHECK(out.window.size == size);
        CHECK(memcmp(out.bytes + sizeof size, (const char *)&whole + sizeof size, written - sizeof size) == 0);
        CHECK(is_all(out.bytes + written, 0xa5, sizeof out - written));
    }

    const uint32_t sizes[] = {8, 12, 16, 33, 60, 100, 1000, sizeof out};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        const uint32_t size = sizes[i];
#define WRITES_NO_MORE(type, call)                                                                                     \
    poisoned(&out, sizeof out, size);                                                                                  \
    CHECK((call) == CSW_OK);                                                                                           \
    CHECK(memcmp(out.bytes, &size, sizeof size) == 0);                                                                 \
    CHECK(is_all(out.bytes + (size < sizeof(type) ? size : sizeof(type)), 0xa5,                                        \
                 sizeof out - (size < sizeof(type) ? size : sizeof(type))))
        WRITES_NO_MORE(csw_decision, csw_decide(gate, STRING(BUSINESS), 0, STRING(TEXT), 0, &out.decision, &error));
        WRITES_NO_MORE(csw_recorded, csw_record(gate, &event, &out.recorded, &error));
        WRITES_NO_MORE(csw_settings, csw_settings_of(gate, NULL, 0, &out.settings, &error));
    }
}

static void rows_lie_as_far_apart_as_the_first_says(void)
{
    csw_gate *gate = opened("store = \"memory:\"");
    record(gate, event_of(CSW_EVENT_KIND_BUSINESS_MESSAGE, CUSTOMER, NULL, MORNING));
    record(gate, event_of(CSW_EVENT_KIND_BUSINESS_MESSAGE, CUSTOMER, NULL, MORNING + 24 * HOUR));
    const uint32_t sizes[] = {offsetof(csw_report_row, messages) + sizeof(int64_t), sizeof(csw_report_row),
                              sizeof(csw_report_row) + 24};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        unsigned char *rows = malloc(2 * sizes[i]);
        CHECK(rows != NULL);
        poisoned(rows, 2 * sizes[i], sizes[i]);
        size_t count = 0, written = sizes[i] < sizeof(csw_report_row) ? sizes[i] : sizeof(csw_report_row);
        csw_report_row *first = (csw_report_row *)(void *)rows;
        CHECK(csw_report(gate, MORNING, MORNING + 24 * HOUR, CSW_BY_DAY, first, 2, &count, &error) == CSW_OK);
        CHECK(count == 2);
        for (size_t row = 0; row < count; row++) {
            int64_t messages;
            memcpy(&messages, rows + row * sizes[i] + offsetof(csw_report_row, messages), sizeof messages);
            CHECK(messages == 1);
            CHECK(memcmp(rows + row * sizes[i], &sizes[i], sizeof sizes[i]) == 0);
            CHECK(is_all(rows + row * sizes[i] + written, 0xa5, sizes[i] - written));
        }
        free(rows);
    }
    csw_close(gate);
}

static void what_an_older_event_does_not_have_is_zero(const csw_gate *gate)
{
    csw_event event = event_of(CSW_EVENT_KIND_BUSINESS_MESSAGE, "16505550202", NULL, MORNING);
    event.size = offsetof(csw_event, message_class);
    memset((char *)&event + event.size, 0xa5, sizeof event - event.size);
    csw_recorded recorded = record(gate, event);
    CHECK(recorded.events == 1 && recorded.category == CSW_CATEGORY_SERVICE);
}

static void outputs_are_untouched_when_a_call_fails(const csw_gate *gate)
{
    csw_window window;
    csw_decision decision;
    csw_recorded recorded;
    csw_settings settings;
    csw_event event = event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, "nobody", NULL, MORNING);
    csw_gate *out = (csw_gate *)&window;
    uint64_t ticket = 77;
    poisoned(&window, sizeof window, sizeof window);
    poisoned(&decision, sizeof decision, sizeof decision);
    poisoned(&recorded, sizeof recorded, sizeof recorded);
    poisoned(&settings, sizeof settings, sizeof settings);
    CHECK(refused(CSW_CODE_CONFIG, csw_open_text(STRING("store = 1"), &out, &error)));
    INVALID(csw_check(gate, STRING(BUSINESS), STRING("nobody"), MORNING, &window, &error));
    CHECK(refused(CSW_CODE_BODY, csw_decide(gate, STRING(BUSINESS), 0, STRING("{"), MORNING, &decision, &error)));
    INVALID(csw_record(gate, &event, &recorded, &error));
    CHECK(refused(CSW_CODE_SIGNATURE, csw_ingest(gate, STRING("{}"), NULL, 0, 0, &recorded, &error)));
    INVALID(csw_submit_record(gate, &event, &ticket, &error));
    INVALID(csw_poll(gate, UINT64_MAX, &recorded, &error));
    INVALID(csw_settings_of(gate, STRING("nobody"), &settings, &error));
    CHECK(is_untouched(&window, sizeof window) && is_untouched(&decision, sizeof decision));
    CHECK(is_untouched(&recorded, sizeof recorded) && is_untouched(&settings, sizeof settings));
    CHECK(ticket == 77 && out == (csw_gate *)&window);
}

static void error_is_written_only_on_failure_and_within_its_size(const csw_gate *gate)
{
    csw_window window = {.size = sizeof window};
    csw_error said;
    poisoned(&said, sizeof said, sizeof said);
    CHECK(csw_check(gate, STRING(BUSINESS), STRING(CUSTOMER), MORNING, &window, &said) == CSW_OK);
    CHECK(is_untouched(&said, sizeof said));

    CHECK(csw_check(gate, STRING(BUSINESS), STRING("nobody"), MORNING, &window, NULL) == CSW_CODE_INVALID);
    poisoned(&said, sizeof said, 0);
    CHECK(csw_check(gate, STRING(BUSINESS), STRING("nobody"), MORNING, &window, &said) == CSW_CODE_INVALID);
    CHECK(is_untouched(&said, sizeof said));
    for (uint32_t size = 8; size < 64; size++) {
        poisoned(&said, sizeof said, size);
        CHECK(csw_check(gate, STRING(BUSINESS), STRING("nobody"), MORNING, &window, &said) == CSW_CODE_INVALID);
        CHECK(said.code == CSW_CODE_INVALID && is_all((char *)&said + size, 0xa5, sizeof said - size));
    }
}

static void long_error_is_cut_at_a_character_and_closed(void)
{
    // A path of two-byte characters: the room of 511 bytes ends between two of them, or within one.
    for (size_t odd = 0; odd < 2; odd++) {
        char path[2000];
        memset(path, 'x', odd);
        for (size_t i = odd; i + 1 < sizeof path; i += 2)
            memcpy(path + i, "\xc3\xa9", 2);
        csw_gate *gate = NULL;
        csw_error said;
        poisoned(&said, sizeof said, sizeof said);
        CHECK(csw_open(path, sizeof path - odd, &gate, &said) == CSW_CODE_CONFIG);
        CHECK(said.code == CSW_CODE_CONFIG && strnlen(said.message, sizeof said.message) == 510 + odd);
        CHECK(memcmp(said.message + 508 + odd, "\xc3\xa9", 2) == 0);
    }
}

static void bodies_have_their_limits(const csw_gate *gate)
{
    csw_decision decision = {.size = sizeof decision};
    char *body = malloc(BODY_LIMIT + 1);
    CHECK(body != NULL);
    memset(body, ' ', BODY_LIMIT + 1);
    memcpy(body, TEXT, strlen(TEXT));
    CHECK(csw_decide(gate, STRING(BUSINESS), 0, body, BODY_LIMIT, MORNING, &decision, &error) == CSW_OK);
    CHECK(refused(CSW_CODE_TOO_LARGE,
                  csw_decide(gate, STRING(BUSINESS), 0, body, BODY_LIMIT + 1, MORNING, &decision, &error)));
    char deep[64] = "{\"to\":";
    memset(deep + strlen(deep), '[', 32);
    CHECK(refused(CSW_CODE_TOO_LARGE, csw_decide(gate, STRING(BUSINESS), 0, STRING(deep), MORNING, &decision, &error)));

    // Signed with "app secret", as in doors.c.
    setenv("CSW_TEST_SECRET", "app secret", 1);
    csw_gate *taking = opened("store = \"memory:\"\n[webhook]\nsecret_env = \"CSW_TEST_SECRET\"");
    memset(body, ' ', BODY_LIMIT + 1);
    const char *signature = "sha256=cd435519051a5092cb507366a39ca9a27c250709d4a7b9ad9e4d3456195267d7";
    CHECK(refused(CSW_CODE_TOO_LARGE, csw_ingest(taking, body, BODY_LIMIT + 1, STRING(signature), 0, NULL, &error)));
    csw_close(taking);
    free(body);
}

static void ticket_that_was_not_issued_is_refused_and_an_old_one_expires(void)
{
    csw_gate *gate = opened("store = \"memory:\"");
    INVALID(csw_poll(gate, 0, NULL, &error));
    INVALID(csw_poll(gate, 1, NULL, &error));
    INVALID(csw_poll(gate, UINT64_MAX, NULL, &error));
    INVALID(csw_wait(gate, UINT64_C(1) << 53, LONG_ENOUGH, NULL, &error));

    uint64_t first, ticket;
    CHECK(csw_submit_ingest(gate, STRING("{}"), NULL, 0, 0, &first, &error) == CSW_OK);
    CHECK(refused(CSW_CODE_SIGNATURE, csw_wait(gate, first, LONG_ENOUGH, NULL, &error)));
    int32_t status;
    size_t submitted = 0;
    do {
        while ((status = csw_submit_ingest(gate, STRING("{}"), NULL, 0, 0, &ticket, &error)) == CSW_CODE_BUSY)
            CHECK(csw_flush(gate, LONG_ENOUGH, &error) == CSW_OK);
        CHECK(status == CSW_OK && ++submitted < 1000000);
        status = csw_poll(gate, first, NULL, &error);
    } while (status == CSW_CODE_SIGNATURE);
    CHECK(refused(CSW_CODE_EXPIRED, status));
    CHECK(refused(CSW_CODE_SIGNATURE, csw_wait(gate, ticket, LONG_ENOUGH, NULL, &error)));
    csw_close(gate);
}

static void more_gates_than_there_is_room_for_are_refused(void)
{
    static csw_gate *gates[10000];
    size_t count = 0;
    while (csw_open_text(STRING("store = \"memory:\""), &gates[count], &error) == CSW_OK)
        CHECK(++count < COUNT(gates));
    CHECK(count > 100);
    CHECK(refused(CSW_CODE_INVALID, error.code));
    csw_close(gates[--count]);
    gates[count++] = opened("store = \"memory:\"");
    while (count > 0)
        csw_close(gates[--count]);
}

int main(void)
{
    csw_gate *gate = opened("store = \"memory:\"");
    gate_that_is_none_is_refused(gate);
    null_with_a_length_and_null_outputs_are_refused(gate);
    strings_end_at_their_length(gate);
    text_that_is_no_utf_8_is_refused(gate);
    numbers_that_are_no_values_are_refused(gate);
    extreme_times_are_taken(gate);
    token_that_no_decision_gave_is_refused(gate);
    size_that_was_not_set_is_refused(gate);
    structs_of_other_versions_get_no_byte_more_than_they_have(gate);
    rows_lie_as_far_apart_as_the_first_says();
    what_an_older_event_does_not_have_is_zero(gate);
    outputs_are_untouched_when_a_call_fails(gate);
    error_is_written_only_on_failure_and_within_its_size(gate);
    long_error_is_cut_at_a_character_and_closed();
    bodies_have_their_limits(gate);
    ticket_that_was_not_issued_is_refused_and_an_old_one_expires();
    more_gates_than_there_is_room_for_are_refused();
    csw_close(gate);
    return 0;
}
