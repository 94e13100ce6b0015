// A gate over a fork: unused before, it works in every process; used before, it is the parent's alone.
#define _POSIX_C_SOURCE 200809L

#include "check.h"
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 4

static const char *const customers[CHILDREN + 1] = {"16505550400", "16505550401", "16505550402", "16505550403",
                                                    "16505550404"};

static void records_of_all_are_there(const csw_gate *gate)
{
    for (size_t i = 0; i <= CHILDREN; i++)
        CHECK(window_at(gate, customers[i], MORNING).state == CSW_STATE_OPEN);
}

static void left_well(pid_t child)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void gate_that_was_not_used_works_in_all_processes(void)
{
    csw_gate *gate = opened("store = \"lmdb:store\"");
    int done[2], go[2];
    CHECK(pipe(done) == 0 && pipe(go) == 0);
    pid_t children[CHILDREN];
    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        CHECK(children[i] >= 0);
        if (children[i] > 0)
            continue;
        char byte;
        close(go[1]);
        record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, customers[i], NULL, MORNING));
        CHECK(write(done[1], "", 1) == 1);
        CHECK(read(go[0], &byte, 1) == 0);
        records_of_all_are_there(gate);
        csw_close(gate);
        _exit(0);
    }
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, customers[CHILDREN], NULL, MORNING));
    char bytes[CHILDREN];
    close(done[1]);
    for (size_t i = 0; i < CHILDREN; i++)
        CHECK(read(done[0], bytes + i, 1) == 1);
    records_of_all_are_there(gate);
    close(go[1]);
    for (size_t i = 0; i < CHILDREN; i++)
        left_well(children[i]);
    close(done[0]);
    close(go[0]);
    records_of_all_are_there(gate);
    csw_close(gate);
}

static void all_that_need_the_store_answer_forked(const csw_gate *gate)
{
    const char *body = "{\"to\":\"" CUSTOMER "\",\"type\":\"text\",\"text\":{\"body\":\"hi\"}}";
    csw_error error = {.size = sizeof error};
    csw_window window = {.size = sizeof window};
    csw_decision decision = {.size = sizeof decision};
    csw_settings settings = {.size = sizeof settings};
    csw_event event = event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, customers[0], NULL, MORNING);
    uint64_t ticket;
    int32_t fd;
    size_t count;
    CHECK(csw_check(gate, STRING(BUSINESS), STRING(CUSTOMER), MORNING, &window, &error) == CSW_CODE_FORKED);
    CHECK(error.code == CSW_CODE_FORKED && error.message[0] != '\0');
    CHECK(csw_decide(gate, STRING(BUSINESS), 0, STRING(body), MORNING, &decision, &error) == CSW_CODE_FORKED);
    CHECK(csw_record(gate, &event, NULL, &error) == CSW_CODE_FORKED);
    CHECK(csw_submit_record(gate, &event, &ticket, &error) == CSW_CODE_FORKED);
    CHECK(csw_ingest(gate, STRING("{}"), NULL, 0, 0, NULL, &error) == CSW_CODE_FORKED);
    CHECK(csw_submit_ingest(gate, STRING("{}"), NULL, 0, 0, &ticket, &error) == CSW_CODE_FORKED);
    CHECK(csw_poll(gate, 1, NULL, &error) == CSW_CODE_FORKED);
    CHECK(csw_wait(gate, 1, 0, NULL, &error) == CSW_CODE_FORKED);
    CHECK(csw_flush(gate, 0, &error) == CSW_CODE_FORKED);
    CHECK(csw_event_fd(gate, &fd, &error) == CSW_CODE_FORKED);
    CHECK(csw_report(gate, MORNING, MORNING, 0, NULL, 0, &count, &error) == CSW_CODE_FORKED);
    CHECK(csw_settings_of(gate, NULL, 0, &settings, &error) == CSW_OK);
}

static void gate_that_was_used_is_the_parents(const char *config)
{
    csw_gate *gate = opened(config), *unused = opened("store = \"lmdb:other\"");
    int32_t fd;
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING));
    CHECK(csw_event_fd(gate, &fd, NULL) == CSW_OK);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        all_that_need_the_store_answer_forked(gate);
        csw_close(gate);
        // Other stores are as good in the child as in any process.
        record(unused, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING));
        csw_close(unused);
        csw_gate *fresh = opened("store = \"memory:\"");
        record(fresh, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING));
        csw_close(fresh);
        _exit(0);
    }
    left_well(child);
    CHECK(window_at(gate, CUSTOMER, MORNING).state == CSW_STATE_OPEN);
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING + HOUR));
    CHECK(window_at(gate, CUSTOMER, MORNING).last_act == MORNING + HOUR);
    CHECK(window_at(unused, CUSTOMER, MORNING).state == CSW_STATE_OPEN);
    csw_close(unused);
    csw_close(gate);
}

static void parent_may_close_and_open_again_while_a_child_lives(void)
{
    const char *config = "store = \"lmdb:store\"";
    csw_gate *gate = opened(config);
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING));
    int end[2];
    CHECK(pipe(end) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char byte;
        close(end[1]);
        CHECK(read(end[0], &byte, 1) == 0);
        _exit(0);
    }
    csw_close(gate);
    gate = opened(config);
    CHECK(window_at(gate, CUSTOMER, MORNING).state == CSW_STATE_OPEN);
    csw_close(gate);
    close(end[0]);
    close(end[1]);
    left_well(child);
}

int main(void)
{
    gate_that_was_not_used_works_in_all_processes();
    gate_that_was_used_is_the_parents("store = \"lmdb:store\"");
    gate_that_was_used_is_the_parents("store = \"memory:\"");
    parent_may_close_and_open_again_while_a_child_lives();
    return 0;
}
