// Eight threads on one gate, with all that hosts call at once; the report says in the end what they did.
#define _POSIX_C_SOURCE 200809L

#include "check.h"
#include <pthread.h>

#define THREADS 8
#define ROUNDS 40
#define TEXT "{\"to\":\"" CUSTOMER "\",\"type\":\"text\",\"text\":{\"body\":\"hi\"}}"
#define ANSWER "{\"messages\":[{\"id\":\"%s\"}]}"

struct task {
    const csw_gate *gate;
    int number;
    int repeated;
};

static uint64_t submitted(const csw_gate *gate, csw_event event)
{
    csw_error error = {.size = sizeof error};
    uint64_t ticket = 0;
    CHECK(csw_submit_record(gate, &event, &ticket, &error) == CSW_OK);
    return ticket;
}

// Each round sends four messages: one recorded, one submitted, one settled, and one that all threads share by its id.
static void *work(void *argument)
{
    struct task *task = argument;
    const csw_gate *gate = task->gate;
    csw_error error = {.size = sizeof error};
    char own[32], id[32], answer[64];
    snprintf(own, sizeof own, "1650555%04d", 600 + task->number);
    for (int round = 0; round < ROUNDS; round++) {
        record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, own, NULL, MORNING + round));
        CHECK(window_at(gate, own, MORNING + round).last_act == MORNING + round);

        snprintf(id, sizeof id, "recorded.%d.%d", task->number, round);
        CHECK(record(gate, event_of(CSW_EVENT_KIND_BUSINESS_MESSAGE, own, id, MORNING + round)).repeated == 0);

        snprintf(id, sizeof id, "submitted.%d.%d", task->number, round);
        uint64_t ticket = submitted(gate, event_of(CSW_EVENT_KIND_BUSINESS_MESSAGE, CUSTOMER, id, MORNING + round));

        snprintf(id, sizeof id, "settled.%d.%d", task->number, round);
        snprintf(answer, sizeof answer, ANSWER, id);
        csw_decision decision = {.size = sizeof decision};
        CHECK(csw_decide(gate, STRING(BUSINESS), 0, STRING(TEXT), MORNING + round, &decision, &error) == CSW_OK);
        CHECK(decision.verdict == CSW_VERDICT_ALLOW);
        CHECK(csw_settle(gate, &decision, 200, STRING(answer), MORNING + round, NULL, &error) == CSW_OK);

        snprintf(id, sizeof id, "shared.%d", round);
        csw_event shared = event_of(CSW_EVENT_KIND_BUSINESS_MESSAGE, CUSTOMER, id, MORNING + round);
        task->repeated += (int)record(gate, shared).repeated;

        csw_recorded done = {.size = sizeof done};
        CHECK(csw_wait(gate, ticket, LONG_ENOUGH, &done, &error) == CSW_OK && done.events == 1);
        CHECK(csw_poll(gate, ticket, NULL, &error) == CSW_OK);
    }
    return NULL;
}

static void totals_are_what_all_threads_recorded(const char *config)
{
    csw_gate *gate = opened(config);
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, MORNING));
    pthread_t threads[THREADS];
    struct task tasks[THREADS];
    for (int i = 0; i < THREADS; i++) {
        tasks[i] = (struct task){gate, i, 0};
        CHECK(pthread_create(&threads[i], NULL, work, &tasks[i]) == 0);
    }
    int repeated = 0;
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        repeated += tasks[i].repeated;
    }
    CHECK(repeated == (THREADS - 1) * ROUNDS);

    csw_error error = {.size = sizeof error};
    csw_report_row total = {.size = sizeof total};
    size_t count;
    CHECK(csw_report(gate, MORNING, MORNING, 0, &total, 1, &count, &error) == CSW_OK && count == 1);
    CHECK(total.messages == 3 * THREADS * ROUNDS + ROUNDS);
    CHECK(total.conversations == THREADS + 1);
    csw_close(gate);
}

// The first use opens the store, the last close gives it back: also when several do so at once.
static void *come_and_go(void *argument)
{
    for (int round = 0; round < ROUNDS; round++) {
        csw_gate *gate = opened(argument);
        window_at(gate, CUSTOMER, MORNING);
        csw_close(gate);
    }
    return NULL;
}

static void gates_come_and_go_in_all_threads(char *config)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, come_and_go, config) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(void)
{
    char memory[] = "store = \"memory:\"", store[] = "store = \"lmdb:store\"";
    totals_are_what_all_threads_recorded(memory);
    totals_are_what_all_threads_recorded(store);
    gates_come_and_go_in_all_threads(memory);
    gates_come_and_go_in_all_threads(store);
    return 0;
}
