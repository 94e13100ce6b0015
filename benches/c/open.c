// Opens a store and asks it for contacts in random order.
//
//   open FOLDER CONTACTS CHECKS
//
// Prints how long opening and the first check took, in milliseconds, and the process's own memory after all of them, in KiB:
// what is not a mapped file.
#define _POSIX_C_SOURCE 200809L

#include "check.h"
#include <time.h>

static double milliseconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static long own_memory(void)
{
    char line[256];
    long size = -1;
    FILE *status = fopen("/proc/self/status", "r");
    CHECK(status != NULL);
    while (size < 0 && fgets(line, sizeof line, status) != NULL)
        sscanf(line, "RssAnon: %ld", &size);
    fclose(status);
    CHECK(size > 0);
    return size;
}

int main(int count, char **arguments)
{
    CHECK(count == 4);
    char config[512], customer[24];
    snprintf(config, sizeof config, "store = \"lmdb:%s\"", arguments[1]);
    unsigned long long contacts = strtoull(arguments[2], NULL, 10);
    unsigned long checks = strtoul(arguments[3], NULL, 10);

    double began = milliseconds();
    csw_gate *gate = opened(config);
    CHECK(window_at(gate, "10000000000", 0).state == CSW_STATE_OPEN);
    double took = milliseconds() - began;

    unsigned long long state = 0x9e3779b97f4a7c15;
    for (unsigned long check = 0; check < checks; check++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        snprintf(customer, sizeof customer, "%llu", 10000000000 + state % contacts);
        CHECK(window_at(gate, customer, 0).state == CSW_STATE_OPEN);
    }
    printf("%.2f %ld\n", took, own_memory());
    csw_close(gate);
    return 0;
}
