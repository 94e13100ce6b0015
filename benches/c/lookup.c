// Looks contacts up in random order, in csw, Redis or SQLite: one process as fast as it can, or several that pause now and
// then, so that the processors are not what they wait for, while another one writes. Each write is on disk before the next;
// but Redis syncs nothing.
//
//   lookup csw|redis|sqlite WHERE CONTACTS LOOKUPS READERS WRITERS
//
// WHERE is csw's folder, Redis' socket, or SQLite's file, which is filled if it is not there. Prints the p50, p99, p99.99 and
// mean of a lookup in nanoseconds, the allocations in a lookup, and the writes in a second; without readers, of so many.
#define _DEFAULT_SOURCE

#include "allocations.h"
#include "check.h"
#include <hiredis/hiredis.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FIRST UINT64_C(10000000000)
#define READERS 64
#define BURST 64
#define PAUSE 2000  // us
#define KEY BUSINESS ":%s"

struct customer {
    uint64_t number;
    char text[24];
};

struct backend {
    const char *name;
    void *(*open)(const char *where);
    void (*fill)(const char *where, uint64_t contacts);
    int (*is_open)(void *handle, const struct customer *customer);
    void (*write)(void *handle, const struct customer *customer);
};

// What the processes share; each reader has its part of the times.
struct shared {
    volatile int is_over;
    uint64_t writes;
    uint64_t allocations;
    uint32_t times[];
};

struct task {
    const struct backend *backend;
    const char *where;
    uint64_t contacts, lookups;
    unsigned readers, writers;
    struct shared *shared;
};

// csw

static void *csw_opened(const char *where)
{
    char config[512];
    snprintf(config, sizeof config, "store = \"lmdb:%s\"", where);
    return opened(config);
}

static int csw_is_open(void *gate, const struct customer *customer)
{
    csw_window window = {.size = sizeof window};
    return csw_check(gate, STRING(BUSINESS), STRING(customer->text), 0, &window, NULL) == CSW_OK
        && window.state == CSW_STATE_OPEN;
}

static void csw_write(void *gate, const struct customer *customer)
{
    record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, customer->text, NULL, 0));
}

// Redis

static void *redis_opened(const char *where)
{
    redisContext *redis = redisConnectUnix(where);
    CHECK(redis != NULL && redis->err == 0);
    return redis;
}

static int redis_is_open(void *redis, const struct customer *customer)
{
    redisReply *reply = redisCommand(redis, "EXISTS " KEY, customer->text);
    CHECK(reply != NULL);
    int is_open = reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
    freeReplyObject(reply);
    return is_open;
}

static void redis_write(void *redis, const struct customer *customer)
{
    redisReply *reply = redisCommand(redis, "SET " KEY " 1", customer->text);
    CHECK(reply != NULL && reply->type == REDIS_REPLY_STATUS);
    freeReplyObject(reply);
}

// SQLite

struct sqlite {
    sqlite3 *database;
    sqlite3_stmt *get, *put;
};

static sqlite3_stmt *prepared(sqlite3 *database, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    CHECK(sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK);
    return statement;
}

static void *sqlite_opened(const char *where)
{
    struct sqlite *sqlite = malloc(sizeof *sqlite);
    CHECK(sqlite3_open(where, &sqlite->database) == SQLITE_OK);
    sqlite3_busy_timeout(sqlite->database, LONG_ENOUGH);
    CHECK(sqlite3_exec(sqlite->database,
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA mmap_size = 4294967296;"
        "CREATE TABLE IF NOT EXISTS contacts (business INTEGER, customer INTEGER, last_act INTEGER,"
        " PRIMARY KEY (business, customer)) WITHOUT ROWID", NULL, NULL, NULL) == SQLITE_OK);
    sqlite->get = prepared(sqlite->database, "SELECT last_act FROM contacts WHERE business = " BUSINESS " AND customer = ?");
    sqlite->put = prepared(sqlite->database, "REPLACE INTO contacts VALUES (" BUSINESS ", ?, 1)");
    return sqlite;
}

static void sqlite_fill(const char *where, uint64_t contacts)
{
    struct sqlite *sqlite = sqlite_opened(where);
    sqlite3_stmt *fill = prepared(sqlite->database,
        "WITH RECURSIVE customers (number) AS (SELECT ?1 UNION ALL SELECT number + 1 FROM customers WHERE number + 1 < ?1 + ?2)"
        " INSERT INTO contacts SELECT " BUSINESS ", number, 1 FROM customers WHERE NOT EXISTS (SELECT 1 FROM contacts)");
    sqlite3_bind_int64(fill, 1, (int64_t)FIRST);
    sqlite3_bind_int64(fill, 2, (int64_t)contacts);
    CHECK(sqlite3_step(fill) == SQLITE_DONE);
    sqlite3_finalize(fill);
    sqlite3_finalize(sqlite->get);
    sqlite3_finalize(sqlite->put);
    CHECK(sqlite3_close(sqlite->database) == SQLITE_OK);
    free(sqlite);
}

static int sqlite_is_open(void *handle, const struct customer *customer)
{
    struct sqlite *sqlite = handle;
    sqlite3_bind_int64(sqlite->get, 1, (int64_t)customer->number);
    int is_open = sqlite3_step(sqlite->get) == SQLITE_ROW && sqlite3_column_int64(sqlite->get, 0) != 0;
    sqlite3_reset(sqlite->get);
    return is_open;
}

static void sqlite_write(void *handle, const struct customer *customer)
{
    struct sqlite *sqlite = handle;
    sqlite3_bind_int64(sqlite->put, 1, (int64_t)customer->number);
    CHECK(sqlite3_step(sqlite->put) == SQLITE_DONE);
    sqlite3_reset(sqlite->put);
}

static const struct backend backends[] = {
    {"csw", csw_opened, NULL, csw_is_open, csw_write},
    {"redis", redis_opened, NULL, redis_is_open, redis_write},
    {"sqlite", sqlite_opened, sqlite_fill, sqlite_is_open, sqlite_write},
};

// What is measured

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static struct customer drawn(uint64_t *state, uint64_t contacts)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    struct customer customer = {FIRST + *state % contacts, ""};
    snprintf(customer.text, sizeof customer.text, "%llu", (unsigned long long)customer.number);
    return customer;
}

static void read_contacts(const struct task *task, unsigned reader)
{
    void *handle = task->backend->open(task->where);
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15) * (reader + 1);
    uint32_t *times = task->shared->times + reader * task->lookups;
    struct customer customer = drawn(&state, task->contacts);
    CHECK(task->backend->is_open(handle, &customer));  // opens the store

    unsigned long before = allocations;
    for (uint64_t lookup = 0; lookup < task->lookups; lookup++) {
        customer = drawn(&state, task->contacts);
        uint64_t asked = now();
        CHECK(task->backend->is_open(handle, &customer));
        times[lookup] = (uint32_t)(now() - asked);
        if (task->readers + task->writers > 1 && lookup % BURST == BURST - 1)
            usleep(PAUSE);
    }
    __sync_fetch_and_add(&task->shared->allocations, allocations - before);
}

static void write_contacts(const struct task *task)
{
    void *handle = task->backend->open(task->where);
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    while (task->readers > 0 ? !task->shared->is_over : task->shared->writes < task->lookups) {
        struct customer customer = drawn(&state, task->contacts);
        task->backend->write(handle, &customer);
        task->shared->writes++;
    }
}

static int by_size(const void *one, const void *other)
{
    uint32_t left = *(const uint32_t *)one, right = *(const uint32_t *)other;
    return (left > right) - (left < right);
}

static void tell(const struct task *task, double seconds)
{
    uint32_t *times = task->shared->times;
    uint64_t count = task->readers * task->lookups;
    double sum = 0;
    for (uint64_t lookup = 0; lookup < count; lookup++)
        sum += times[lookup];
    qsort(times, count, sizeof *times, by_size);
    if (count > 0)
        printf("%u %u %u %.0f %.2f ", times[count / 2], times[count / 100 * 99], times[count / 10000 * 9999],
            sum / (double)count, (double)task->shared->allocations / (double)count);
    printf("%.0f\n", (double)task->shared->writes / seconds);
}

int main(int count, char **arguments)
{
    CHECK(count == 7);
    const struct backend *backend = backends;
    while (strcmp(backend->name, arguments[1]) != 0)
        CHECK(++backend < backends + sizeof backends / sizeof *backends);
    struct task task = {backend, arguments[2], strtoull(arguments[3], NULL, 10), strtoull(arguments[4], NULL, 10),
        (unsigned)atoi(arguments[5]), (unsigned)atoi(arguments[6]), NULL};
    CHECK(task.readers <= READERS && task.writers <= 1);
    size_t size = sizeof *task.shared + task.readers * task.lookups * sizeof *task.shared->times;
    task.shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(task.shared != MAP_FAILED);
    if (backend->fill != NULL)
        backend->fill(task.where, task.contacts);

    pid_t children[READERS + 1];
    uint64_t began = now();
    for (unsigned child = 0; child < task.readers + task.writers; child++) {
        children[child] = fork();
        CHECK(children[child] >= 0);
        if (children[child] == 0) {
            if (child < task.readers)
                read_contacts(&task, child);
            else
                write_contacts(&task);
            _exit(0);
        }
    }
    for (unsigned child = 0; child < task.readers + task.writers; child++) {
        int status;
        task.shared->is_over = child >= task.readers;
        CHECK(waitpid(children[child], &status, 0) == children[child] && status == 0);
    }
    tell(&task, (double)(now() - began) / 1e9);
    return 0;
}
