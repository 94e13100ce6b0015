// Makes every kind of error about a customer, a body and a secret, and prints what is said of it; the test looks for what must not be in it.
#include "check.h"

// Two forms of one number, each in the reach of an error.
static const char *const names[] = {"447700900123x", "+44 7700 900123 !", "group:447700900123 447700900123", "US.4477009001_23"};

static csw_error error = {.size = sizeof error};

static void say(int32_t status)
{
    CHECK(status < 0);
    printf("%s: %s\n", csw_code_name(status), error.message);
}

int main(int argc, char **argv)
{
    csw_gate *gate = NULL;
    csw_window window = {.size = sizeof window};
    csw_decision decision = {.size = sizeof decision};
    csw_recorded recorded = {.size = sizeof recorded};
    csw_choice choice = {.size = sizeof choice};
    char room[4096];
    size_t length;
    CHECK(argc == 2);
    CHECK(csw_open(STRING(argv[1]), &gate, &error) == CSW_OK);
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        csw_event event = event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, names[index], NULL, MORNING);
        say(csw_check(gate, STRING(BUSINESS), STRING(names[index]), 0, &window, &error));
        say(csw_check(gate, STRING(names[index]), STRING(CUSTOMER), 0, &window, &error));
        say(csw_record(gate, &event, &recorded, &error));
        say(csw_forget(gate, STRING(BUSINESS), STRING(names[index]), &recorded, &error));
        snprintf(room, sizeof room, "{\"business\":\"" BUSINESS "\",\"customer\":\"%s\",\"open\":{},\"closed\":{}}", names[index]);
        say(csw_choose(gate, STRING(room), 0, &choice, room, sizeof room, &length, &error));
    }
    say(csw_decide(gate, STRING(BUSINESS), 0, STRING("{\"to\":447700900123"), 0, &decision, &error));
    say(csw_decide(gate, STRING(BUSINESS), 0, STRING("447700900123"), 0, &decision, &error));
    say(csw_ingest(gate, STRING("{}"), STRING("sha256=0123"), 0, &recorded, &error));
    say(csw_ingest(gate, STRING("{}"), NULL, 0, 0, &recorded, &error));
    say(csw_handshake(gate, STRING("another token"), &error));
    csw_close(gate);
    return 0;
}
