// A gateway on one thread that never waits for the store: it gates sends, parks what may not go out now, sends it once
// the customer writes, and answers when everything is on disk.
//
//     make && ./service csw.toml csw.sock          and in another terminal: nc -U csw.sock
//
// It speaks lines over a Unix socket. BUSINESS is the phone number id, BODY what one would post to the platform as one
// line of JSON; times are Unix milliseconds.
//
//     check BUSINESS CUSTOMER          open window_open 1700086400000       state, reason, end of the window
//     act BUSINESS CUSTOMER [ID]       recorded none                        the customer wrote
//     sent BUSINESS CUSTOMER ID        recorded opens service               the business wrote, elsewhere
//     send BUSINESS BODY               sent template wamid.c.1              the business sends: it went out,
//                                      parked 7                             or waits for the customer's next message,
//                                      denied window_closed                 or may not go out
//     deliver                          (no answer yet)                      this connection is the platform: each send
//                                                                           that goes out is a line to it
//     check BUSINESS nobody            error invalid customer ...           whatever went wrong: its code, and why
//
// How it goes together: csw_check and csw_decide answer at once. Everything else is submitted and gives a ticket; whoever
// asked rests until csw_event_fd wakes the loop and csw_poll says what became of it. Meanwhile all others are served.
// What is parked comes back from csw_submit_take once its customer has written, and goes the same way as any other send.
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
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS 64
#define GATEWAY "service"
#define LINE 4096

// What a connection waits for.
enum waiting { FOR_RECORD, FOR_SETTLED, FOR_PARKED };

struct connection {
    int fd;           // -1: free
    uint64_t ticket;  // of what is on its way; 0: nothing
    enum waiting waiting;
    char said[128];  // the answer, once what was sent is on record
    size_t length;
    char input[LINE];
};

static csw_gate *gate;
static int poller;
static struct connection connections[CONNECTIONS];
// What epoll tells apart from connections.
static struct connection listening, decided, stopping;
// The connection that stands for the platform; -1: nobody does.
static int platform = -1;
static unsigned long sends;

// The message that was parked and is being sent, and the ticket of the step that it has come to.
static struct {
    enum { IDLE, TAKING, SENDING, RETURNING } step;
    uint64_t ticket;
    int32_t fate;
    csw_parcel parcel;
} drain;

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
    if (connection->fd == platform)
        platform = -1;
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
    else {
        connection->waiting = FOR_RECORD;
        watch(EPOLL_CTL_MOD, connection->fd, 0, connection);
    }
}

// Gives a body to the platform, which here is whoever said "deliver", and settles the decision with its answer: what
// csw knows of the message from then on. Returns the ticket; 0 where nobody took it.
static uint64_t transmit(const csw_decision *decision, const char *body, size_t length, char *id, size_t room)
{
    csw_error error = {.size = sizeof error};
    uint64_t ticket = 0;
    char response[128];
    struct iovec line[] = {{(void *)body, length}, {"\n", 1}};
    struct msghdr message = {.msg_iov = line, .msg_iovlen = 2};
    if (platform < 0 || sendmsg(platform, &message, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length + 1)
        return 0;
    snprintf(id, room, "wamid.c.%d.%lu", (int)getpid(), ++sends);
    int size = snprintf(response, sizeof response, "{\"messages\":[{\"id\":\"%s\"}]}", id);
    if (csw_submit_settle(gate, decision, 200, response, (size_t)size, 0, &ticket, &error) != CSW_OK)
        fprintf(stderr, "%s is not on record: %s\n", id, error.message);
    return ticket;
}

// What may not go out is parked where csw.toml says so: of the other steps this gateway has none.
static void park_or_deny(struct connection *connection, const csw_decision *decision, const char *business,
                         const char *body)
{
    csw_error error = {.size = sizeof error};
    csw_instead instead = {.size = sizeof instead};
    size_t length;
    for (uint32_t index = 0;; index++) {
        static char text[128 * 1024];
        if (csw_instead_of(gate, business, strlen(business), body, strlen(body), 0, index, &instead, text, sizeof text,
                           &length, &error) != CSW_OK) {
            answer_error(connection, &error);
            return;
        }
        if (instead.kind == CSW_STEP_KIND_BLOCK)
            break;
        if (instead.kind != CSW_STEP_KIND_PARK || instead.unfit != 0)
            continue;
        if (csw_submit_park(gate, GATEWAY, strlen(GATEWAY), business, strlen(business), body, strlen(body), &connection->ticket, &error) != CSW_OK) {
            answer_error(connection, &error);
            return;
        }
        connection->waiting = FOR_PARKED;
        watch(EPOLL_CTL_MOD, connection->fd, 0, connection);
        return;
    }
    answer(connection, "denied %s\n", csw_reason_name(decision->reason));
}

static void send_out(struct connection *connection, const char *business, const char *body)
{
    csw_error error = {.size = sizeof error};
    csw_decision decision = {.size = sizeof decision};
    if (csw_decide(gate, business, strlen(business), CSW_ENDPOINT_MESSAGES, body, strlen(body), 0, &decision, &error) !=
        CSW_OK) {
        answer_error(connection, &error);
        return;
    }
    if (decision.verdict != CSW_VERDICT_ALLOW) {
        park_or_deny(connection, &decision, business, body);
        return;
    }
    char id[64];
    connection->ticket = transmit(&decision, body, strlen(body), id, sizeof id);
    if (connection->ticket == 0) {
        answer(connection, "error unavailable nobody stands for the platform\n");
        return;
    }
    snprintf(connection->said, sizeof connection->said, "sent %s %s\n", csw_reason_name(decision.reason), id);
    connection->waiting = FOR_SETTLED;
    watch(EPOLL_CTL_MOD, connection->fd, 0, connection);
}

static void obey(struct connection *connection, char *line)
{
    char *rest = line, *verb = strtok_r(line, " \r", &rest);
    if (verb != NULL && strcmp(verb, "deliver") == 0) {
        platform = connection->fd;
        return;
    }
    char *business = strtok_r(NULL, " \r", &rest);
    if (verb != NULL && business != NULL && strcmp(verb, "send") == 0) {
        send_out(connection, business, rest);
        return;
    }
    char *customer = strtok_r(NULL, " \r", &rest);
    char *id = strtok_r(NULL, " \r", &rest);
    if (verb != NULL && customer != NULL && strcmp(verb, "check") == 0)
        check(connection, business, customer);
    else if (verb != NULL && customer != NULL && strcmp(verb, "act") == 0)
        submit(connection, CSW_EVENT_KIND_CUSTOMER_MESSAGE, business, customer, id == NULL ? "" : id);
    else if (verb != NULL && id != NULL && strcmp(verb, "sent") == 0)
        submit(connection, CSW_EVENT_KIND_BUSINESS_MESSAGE, business, customer, id);
    else
        answer(connection, "error usage check|act|sent BUSINESS CUSTOMER [ID], send BUSINESS BODY, deliver\n");
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

// What became of a connection's ticket.
static void answer_for(struct connection *connection, int32_t status, const csw_recorded *recorded, const csw_error *error)
{
    csw_error told = {.size = sizeof told};
    csw_parcel parcel = {.size = sizeof parcel};
    size_t length;
    const char *category = csw_conversation_category_name(recorded->conversation_category);
    if (status != CSW_OK)
        answer_error(connection, error);
    else if (connection->waiting == FOR_SETTLED)
        answer(connection, "%s", connection->said);
    else if (connection->waiting == FOR_PARKED) {
        if (csw_parcel_of(gate, connection->ticket, &parcel, NULL, 0, &length, &told) != CSW_OK)
            answer_error(connection, &told);
        else
            answer(connection, "parked %llu\n", (unsigned long long)parcel.id);
    } else if (category == NULL)
        answer(connection, "recorded %s\n", csw_conversation_name(recorded->conversation));
    else
        answer(connection, "recorded %s %s\n", csw_conversation_name(recorded->conversation), category);
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
        watch(EPOLL_CTL_MOD, connection->fd, EPOLLIN, connection);
        answer_for(connection, status, &recorded, &error);
        connection->ticket = 0;
        obey_all(connection);
    }
}

// A parked message that was taken goes out as any other send, if it may now; what became of it is given back.
static int32_t send_parked(void)
{
    static char body[128 * 1024];
    csw_error error = {.size = sizeof error};
    csw_decision decision = {.size = sizeof decision};
    char business[24], id[64];
    size_t length;
    int digits = snprintf(business, sizeof business, "%llu", (unsigned long long)drain.parcel.business);
    if (csw_parcel_of(gate, drain.ticket, &drain.parcel, body, sizeof body, &length, &error) != CSW_OK ||
        csw_decide(gate, business, (size_t)digits, CSW_ENDPOINT_MESSAGES, body, length, 0, &decision, &error) != CSW_OK)
        return CSW_FATE_REFUSED;
    if (decision.verdict != CSW_VERDICT_ALLOW)
        return CSW_FATE_CLOSED;
    // A line that was not taken whole cannot be taken back, but here nobody has read it yet.
    drain.ticket = transmit(&decision, body, length, id, sizeof id);
    return drain.ticket == 0 ? CSW_FATE_LATER : CSW_FATE_SENT;
}

// Takes one parked message after the other and follows each to its end, a ticket at a time.
static void drain_on(void)
{
    csw_error error = {.size = sizeof error};
    int32_t due = 0, status = drain.step == IDLE ? CSW_OK : csw_poll(gate, drain.ticket, NULL, &error);
    if (status == CSW_PENDING)
        return;
    if (status != CSW_OK) {
        fprintf(stderr, "parked messages: %s\n", error.message);
        drain.step = IDLE;
    }
    switch (drain.step) {
    case TAKING: {
        size_t length;
        drain.parcel = (csw_parcel){.size = sizeof drain.parcel};
        if (csw_parcel_of(gate, drain.ticket, &drain.parcel, NULL, 0, &length, &error) != CSW_OK || drain.parcel.kind == 0) {
            drain.step = IDLE;
            return;
        }
        drain.fate = send_parked();
        drain.step = SENDING;
        if (drain.fate == CSW_FATE_SENT)
            return;  // to be on record first
    }
    // fall through
    case SENDING:
        drain.step = csw_submit_return(gate, &drain.parcel, drain.fate, &drain.ticket, &error) == CSW_OK ? RETURNING : IDLE;
        return;
    case RETURNING:
    case IDLE:
        drain.step = IDLE;
        if (csw_due(gate, GATEWAY, strlen(GATEWAY), &due, &error) == CSW_OK && due && csw_submit_take(gate, GATEWAY, strlen(GATEWAY), 0, &drain.ticket, &error) == CSW_OK)
            drain.step = TAKING;
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
            drain_on();
        } else {
            receive(who, event.events);
        }
    }
    unlink(argv[2]);
    csw_close(gate);  // finishes what was submitted
    return 0;
}
