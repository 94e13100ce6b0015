/* How long the longest call held its thread, over all threads of the process: a module for longest.lua, of Lua 5.3. */

#include <stdatomic.h>
#include <time.h>

typedef struct lua_State lua_State;
typedef int (*lua_CFunction)(lua_State *);
double lua_tonumberx(lua_State *, int, int *);
void lua_pushnumber(lua_State *, double);
void lua_pushcclosure(lua_State *, lua_CFunction, int);
void lua_createtable(lua_State *, int, int);
void lua_setfield(lua_State *, int, const char *);

static _Atomic long longest_wall, longest_cpu, calls;

static long nanoseconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

static void keep(_Atomic long *longest, long took)
{
    long known = atomic_load(longest);

    while (took > known && !atomic_compare_exchange_weak(longest, &known, took))
        ;
}

/* --> wall, cpu: in ns */
static int begin(lua_State *lua)
{
    lua_pushnumber(lua, (double)nanoseconds(CLOCK_MONOTONIC));
    lua_pushnumber(lua, (double)nanoseconds(CLOCK_THREAD_CPUTIME_ID));
    return 2;
}

/* wall, cpu, as begin gave them */
static int end(lua_State *lua)
{
    keep(&longest_wall, nanoseconds(CLOCK_MONOTONIC) - (long)lua_tonumberx(lua, 1, NULL));
    keep(&longest_cpu, nanoseconds(CLOCK_THREAD_CPUTIME_ID) - (long)lua_tonumberx(lua, 2, NULL));
    atomic_fetch_add(&calls, 1);
    return 0;
}

/* --> wall, cpu, calls: since it was asked last */
static int read(lua_State *lua)
{
    lua_pushnumber(lua, (double)atomic_exchange(&longest_wall, 0));
    lua_pushnumber(lua, (double)atomic_exchange(&longest_cpu, 0));
    lua_pushnumber(lua, (double)atomic_exchange(&calls, 0));
    return 3;
}

int luaopen_longest(lua_State *lua)
{
    lua_createtable(lua, 0, 3);
    lua_pushcclosure(lua, begin, 0);
    lua_setfield(lua, -2, "begin");
    lua_pushcclosure(lua, end, 0);
    lua_setfield(lua, -2, "finish");
    lua_pushcclosure(lua, read, 0);
    lua_setfield(lua, -2, "read");
    return 1;
}
