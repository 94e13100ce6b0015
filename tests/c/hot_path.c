// csw_check makes no system call, and where the window is open it allocates nothing. It is asked in a child with an allocator
// that counts; the kernel ends it by SIGSYS at its first system call, but for the clock, which the vDSO reads where it can.
#define _DEFAULT_SOURCE

#include "allocations.h"
#include "check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECKS 10000
#define STRANGER "16505559999"
#define ERROR 101

static void forbid_system_calls(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof rules / sizeof *rules, rules};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

// How often a piece of work allocates, or the signal that ends it, negative. Its gate has been used before.
static int noise_of(void (*work)(const csw_gate *gate))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        csw_gate *gate = opened("store = \"lmdb:store\"");
        record(gate, event_of(CSW_EVENT_KIND_CUSTOMER_MESSAGE, CUSTOMER, NULL, 0));
        CHECK(window_at(gate, CUSTOMER, 0).state == CSW_STATE_OPEN);
        forbid_system_calls();
        unsigned long before = allocations;
        work(gate);
        _exit(allocations - before < ERROR ? (int)(allocations - before) : ERROR - 1);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != ERROR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void expect(const csw_gate *gate, const char *customer, int32_t state)
{
    csw_error error = {.size = sizeof error};
    csw_window window = {.size = sizeof window};
    for (int check = 0; check < CHECKS; check++)
        if (csw_check(gate, STRING(BUSINESS), STRING(customer), 0, &window, &error) != CSW_OK || window.state != state)
            _exit(ERROR);
}

static void an_open_window(const csw_gate *gate)
{
    expect(gate, CUSTOMER, CSW_STATE_OPEN);
}

static void a_stranger(const csw_gate *gate)
{
    expect(gate, STRANGER, CSW_STATE_UNKNOWN);
}

static void a_system_call(const csw_gate *gate)
{
    (void)gate;
    getppid();
}

static void an_allocation_of_the_library(const csw_gate *gate)
{
    csw_gate *another;
    (void)gate;
    csw_open_text(STRING("store = \"memory:\""), &another, NULL);
}

int main(void)
{
    CHECK(noise_of(a_system_call) == -SIGSYS);
    CHECK(noise_of(an_allocation_of_the_library) > 0);

    CHECK(noise_of(an_open_window) == 0);
    CHECK(noise_of(a_stranger) >= 0);
    return 0;
}
