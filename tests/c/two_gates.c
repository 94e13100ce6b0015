// Gates on one folder share its store, under whatever name; each store in memory is its gate's own.
#define _POSIX_C_SOURCE 200809L

#include "check.h"
#include <poll.h>
#include <unistd.h>

#define STORE "store = \"lmdb:store\""

static void act_of(const csw_gate *gate, const char *customer)
{
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, customer, NULL, MORNING));
}

static int is_open(const csw_gate *gate, const char *customer)
{
    return window_at(gate, customer, MORNING).state == CSW_STATE_OPEN;
}

static void gates_on_one_folder_share_its_store(void)
{
    csw_gate *one = opened(STORE), *other = opened(STORE);
    act_of(one, "16505550500");
    act_of(other, "16505550501");
    CHECK(is_open(one, "16505550501") && is_open(other, "16505550500"));

    CHECK(symlink("store", "link") == 0);
    const char *names[] = {"store = \"lmdb:./store\"", "store = \"lmdb:store/../store/\"", "store = \"lmdb:link\""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        csw_gate *gate = opened(names[i]);
        CHECK(is_open(gate, "16505550500"));
        csw_close(gate);
    }

    csw_close(one);
    act_of(other, "16505550502");
    CHECK(is_open(other, "16505550500") && is_open(other, "16505550502"));
    csw_close(other);
}

static void each_gate_has_its_own_event_descriptor_and_configuration(void)
{
    csw_gate *one = opened(STORE), *other = opened(STORE "\nmargin = \"1h\"");
    struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLIN}};
    CHECK(csw_event_fd(one, &fds[0].fd, NULL) == CSW_OK && csw_event_fd(other, &fds[1].fd, NULL) == CSW_OK);
    CHECK(fds[0].fd != fds[1].fd);
    act_of(one, "16505550503");
    CHECK(poll(fds, 2, LONG_ENOUGH) == 2);
    CHECK(window_at(one, "16505550503", MORNING).expires_at == MORNING + 24 * HOUR);
    CHECK(window_at(other, "16505550503", MORNING).expires_at == MORNING + 23 * HOUR);
    csw_close(one);
    csw_close(other);
}

static void closing_finishes_what_was_submitted_and_opening_again_finds_it(void)
{
    csw_gate *gate = opened(STORE);
    csw_event event = event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, "16505550504", NULL, MORNING);
    uint64_t ticket;
    CHECK(csw_submit_record(gate, &event, &ticket, NULL) == CSW_OK);
    csw_close(gate);

    gate = opened(STORE);
    CHECK(is_open(gate, "16505550500") && is_open(gate, "16505550504"));
    csw_close(gate);
}

static void memory_is_each_gates_own(void)
{
    csw_gate *one = opened("store = \"memory:\""), *other = opened("store = \"memory:\"");
    act_of(one, CUSTOMER);
    CHECK(is_open(one, CUSTOMER) && !is_open(other, CUSTOMER));
    csw_close(one);
    one = opened("store = \"memory:\"");
    CHECK(!is_open(one, CUSTOMER));
    csw_close(one);
    csw_close(other);
}

static void folder_that_cannot_be_a_store_is_named(void)
{
    csw_error error = {.size = sizeof error};
    csw_window window = {.size = sizeof window};
    FILE *file = fopen("file", "w");
    CHECK(file != NULL && fclose(file) == 0);
    csw_gate *gate = opened("store = \"lmdb:file\"");
    CHECK(csw_check(gate, STRING(BUSINESS), STRING(CUSTOMER), MORNING, &window, &error) == CSW_CODE_STORE);
    CHECK(strstr(error.message, "file") != NULL);

    // A gate whose store could not be opened tries again at the next call.
    CHECK(remove("file") == 0 && symlink("store", "file") == 0);
    act_of(gate, CUSTOMER);
    csw_close(gate);
}

int main(void)
{
    gates_on_one_folder_share_its_store();
    each_gate_has_its_own_event_descriptor_and_configuration();
    closing_finishes_what_was_submitted_and_opening_again_finds_it();
    memory_is_each_gates_own();
    folder_that_cannot_be_a_store_is_named();
    return 0;
}
