// What the test programs share. Each runs in a folder of its own and leaves with 1 at the first check that fails.
#ifndef CHECK_H
#define CHECK_H

#include <csw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

// A string as the library takes it: pointer and length.
#define STRING(text) (text), strlen(text)

#define BUSINESS "106540352242922"
#define CUSTOMER "16505551234"
// 2023-11-14T10:00:00Z. Events lie in the past, since csw_record clamps the future.
#define MORNING INT64_C(1699956000000)
#define HOUR INT64_C(3600000)
#define LONG_ENOUGH 20000  // ms; nothing here takes so long unless it hangs

static inline void check_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, condition);
    exit(1);
}

static inline csw_gate *opened(const char *config)
{
    csw_error error = {.size = sizeof error};
    csw_gate *gate = NULL;
    if (csw_open_text(STRING(config), &gate, &error) != CSW_OK)
        fprintf(stderr, "%s\n", error.message);
    CHECK(gate != NULL);
    return gate;
}

static inline csw_event event_of(int32_t kind, const char *customer, const char *id, int64_t at)
{
    csw_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = kind;
    event.business = BUSINESS;
    event.business_length = strlen(BUSINESS);
    event.customer = customer;
    event.customer_length = strlen(customer);
    event.id = id;
    event.id_length = id == NULL ? 0 : strlen(id);
    event.at = at;
    return event;
}

static inline csw_recorded record(const csw_gate *gate, csw_event event)
{
    csw_error error = {.size = sizeof error};
    csw_recorded recorded = {.size = sizeof recorded};
    if (csw_record(gate, &event, &recorded, &error) != CSW_OK)
        check_failed(__FILE__, __LINE__, error.message);
    return recorded;
}

static inline csw_window window_at(const csw_gate *gate, const char *customer, int64_t at)
{
    csw_error error = {.size = sizeof error};
    csw_window window = {.size = sizeof window};
    if (csw_check(gate, STRING(BUSINESS), STRING(customer), at, &window, &error) != CSW_OK)
        check_failed(__FILE__, __LINE__, error.message);
    return window;
}

#endif
