// Gives webhooks to csw with so many of them in flight, each on disk before the next one takes its place.
//
//   ingest FOLDER WEBHOOKS IN_FLIGHT COUNT
//
// WEBHOOKS is a file of lines, each a signature, a tab, and the webhook. Prints how many were recorded in a second.
#define _POSIX_C_SOURCE 200809L

#include "check.h"
#include <time.h>

#define IN_FLIGHT 1024

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void await(const csw_gate *gate, uint64_t ticket)
{
    csw_error error = {.size = sizeof error};
    if (csw_wait(gate, ticket, LONG_ENOUGH, NULL, &error) != CSW_OK)
        check_failed(__FILE__, __LINE__, error.message);
}

static uint64_t submitted(const csw_gate *gate, FILE *webhooks)
{
    static char line[4096];
    csw_error error = {.size = sizeof error};
    uint64_t ticket = 0;
    CHECK(fgets(line, sizeof line, webhooks) != NULL);
    char *webhook = strchr(line, '\t') + 1;
    if (csw_submit_ingest(gate, webhook, strcspn(webhook, "\n"), line, (size_t)(webhook - 1 - line), 0, &ticket, &error) != CSW_OK)
        check_failed(__FILE__, __LINE__, error.message);
    return ticket;
}

int main(int count, char **arguments)
{
    CHECK(count == 5);
    char config[512];
    snprintf(config, sizeof config, "store = \"lmdb:%s\"\nrules = \"meta\"\n[webhook]\nsecret_env = \"SECRET\"", arguments[1]);
    FILE *webhooks = fopen(arguments[2], "r");
    unsigned in_flight = (unsigned)atoi(arguments[3]), total = (unsigned)atoi(arguments[4]);
    CHECK(webhooks != NULL && in_flight > 0 && in_flight <= IN_FLIGHT);
    csw_gate *gate = opened(config);
    window_at(gate, CUSTOMER, 0);  // opens the store

    uint64_t tickets[IN_FLIGHT];
    double began = now();
    for (unsigned webhook = 0; webhook < total; webhook++) {
        if (webhook >= in_flight)
            await(gate, tickets[webhook % in_flight]);
        tickets[webhook % in_flight] = submitted(gate, webhooks);
    }
    CHECK(csw_flush(gate, LONG_ENOUGH, NULL) == CSW_OK);
    printf("%.0f\n", total / (now() - began));
    fclose(webhooks);
    csw_close(gate);
    return 0;
}
