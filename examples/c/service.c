// A service on one thread that never waits for the store: it tells customers' windows, takes in what happened, and
// answers when that is on disk.
//
//     make && ./service csw.toml csw.sock          and in another terminal: nc -U csw.sock
//
// It speaks lines over a Unix socket. BUSINESS is the phone number id; times are Unix milliseconds.
//
//     check BUSINESS CUSTOMER          open window_open 1700086400000       state, reason, end of the window
//     act BUSINESS CUSTOMER [ID]       recorded none                        the customer wrote
//     sent BUSINESS CUSTOMER ID        recorded opens service               the business wrote
//     check BUSINESS nobody            error invalid customer ...           whatever went wrong: its code, and why
//
// How it goes together: csw_check answers at once. csw_submit_record gives a ticket, and the connection rests until
// csw_event_fd wakes the loop and csw_poll says what became of it. Meanwhile all others are served.
#define _GNU_SOURCE

#include <csw.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS 64
#define LINE 512

struct connection {
    int fd;           // -1: free
    uint64_t ticket;  // of the record that is on its way; 0: none
    size_t length;
    char input[LINE];
};

static csw_gate *gate;
static int poller;
static struct connection connections[CONNECTIONS];
// What epoll tells apart from connections.
static struct connection listening, decided, stopping;

static void watch(int operation, int fd, uint32_t events, struct connection *who)
{
    struct epoll_event event = {.events = events, .data.ptr = who};
    if (epoll_ctl(poller, operation, fd, &event) < 0) {
        perror("epoll_ctl");
        exit(1);
    }
}

// A ticket that is out needs nobody: its record is written all the same, its outcome forgotten in time.
static void hang_up(struct connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
}

static void answer(struct connection *connection, const char *format, ...)
{
    char line[LINE * 2];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    // One that does not take its answers is not waited for.
    if (send(connection->fd, line, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL) != length)
        hang_up(connection);
}

static void answer_error(struct connection *connection, const csw_error *error)
{
    answer(connection, "error %s %s\n", csw_code_name(error->code), error->message);
}

static void check(struct connection *connection, const char *business, const char *customer)
{
    csw_error error = {.size = sizeof error};
    csw_window window = {.size = sizeof window};
    if (csw_check(gate, business, strlen(business), customer, strlen(customer), 0, &window, &error) != CSW_OK)
        answer_error(connection, &error);
    else
        answer(connection, "%s %s %lld\n", csw_state_name(window.state), csw_reason_name(window.reason),
               (long long)window.expires_at);
}

static void submit(struct connection *connection, int32_t kind, const char *business, const char *customer,
                   const char *id)
{
    csw_error error = {.size = sizeof error};
    csw_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.kind = kind;
    event.business = business;
    event.business_length = strlen(business);
    event.customer = customer;
    event.customer_length = strlen(customer);
    event.id = id;
    event.id_length = strlen(id);
    if (csw_submit_record(gate, &event, &connection->ticket, &error) != CSW_OK)
        answer_error(connection, &error);
    else
        watch(EPOLL_CTL_MOD, connection->fd, 0, connection);
}

static void obey(struct connection *connection, char *line)
{
    char *rest, *verb = strtok_r(line, " \r", &rest);
    char *business = strtok_r(NULL, " \r", &rest), *customer = strtok_r(NULL, " \r", &rest);
    char *id = strtok_r(NULL, " \r", &rest);
    if (verb != NULL && customer != NULL && strcmp(verb, "check") == 0)
        check(connection, business, customer);
    else if (verb != NULL && customer != NULL && strcmp(verb, "act") == 0)
        submit(connection, CSW_EVENT_KIND_CUSTOMER_MESSAGE, business, customer, id == NULL ? "" : id);
    else if (verb != NULL && id != NULL && strcmp(verb, "sent") == 0)
        submit(connection, CSW_EVENT_KIND_BUSINESS_MESSAGE, business, customer, id);
    else
        answer(connection, "error usage check|act|sent BUSINESS CUSTOMER [ID]\n");
}

// The lines that have come in, until one has to wait for its ticket.
static void obey_all(struct connection *connection)
{
    char *end;
    while (connection->fd >= 0 && connection->ticket == 0 &&
           (end = memchr(connection->input, '\n', connection->length)) != NULL) {
        char line[LINE];
        size_t length = (size_t)(end - connection->input) + 1;
        memcpy(line, connection->input, length);
        line[length - 1] = '\0';
        connection->length -= length;
        memmove(connection->input, end + 1, connection->length);
        obey(connection, line);
    }
    if (connection->fd >= 0 && connection->length == LINE && connection->ticket == 0)
        hang_up(connection);
}

static void receive(struct connection *connection, uint32_t events)
{
    ssize_t length = 0;
    if (events & EPOLLIN)
        length = recv(connection->fd, connection->input + connection->length, LINE - connection->length, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        hang_up(connection);
        return;
    }
    connection->length += (size_t)length;
    obey_all(connection);
}

static void greet(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    for (size_t i = 0; fd >= 0 && i < CONNECTIONS; i++) {
        if (connections[i].fd < 0) {
            connections[i] = (struct connection){.fd = fd};
            watch(EPOLL_CTL_ADD, fd, EPOLLIN, &connections[i]);
            return;
        }
    }
    if (fd >= 0)
        close(fd);
}

// Tickets were decided, or time has passed: whose?
static void settle(void)
{
    for (struct connection *connection = connections; connection < connections + CONNECTIONS; connection++) {
        if (connection->fd < 0 || connection->ticket == 0)
            continue;
        csw_error error = {.size = sizeof error};
        csw_recorded recorded = {.size = sizeof recorded};
        int32_t status = csw_poll(gate, connection->ticket, &recorded, &error);
        if (status == CSW_PENDING)
            continue;
        connection->ticket = 0;
        watch(EPOLL_CTL_MOD, connection->fd, EPOLLIN, connection);
        const char *category = csw_conversation_category_name(recorded.conversation_category);
        if (status != CSW_OK)
            answer_error(connection, &error);
        else if (category == NULL)
            answer(connection, "recorded %s\n", csw_conversation_name(recorded.conversation));
        else
            answer(connection, "recorded %s %s\n", csw_conversation_name(recorded.conversation), category);
        obey_all(connection);
    }
}

static int listen_on(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "%s: too long for a socket\n", path);
        exit(1);
    }
    strcpy(address.sun_path, path);
    unlink(path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16) < 0) {
        perror(path);
        exit(1);
    }
    return listener;
}

static int stop_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s csw.toml socket\n", argv[0]);
        return 2;
    }
    if (csw_abi_version() != CSW_ABI_VERSION) {
        fprintf(stderr, "libcsw %s has another interface than this program was built with\n", csw_version());
        return 1;
    }
    csw_error error = {.size = sizeof error};
    int32_t tickets = -1;
    if (csw_open(argv[1], strlen(argv[1]), &gate, &error) != CSW_OK || csw_event_fd(gate, &tickets, &error) != CSW_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    for (size_t i = 0; i < CONNECTIONS; i++)
        connections[i].fd = -1;
    int listener = listen_on(argv[2]), signals = stop_signals();
    poller = epoll_create1(EPOLL_CLOEXEC);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, &listening);
    watch(EPOLL_CTL_ADD, tickets, EPOLLIN, &decided);
    watch(EPOLL_CTL_ADD, signals, EPOLLIN, &stopping);
    printf("listening on %s\n", argv[2]);
    fflush(stdout);

    for (;;) {
        struct epoll_event event;
        // Once a second even if nothing happens: csw_poll itself sees the deadline of a ticket pass.
        int count = epoll_wait(poller, &event, 1, 1000);
        struct connection *who = count == 1 ? event.data.ptr : &decided;
        if (who == &stopping)
            break;
        if (who == &listening) {
            greet(listener);
        } else if (who == &decided) {
            uint64_t times;
            if (count == 1 && read(tickets, &times, sizeof times) != sizeof times)
                continue;
            settle();
        } else {
            receive(who, event.events);
        }
    }
    unlink(argv[2]);
    csw_close(gate);  // finishes what was submitted
    return 0;
}
