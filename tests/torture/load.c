// A gateway's work in a loop: every verb of the C door, so many calls in all (the first argument). Says "warm" once what fills up by itself has
// filled up, and in the end how many calls it has made. Each call must do what it says.
#define _POSIX_C_SOURCE 200809L

#include "../c/check.h"
#include <inttypes.h>
#include <unistd.h>

#define CUSTOMERS 1000
#define BATCH 64
#define GATEWAY "c"
#define CLOSED                                                                                               \
    "[closed]\nsteps = [\"template:order_update\", \"channel:sms\", \"park\"]\nagain = true\n"               \
    "[closed.template.order_update]\n[closed.channel.sms]\n[webhook]\nsecret_file = \"secret\"\n"            \
    "verify_token_file = \"secret\"\n"
#define STORE "store = \"lmdb:store\"\ndurability = \"relaxed\"\naccount = \"1\"\n" CLOSED
#define OTHER_STORE "store = \"lmdb:other\"\n"
#define REQUEST                                                                                              \
    "{\"business\":\"" BUSINESS "\",\"customer\":\"" CUSTOMER "\","                                          \
    "\"open\":{\"type\":\"text\",\"text\":{\"body\":\"Hello\"}},"                                            \
    "\"closed\":{\"type\":\"template\",\"template\":{\"name\":\"order_update\",\"language\":{\"code\":\"en_US\"}}}}"
#define TEMPLATE \
    "{\"to\":\"%s\",\"type\":\"template\",\"template\":{\"name\":\"order_update\",\"language\":{\"code\":\"en_US\"}}}"

static csw_error error = {.size = sizeof error};
static uint64_t calls;
static uint64_t tickets[BATCH * 16];
static size_t waiting;
static char room[128 * 1024];
static size_t length;
static const char *webhook, *signature;

#define DONE(call) (calls++, (call) == CSW_OK ? (void)0 : failed(__LINE__, #call))

static void failed(int line, const char *call)
{
    fprintf(stderr, "load.c:%d: %s: %s\n", line, call, error.message);
    exit(1);
}

static uint64_t *ticket(void)
{
    CHECK(waiting < sizeof tickets / sizeof *tickets);
    return &tickets[waiting++];
}

// What was submitted is on disk, and each ticket says so.
static void settle_all(const csw_gate *gate)
{
    DONE(csw_flush(gate, LONG_ENOUGH, &error));
    csw_recorded recorded = {.size = sizeof recorded};
    while (waiting > 0)
        DONE(csw_poll(gate, tickets[--waiting], &recorded, &error));
}

static csw_parcel taken(const csw_gate *gate)
{
    csw_parcel parcel = {.size = sizeof parcel};
    uint64_t take;
    DONE(csw_submit_take(gate, STRING(GATEWAY), 0, &take, &error));
    DONE(csw_wait(gate, take, LONG_ENOUGH, NULL, &error));
    DONE(csw_parcel_of(gate, take, &parcel, room, sizeof room, &length, &error));
    return parcel;
}

// One customer writes, is asked about, and is sent to; one message is parked.
static void serve(const csw_gate *gate, uint64_t round)
{
    char customer[16], text[128], template[192], id[40], answer[64];
    snprintf(customer, sizeof customer, "1650555%04d", (int)(round % CUSTOMERS));
    snprintf(text, sizeof text, "{\"to\":\"%s\",\"type\":\"text\",\"text\":{\"body\":\"hi\"}}", customer);
    snprintf(template, sizeof template, TEMPLATE, customer);
    snprintf(id, sizeof id, "wamid.%" PRIu64, round);
    snprintf(answer, sizeof answer, "{\"messages\":[{\"id\":\"%s\"}]}", id);

    csw_window window = {.size = sizeof window};
    csw_decision decision = {.size = sizeof decision};
    for (int i = 0; i < 24; i++)
        DONE(csw_check(gate, STRING(BUSINESS), STRING(customer), 0, &window, &error));
    for (int i = 0; i < 8; i++)
        DONE(csw_decide(gate, STRING(BUSINESS), CSW_ENDPOINT_MESSAGES, STRING(template), 0, &decision, &error));
    for (int i = 0; i < 8; i++)
        DONE(csw_decide(gate, STRING(BUSINESS), CSW_ENDPOINT_MESSAGES, STRING(text), 0, &decision, &error));

    DONE(csw_submit_settle(gate, &decision, 200, STRING(answer), 0, ticket(), &error));
    if (decision.keep)
        DONE(csw_submit_keep(gate, STRING(GATEWAY), &decision, 200, STRING(answer), STRING(text), ticket(), &error));
    csw_event delivered = event_of(CSW_EVENT_KIND_DELIVERED, customer, id, 0);
    DONE(csw_submit_record(gate, &delivered, ticket(), &error));
    csw_event act = event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, customer, NULL, 0);
    DONE(csw_submit_record(gate, &act, ticket(), &error));
    DONE(csw_submit_ingest(gate, STRING(webhook), STRING(signature), 0, ticket(), &error));

    csw_instead instead = {.size = sizeof instead};
    for (uint32_t step = 0; step < 4; step++)
        DONE(csw_instead_of(gate, STRING(BUSINESS), STRING(text), 0, step, &instead, room, sizeof room, &length, &error));
    csw_settings settings = {.size = sizeof settings};
    DONE(csw_settings_of(gate, STRING(BUSINESS), &settings, &error));
    DONE(csw_handshake(gate, STRING("app secret"), &error));
    csw_choice choice = {.size = sizeof choice};
    DONE(csw_choose(gate, STRING(REQUEST), 0, &choice, room, sizeof room, &length, &error));
}

// A message that waits for its customer, until they write.
static void park(const csw_gate *gate)
{
    int32_t due;
    csw_parcel parcel = {.size = sizeof parcel};
    uint64_t parked;
    const char text[] = "{\"to\":\"" CUSTOMER "\",\"type\":\"text\",\"text\":{\"body\":\"hi\"}}";
    DONE(csw_submit_park(gate, STRING(GATEWAY), STRING(BUSINESS), STRING(text), &parked, &error));
    DONE(csw_wait(gate, parked, LONG_ENOUGH, NULL, &error));
    DONE(csw_parcel_of(gate, parked, &parcel, NULL, 0, &length, &error));
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, 0));
    DONE(csw_due(gate, STRING(GATEWAY), &due, &error));
    CHECK(due == 1);
    parcel = taken(gate);
    CHECK(parcel.kind == CSW_PARCEL_KIND_PARKED);
    DONE(csw_submit_return(gate, &parcel, CSW_FATE_SENT, ticket(), &error));
}

// What operators ask, and what is said at once.
static void ask(const csw_gate *gate)
{
    csw_report_row rows[16] = {{.size = sizeof rows[0]}};
    csw_expiring_window windows[16] = {{.size = sizeof windows[0]}};
    csw_recorded recorded = {.size = sizeof recorded};
    csw_decision decision = {.size = sizeof decision};
    uint64_t asked;
    size_t count;
    int32_t fd;
    DONE(csw_event_fd(gate, &fd, &error));
    DONE(csw_report(gate, 0, 0, CSW_BY_DAY | CSW_BY_CATEGORY, rows, 16, &count, &error));
    DONE(csw_submit_report(gate, 0, 0, CSW_BY_BUSINESS, &asked, &error));
    DONE(csw_wait(gate, asked, LONG_ENOUGH, NULL, &error));
    DONE(csw_report_rows(gate, asked, 0, rows, 16, &count, &error));
    DONE(csw_submit_expiring(gate, 0, UINT32_MAX, 1000, &asked, &error));
    DONE(csw_wait(gate, asked, LONG_ENOUGH, NULL, &error));
    DONE(csw_expiring_rows(gate, asked, 0, windows, 16, &count, &error));
    DONE(csw_metrics(gate, room, sizeof room, &length, &error));
    DONE(csw_forget(gate, NULL, 0, STRING("16505550007"), &recorded, &error));
    DONE(csw_submit_forget(gate, STRING(BUSINESS), STRING("16505550008"), ticket(), &error));
    DONE(csw_ingest(gate, STRING(webhook), STRING(signature), 0, &recorded, &error));
    const char template[] = "{\"to\":\"" CUSTOMER "\",\"type\":\"template\",\"template\":{\"name\":\"x\"}}";
    DONE(csw_decide(gate, STRING(BUSINESS), CSW_ENDPOINT_MESSAGES, STRING(template), 0, &decision, &error));
    DONE(csw_settle(gate, &decision, 500, NULL, 0, 0, &recorded, &error));
    CHECK(read(fd, room, 8) == 8);
}

// Calls that fail give back what they took, too.
static void make_mistakes(const csw_gate *gate)
{
    csw_decision decision = {.size = sizeof decision};
    csw_recorded recorded = {.size = sizeof recorded};
    csw_gate *none = NULL;
    calls += 4;
    CHECK(csw_decide(gate, STRING(BUSINESS), 0, STRING("{"), 0, &decision, &error) == CSW_CODE_BODY);
    CHECK(csw_ingest(gate, STRING(webhook), STRING("sha256=00"), 0, &recorded, &error) == CSW_CODE_SIGNATURE);
    CHECK(csw_poll(gate, UINT64_MAX, NULL, &error) == CSW_CODE_INVALID);
    CHECK(csw_open_text(STRING("stoer = 1"), &none, &error) == CSW_CODE_CONFIG && none == NULL);
}

// Gates that come and go: one on the same store, one with a store on disk and one with a store in memory of its own; and one
// of a file.
static void come_and_go(void)
{
    const char *configs[] = {STORE, OTHER_STORE, "store = \"memory:\"\n"};
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        csw_gate *gate = opened(configs[i]);
        record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, "wamid.again", MORNING));
        csw_close(gate);
        calls += 3;
    }
    csw_gate *read = NULL;
    DONE(csw_open(STRING("csw.toml"), &read, &error));
    csw_close(read);
}

// One round of all that; what is rarer than once a round comes when its turn is.
static void work(const csw_gate *gate, uint64_t round)
{
    serve(gate, round);
    if (round % BATCH == BATCH - 1) {
        park(gate);
        settle_all(gate);
    }
    if (round % (BATCH * 8) == BATCH * 8 - 1) {
        ask(gate);
        make_mistakes(gate);
        come_and_go();
    }
}

// What fills up by itself: the ring of tickets' outcomes goes round, and the pages that a commit changes are at hand.
static void warm_up(const csw_gate *gate, uint64_t *round)
{
    for (int batch = 0; batch < 300; batch++) {
        for (int i = 0; i < 500; i++)
            DONE(csw_submit_take(gate, STRING("nobody"), 0, ticket(), &error));
        settle_all(gate);
    }
    while (*round < 3 * CUSTOMERS)
        work(gate, (*round)++);
}

int main(int count, char **arguments)
{
    CHECK(count == 4);
    uint64_t all = strtoull(arguments[1], NULL, 10), round = 0;
    webhook = arguments[2];
    signature = arguments[3];
    csw_gate *gate = opened(STORE);
    warm_up(gate, &round);
    calls = 0;
    puts("warm");
    fflush(stdout);
    while (calls < all)
        work(gate, round++);
    settle_all(gate);
    printf("%" PRIu64 "\n", calls);
    csw_close(gate);
    return 0;
}
