// The closed branch: its steps, what is parked and handed out, a workflow's choice, and the metrics.
#include "check.h"

#define CONFIG                                                                                                         \
    "store = \"memory:\"\naccount = \"1\"\n[closed]\nsteps = [\"template:order_update\", \"channel:sms\", \"park\"]\n" \
    "again = true\n[closed.template.order_update]\n[closed.channel.sms]\nlocation = \"/sms\"\n"
#define TEXT "{\"to\":\"+1 650 555 1234\",\"type\":\"text\",\"text\":{\"body\":\"Hello\"}}"
#define ACCEPTED "{\"messages\":[{\"id\":\"wamid.1\"}]}"
#define REQUEST                                                                                                        \
    "{\"business\":\"" BUSINESS "\",\"customer\":\"" CUSTOMER "\","                                                    \
    "\"open\":{\"type\":\"text\",\"text\":{\"body\":\"Hello\"}},"                                                      \
    "\"closed\":{\"type\":\"template\",\"template\":{\"name\":\"order_update\",\"language\":{\"code\":\"en_US\"}}}}"

static csw_error error = {.size = sizeof error};
static char room[128 * 1024];
static size_t length;

static csw_instead instead_of(const csw_gate *gate, uint32_t index)
{
    csw_instead instead = {.size = sizeof instead};
    CHECK(csw_instead_of(gate, STRING(BUSINESS), STRING(TEXT), MORNING, index, &instead, room, sizeof room, &length,
                         &error) == CSW_OK);
    return instead;
}

static csw_parcel parcel_of(const csw_gate *gate, uint64_t ticket)
{
    csw_parcel parcel = {.size = sizeof parcel};
    CHECK(csw_wait(gate, ticket, LONG_ENOUGH, NULL, &error) == CSW_OK);
    CHECK(csw_parcel_of(gate, ticket, &parcel, room, sizeof room, &length, &error) == CSW_OK);
    return parcel;
}

static csw_parcel taken(const csw_gate *gate)
{
    uint64_t ticket;
    CHECK(csw_submit_take(gate, STRING("c"), 0, &ticket, &error) == CSW_OK);
    return parcel_of(gate, ticket);
}

static void return_it(const csw_gate *gate, const csw_parcel *parcel, int32_t fate)
{
    uint64_t ticket;
    CHECK(csw_submit_return(gate, parcel, fate, &ticket, &error) == CSW_OK);
    CHECK(csw_wait(gate, ticket, LONG_ENOUGH, NULL, &error) == CSW_OK);
}

static int32_t due(const csw_gate *gate)
{
    int32_t due = -1;
    CHECK(csw_due(gate, STRING("c"), &due, &error) == CSW_OK);
    return due;
}

static void steps_are_told_one_after_the_other(void)
{
    csw_gate *gate = opened(CONFIG);
    csw_instead template = instead_of(gate, 0);
    CHECK(template.kind == CSW_STEP_KIND_TEMPLATE && template.unfit == CSW_UNFIT_TEMPLATE_UNKNOWN && length == 0);
    CHECK(strcmp(template.step, "template:order_update") == 0);
    CHECK(strcmp(csw_unfit_name(template.unfit), "template_unknown") == 0);

    csw_instead channel = instead_of(gate, 1);
    CHECK(channel.kind == CSW_STEP_KIND_CHANNEL && channel.unfit == 0);
    CHECK(strcmp(channel.location, "/sms") == 0 && strcmp(channel.to, CUSTOMER) == 0);
    CHECK(length == 5 && memcmp(room, "Hello", 5) == 0 && strncmp(channel.id, "csw.", 4) == 0);

    csw_instead park = instead_of(gate, 2);
    CHECK(park.kind == CSW_STEP_KIND_PARK && strcmp(park.to, "+1 650 555 1234") == 0);
    CHECK(instead_of(gate, 3).kind == CSW_STEP_KIND_BLOCK && instead_of(gate, UINT32_MAX).kind == CSW_STEP_KIND_BLOCK);
    CHECK(strcmp(csw_step_kind_name(CSW_STEP_KIND_PARK), "park") == 0);

    // Too small a buffer gets nothing, and learns how large it must be.
    char small[4] = "abc";
    csw_instead instead = {.size = sizeof instead};
    CHECK(csw_instead_of(gate, STRING(BUSINESS), STRING(TEXT), 0, 1, &instead, small, sizeof small, &length, &error) == CSW_OK);
    CHECK(length == 5 && strcmp(small, "abc") == 0);
    CHECK(csw_instead_of(gate, STRING(BUSINESS), STRING(TEXT), 0, 1, &instead, NULL, 0, &length, &error) == CSW_OK);
    csw_close(gate);
}

static void what_is_parked_is_handed_out_once_the_customer_writes(void)
{
    csw_gate *gate = opened(CONFIG);
    uint64_t ticket;
    CHECK(csw_submit_park(gate, STRING("c"), STRING(BUSINESS), STRING(TEXT), &ticket, &error) == CSW_OK);
    csw_parcel parked = parcel_of(gate, ticket);
    CHECK(parked.kind == CSW_PARCEL_KIND_PARKED && parked.waiting == 1 && parked.dropped == 0 && length == 0);
    CHECK(strcmp(csw_parcel_kind_name(parked.kind), "parked") == 0);
    CHECK(due(gate) == 0 && taken(gate).kind == 0);

    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, 0));
    CHECK(due(gate) == 1);
    csw_parcel parcel = taken(gate);
    CHECK(parcel.id == parked.id && parcel.business == UINT64_C(106540352242922) && strcmp(parcel.customer, CUSTOMER) == 0);
    CHECK(length == strlen(TEXT) && memcmp(room, TEXT, length) == 0);
    return_it(gate, &parcel, CSW_FATE_CLOSED);
    CHECK(taken(gate).kind == 0);
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, 0));
    parcel = taken(gate);
    CHECK(parcel.kind == CSW_PARCEL_KIND_PARKED);
    return_it(gate, &parcel, CSW_FATE_SENT);
    CHECK(due(gate) == 0 && strcmp(csw_fate_name(CSW_FATE_LOST), "lost") == 0);
    csw_close(gate);
}

static void a_message_refused_after_all_is_handed_out(void)
{
    csw_gate *gate = opened(CONFIG);
    csw_decision decision = {.size = sizeof decision};
    uint64_t ticket;
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, 0));
    CHECK(csw_decide(gate, STRING(BUSINESS), CSW_ENDPOINT_MESSAGES, STRING(TEXT), 0, &decision, &error) == CSW_OK);
    CHECK(decision.keep == 1 && decision.prefer_free == 0 && strcmp(decision.customer, "16*******34") == 0);
    CHECK(csw_settle(gate, &decision, 200, STRING(ACCEPTED), 0, NULL, &error) == CSW_OK);
    CHECK(csw_submit_keep(gate, STRING("c"), &decision, 200, STRING(ACCEPTED), STRING(TEXT), &ticket, &error) == CSW_OK);
    csw_event failed = event_of(CSW_EVENT_KIND_FAILED, CUSTOMER, "wamid.1", 0);
    failed.code = 131047;
    record(gate, failed);
    CHECK(taken(gate).kind == CSW_PARCEL_KIND_REFUSED && length == strlen(TEXT));
    csw_close(gate);
}

static void a_workflow_gets_the_body_that_fits(void)
{
    csw_gate *gate = opened(CONFIG);
    csw_choice choice = {.size = sizeof choice};
    CHECK(csw_choose(gate, STRING(REQUEST), 0, &choice, room, sizeof room, &length, &error) == CSW_OK);
    room[length] = '\0';
    CHECK(choice.branch == CSW_STATE_CLOSED && choice.forecast == 0 && strstr(room, "\"template\"") != NULL);
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, 0));
    CHECK(csw_choose(gate, STRING(REQUEST), 0, &choice, room, sizeof room, &length, &error) == CSW_OK);
    CHECK(choice.branch == CSW_STATE_OPEN && choice.business == UINT64_C(106540352242922));
    CHECK(csw_choose(gate, STRING("{}"), 0, &choice, room, sizeof room, &length, &error) == CSW_CODE_BODY);
    CHECK(strstr(error.message, "business") != NULL);
    csw_close(gate);
}

static void metrics_are_text(void)
{
    csw_gate *gate = opened("store = \"memory:\"\nprefer_free = true");
    csw_settings settings = {.size = sizeof settings};
    CHECK(csw_settings_of(gate, NULL, 0, &settings, &error) == CSW_OK && settings.prefer_free == CSW_PREFER_FREE_NOTE);
    CHECK(strcmp(csw_prefer_free_name(settings.prefer_free), "note") == 0 && settings.token_file[0] == '\0');
    CHECK(csw_metrics(gate, NULL, 0, &length, &error) == CSW_OK && length > 0 && length < sizeof room);
    CHECK(csw_metrics(gate, room, sizeof room, &length, &error) == CSW_OK);
    room[length] = '\0';
    CHECK(strstr(room, "\ncsw_queue_jobs 0\n") != NULL);
    csw_close(gate);
}

#define INVALID(call) CHECK((call) == CSW_CODE_INVALID)

static void mistakes_are_told(void)
{
    csw_gate *gate = opened(CONFIG);
    csw_instead instead = {.size = sizeof instead};
    csw_parcel parcel = {.size = sizeof parcel};
    csw_choice choice = {.size = sizeof choice};
    csw_decision decision = {.size = sizeof decision};
    uint64_t ticket;
    INVALID(csw_instead_of(NULL, STRING(BUSINESS), STRING(TEXT), 0, 0, &instead, NULL, 0, &length, &error));
    INVALID(csw_instead_of(gate, STRING(BUSINESS), STRING(TEXT), 0, 0, NULL, NULL, 0, &length, &error));
    INVALID(csw_instead_of(gate, STRING(BUSINESS), STRING(TEXT), 0, 0, &instead, NULL, 1, &length, &error));
    INVALID(csw_instead_of(gate, STRING(BUSINESS), STRING(TEXT), 0, 0, &instead, NULL, 0, NULL, &error));
    INVALID(csw_submit_park(gate, STRING("no name"), STRING(BUSINESS), STRING(TEXT), &ticket, &error));
    INVALID(csw_submit_take(gate, NULL, 0, 0, &ticket, &error));
    INVALID(csw_submit_park(gate, STRING("c"), STRING("shop"), STRING(TEXT), &ticket, &error));
    INVALID(csw_submit_park(gate, STRING("c"), STRING(BUSINESS), STRING(TEXT), NULL, &error));
    CHECK(csw_submit_park(gate, STRING("c"), STRING(BUSINESS), STRING("{"), &ticket, &error) == CSW_CODE_BODY);
    INVALID(csw_submit_take(gate, STRING("c"), 0, NULL, &error));
    INVALID(csw_due(gate, STRING("c"), NULL, &error));
    INVALID(csw_parcel_of(gate, 77, &parcel, NULL, 0, &length, &error));
    INVALID(csw_submit_return(gate, NULL, CSW_FATE_SENT, &ticket, &error));
    INVALID(csw_submit_return(gate, &parcel, CSW_FATE_SENT, &ticket, &error));  // of no kind
    parcel.kind = CSW_PARCEL_KIND_PARKED;
    INVALID(csw_submit_return(gate, &parcel, CSW_FATE_SENT, &ticket, &error));  // of nobody
    strcpy(parcel.customer, CUSTOMER);
    INVALID(csw_submit_return(gate, &parcel, 99, &ticket, &error));
    CHECK(csw_submit_return(gate, &parcel, CSW_FATE_SENT, &ticket, &error) == CSW_OK);  // long gone: harmless
    INVALID(csw_submit_keep(gate, STRING("c"), NULL, 200, STRING(ACCEPTED), STRING(TEXT), &ticket, &error));
    INVALID(csw_submit_keep(gate, STRING("c"), &decision, 200, STRING(ACCEPTED), STRING(TEXT), &ticket, &error));
    decision.token_length = UINT32_MAX;
    INVALID(csw_submit_keep(gate, STRING("c"), &decision, 200, STRING(ACCEPTED), STRING(TEXT), &ticket, &error));
    INVALID(csw_choose(gate, STRING(REQUEST), 0, NULL, room, sizeof room, &length, &error));
    CHECK(csw_choose(gate, NULL, 0, 0, &choice, room, sizeof room, &length, &error) == CSW_CODE_BODY);
    INVALID(csw_metrics(gate, room, sizeof room, NULL, &error));
    csw_close(gate);
    INVALID(csw_metrics(gate, room, sizeof room, &length, &error));
    INVALID(csw_due(gate, STRING("c"), &(int32_t){0}, &error));
}

int main(void)
{
    steps_are_told_one_after_the_other();
    what_is_parked_is_handed_out_once_the_customer_writes();
    a_message_refused_after_all_is_handed_out();
    a_workflow_gets_the_body_that_fits();
    metrics_are_text();
    mistakes_are_told();
    return 0;
}
