/*
 * netproxy [OPTIONS] HOST:PORT: a TCP proxy on a loopback port the system picks, in front of a
 * server on loopback, that makes the network between them worse. Prints "listening on
 * 127.0.0.1:PORT"; ends on SIGTERM, and when the process that started it does.
 *
 * A link:
 *   --delay MS           round trip; a new connection's first byte pays one more for its handshake
 *   --rate BYTES         a second, in each direction, shared by all connections
 *   --buffer BYTES       of the sockets, so that little is on its way unseen (default 128 KiB; the
 *                        kernel doubles it)
 *   --counts FILE        written on SIGUSR1 (appears whole) and at the end, a "NAME N" per line:
 *                        connections, requests, up and down (bytes delivered to the server and to
 *                        the client), and each kind of disturbance below
 *
 * Disturbances, at moments drawn from a seed (counts of bytes and requests per connection; see
 * chaos.h for the kinds):
 *   --chaos SEED         switches them on
 *   --every BYTES        of a direction between cuts, resets, stalls and flips (default 1 MiB)
 *   --answers N          of 1000 requests get 429 (with and without Retry-After), 500, 502 or 503
 *                        from the proxy; the server does not see them (default 50)
 *   --losses N           of 1000 requests are done by the server and their answer is lost, and for
 *                        as many it becomes a 502 (default 20)
 *   --refusals N         of 1000 connections end at once or within a few hundred bytes (default 50)
 *   --freezes N          of 1000 disturbances at a byte: the connection never moves again (default
 * 0)
 *   --stall MS           the longest stall (default 50)
 *   --limit N            disturbances altogether, then peace
 *   --kinds LIST         these alone: cut,reset,stall,flip,freeze,refuse,answer,lose,replace
 *   and SIGUSR2 makes peace: from then on it only passes on.
 *
 * Bits are flipped in bodies with a Content-Length, of requests and responses, and anywhere in TLS;
 * never in the heads of plain HTTP: a flipped name or length is another legal request, and the
 * server would rightly do something else. What is neither (chunked bodies, HTTP/2) is passed on,
 * cut, reset and stalled.
 *
 * One thread. Bytes are read only while the link has room for them and at most QUEUE_MAX of a
 * direction wait, so a slow reader is felt by the writer, and connections share the link fairly.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "lib/chaos.h"
#include "lib/framing.h"

#define QUEUE_MAX     (1u << 20)
#define READ_MAX      (32u << 10)
#define LINK_AHEAD_NS INT64_C(5000000) /* the link takes no more than this many ns of sending */
#define METHODS_MAX   64               /* requests that wait for their answers, per connection */
#define MS            INT64_C(1000000)

enum direction {
    UP,   /* client to server */
    DOWN, /* server to client */
};

/* How a queue ends. */
enum ending {
    ENDING_NONE,
    ENDING_SHUT,  /* the peer said it all: half of the connection closes */
    ENDING_CLOSE, /* both halves */
    ENDING_RESET,
};

struct chunk {
    struct chunk *next;
    int64_t due;
    enum ending ending;
    size_t at, len;
    char data[];
};

/* One direction of a connection. */
struct half {
    int from, to; /* sockets; closed by the connection */
    struct chunk *first, **last;
    size_t queued;
    bool finished; /* nothing more is read: its ending is queued */
    bool shut;     /* its ending was delivered */
    bool flip;     /* the next byte of a body gets a wrong bit */
    int64_t not_before;
    struct framing framing;
};

struct conn {
    int sockets[2]; /* client, server */
    struct half halves[2];
    struct chaos_conn chaos;
    bool over;   /* to be removed */
    bool frozen; /* only waits for the client to go */
    /* The request that is being read, and those that wait for their answers. */
    enum chaos_kind fate;
    bool answered;
    bool is_head[METHODS_MAX];
    size_t waiting;
    enum chaos_kind answer_fate;
    bool swallow; /* the rest of the answer that comes now */
};

struct proxy {
    int listener;
    struct sockaddr_in upstream;
    uint64_t delay_ms, rate, buffer;
    const char *counts;
    bool has_chaos;
    struct chaos chaos;
    int64_t link_free[2];
    struct conn **conns;
    size_t conn_count, conn_capacity;
    uint64_t connections, requests, delivered[2];
};

static volatile sig_atomic_t stop_asked;
static volatile sig_atomic_t counts_asked;
static volatile sig_atomic_t peace_asked;

static void ask(int number)
{
    if (number == SIGUSR1)
        counts_asked = 1;
    else if (number == SIGUSR2)
        peace_asked = 1;
    else
        stop_asked = 1;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 * MS + now.tv_nsec;
}

/* ---- queues ---- */

static void queue_chunk(struct half *half, int64_t due, enum ending ending, struct mir_span bytes)
{
    struct chunk *chunk = mir_alloc(sizeof(*chunk) + bytes.len);

    chunk->due = due > half->not_before ? due : half->not_before;
    half->not_before = chunk->due;
    chunk->ending = ending;
    chunk->len = bytes.len;
    if (bytes.len > 0)
        memcpy(chunk->data, bytes.ptr, bytes.len);
    half->queued += bytes.len;
    *half->last = chunk;
    half->last = &chunk->next;
}

/* When bytes that come now are through: they take their turn on the link, then the way. */
static int64_t send_on_link(struct proxy *proxy, enum direction direction, size_t len)
{
    int64_t now = now_ns();
    int64_t *free_at = &proxy->link_free[direction];

    if (*free_at < now)
        *free_at = now;
    if (proxy->rate > 0)
        *free_at += (int64_t)((double)len * 1e9 / (double)proxy->rate);
    return *free_at + (int64_t)proxy->delay_ms * MS / 2;
}

static void queue_bytes(struct proxy *proxy, struct conn *conn, enum direction direction,
                        struct mir_span bytes)
{
    queue_chunk(&conn->halves[direction], send_on_link(proxy, direction, bytes.len), ENDING_NONE,
                bytes);
}

static void finish_half(struct proxy *proxy, struct conn *conn, enum direction direction,
                        enum ending ending)
{
    if (conn->halves[direction].finished)
        return;
    conn->halves[direction].finished = true;
    queue_chunk(&conn->halves[direction], send_on_link(proxy, direction, 0), ending,
                mir_span(NULL, 0));
}

/* The end of a connection, when what is queued in this direction has arrived. */
static void finish_both(struct proxy *proxy, struct conn *conn, enum direction direction,
                        enum ending ending)
{
    finish_half(proxy, conn, direction, ending);
    conn->halves[1 - direction].finished = true;
}

static void drop_first(struct half *half)
{
    struct chunk *chunk = half->first;

    half->first = chunk->next;
    if (!half->first)
        half->last = &half->first;
    free(chunk);
}

static void end_now(struct conn *conn, enum ending ending)
{
    const struct linger abrupt = {.l_onoff = 1, .l_linger = 0};

    conn->over = true;
    if (ending != ENDING_RESET)
        return;
    for (int i = 0; i < 2; i++)
        (void)setsockopt(conn->sockets[i], SOL_SOCKET, SO_LINGER, &abrupt, sizeof(abrupt));
}

/* The last word of a direction. */
static void deliver_ending(struct conn *conn, struct half *half, enum ending ending)
{
    half->shut = true;
    if (ending != ENDING_SHUT) {
        end_now(conn, ending);
        return;
    }
    (void)shutdown(half->to, SHUT_WR);
    if (conn->halves[UP].shut && conn->halves[DOWN].shut)
        conn->over = true;
}

/* Hand on what is due, until the socket is full. */
static void deliver(struct proxy *proxy, struct conn *conn, enum direction direction, int64_t now)
{
    struct half *half = &conn->halves[direction];

    while (half->first && half->first->due <= now && !conn->over) {
        struct chunk *chunk = half->first;
        ssize_t sent;

        if (chunk->ending != ENDING_NONE) {
            deliver_ending(conn, half, chunk->ending);
            drop_first(half);
            continue;
        }
        sent = send(half->to, chunk->data + chunk->at, chunk->len - chunk->at,
                    MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EINTR)
                end_now(conn, ENDING_RESET);
            return;
        }
        proxy->delivered[direction] += (uint64_t)sent;
        half->queued -= (size_t)sent;
        chunk->at += (size_t)sent;
        if (chunk->at == chunk->len)
            drop_first(half);
    }
}

/* ---- disturbing ---- */

static void strike(struct proxy *proxy, struct conn *conn, enum direction direction)
{
    struct half *half = &conn->halves[direction];

    switch (chaos_strike(&proxy->chaos, &conn->chaos, direction)) {
    case CHAOS_CUT:
        finish_both(proxy, conn, direction, ENDING_CLOSE);
        break;
    case CHAOS_REFUSE:
        finish_both(proxy, conn, direction,
                    chaos_draw(&conn->chaos, 2) == 0 ? ENDING_CLOSE : ENDING_RESET);
        break;
    case CHAOS_RESET:
        finish_both(proxy, conn, direction, ENDING_RESET);
        break;
    case CHAOS_STALL:
        half->not_before =
            now_ns() + MS * (int64_t)(1 + chaos_draw(&conn->chaos, proxy->chaos.options.stall_ms));
        break;
    case CHAOS_FLIP:
        half->flip = true;
        break;
    case CHAOS_FREEZE:
        conn->frozen = true;
        break;
    case CHAOS_NONE:
    case CHAOS_ANSWER:
    case CHAOS_LOSE:
    case CHAOS_REPLACE:
    case CHAOS_KINDS:
        break;
    }
}

/* Pass bytes on, with what strikes among them. fragile: a bit of them may be flipped. */
static void pass(struct proxy *proxy, struct conn *conn, enum direction direction,
                 struct mir_span bytes, bool fragile)
{
    struct half *half = &conn->halves[direction];
    auto_free char *copy = mir_alloc(bytes.len);

    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    for (size_t at = 0; at < bytes.len && !half->finished && !conn->frozen;) {
        uint64_t *left = &conn->chaos.left[direction];
        size_t part = bytes.len - at;

        if (proxy->has_chaos && *left < part)
            part = (size_t)*left;
        if (half->flip && fragile && part > 0) {
            copy[at + chaos_draw(&conn->chaos, part)] ^= (char)(1u << chaos_draw(&conn->chaos, 8));
            half->flip = false;
        }
        if (part > 0)
            queue_bytes(proxy, conn, direction, mir_span(copy + at, part));
        at += part;
        if (!proxy->has_chaos)
            continue;
        *left -= part;
        if (*left == 0)
            strike(proxy, conn, direction);
    }
}

/* An answer of our own. Those that ask to wait are rare, because the client really waits. */
static void answer(struct proxy *proxy, struct conn *conn, const char *last_headers)
{
    static const char *const statuses[] = {
        "429 Too Many Requests",     "429 Too Many Requests\r\nRetry-After: 0",
        "500 Internal Server Error", "502 Bad Gateway",
        "503 Service Unavailable",   "503 Service Unavailable\r\nRetry-After: 0"};
    const char *status = chaos_draw(&conn->chaos, 40) == 0
                             ? "429 Too Many Requests\r\nRetry-After: 1"
                             : statuses[chaos_draw(&conn->chaos, 6)];
    auto_free char *text =
        mir_format("HTTP/1.1 %s\r\nContent-Length: 0\r\n%s\r\n", status, last_headers);

    conn->answered = true;
    queue_bytes(proxy, conn, DOWN, mir_span_of(text));
}

/* A request that the server does not get. Some are answered before their body, and the connection
 * closes; so are those that wait to be told to send it. */
static void refuse_request(struct proxy *proxy, struct conn *conn)
{
    struct half *up = &conn->halves[UP];
    struct mir_span expect;
    bool early = framing_find(&up->framing, "Expect", &expect) || chaos_draw(&conn->chaos, 4) == 0;

    conn->answered = false;
    if (up->framing.body_left == 0) {
        answer(proxy, conn, "");
    } else if (early) {
        answer(proxy, conn, "Connection: close\r\n");
        finish_half(proxy, conn, DOWN, ENDING_SHUT);
    }
}

/* ---- what clients say ---- */

static void begin_request(struct proxy *proxy, struct conn *conn)
{
    struct half *up = &conn->halves[UP];
    struct mir_span head = mir_buf_span(&up->framing.head);

    proxy->requests++;
    conn->fate = CHAOS_NONE;
    if (conn->waiting == METHODS_MAX) {
        up->framing.opaque = true;
        conn->halves[DOWN].framing.opaque = true;
    } else if (proxy->has_chaos && conn->waiting == 0 && !up->finished) {
        conn->fate = chaos_request(&proxy->chaos, &conn->chaos);
    }
    if (conn->fate == CHAOS_ANSWER) {
        refuse_request(proxy, conn);
        return;
    }
    if (conn->fate != CHAOS_NONE)
        conn->answer_fate = conn->fate;
    if (conn->waiting < METHODS_MAX)
        conn->is_head[conn->waiting++] = mir_span_starts_with(head, "HEAD ");
    pass(proxy, conn, UP, head, false);
}

static void take_up(struct proxy *proxy, struct conn *conn, struct mir_span bytes)
{
    struct framing *framing = &conn->halves[UP].framing;

    while (bytes.len > 0) {
        bool was_opaque = framing->opaque;
        enum framing_piece piece;
        size_t taken = framing_take(framing, bytes, &piece);
        struct mir_span part = mir_span_first(bytes, taken);

        bytes = mir_span_from(bytes, taken);
        if (piece == FRAMING_HEAD)
            begin_request(proxy, conn);
        else if (piece == FRAMING_OPAQUE)
            pass(proxy, conn, UP, was_opaque ? part : mir_buf_span(&framing->head),
                 was_opaque && framing->head.len > 0 && framing->head.ptr[0] == 0x16);
        else if (piece == FRAMING_BODY && conn->fate != CHAOS_ANSWER)
            pass(proxy, conn, UP, part, true);
        else if (piece == FRAMING_BODY && framing->body_left == 0 && !conn->answered)
            answer(proxy, conn, "");
    }
}

/* ---- what servers say ---- */

/* A head of a response is whole: what becomes of it. */
static void begin_response(struct proxy *proxy, struct conn *conn)
{
    struct framing *framing = &conn->halves[DOWN].framing;
    bool interim = framing_status(framing) < 200;

    if (!interim && conn->waiting > 0) {
        if (conn->is_head[0])
            framing->body_left = 0;
        conn->waiting--;
        memmove(conn->is_head, conn->is_head + 1, conn->waiting * sizeof(*conn->is_head));
    }
    conn->swallow = !interim && conn->answer_fate == CHAOS_REPLACE;
    if (!interim)
        conn->answer_fate = CHAOS_NONE;
    if (!conn->swallow)
        pass(proxy, conn, DOWN, mir_buf_span(&framing->head), false);
    else
        queue_bytes(proxy, conn, DOWN,
                    mir_span_of("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"));
}

static void take_down(struct proxy *proxy, struct conn *conn, struct mir_span bytes)
{
    struct framing *framing = &conn->halves[DOWN].framing;

    if (conn->answer_fate == CHAOS_LOSE && bytes.len > 0) {
        finish_both(proxy, conn, DOWN,
                    chaos_draw(&conn->chaos, 2) == 0 ? ENDING_CLOSE : ENDING_RESET);
        return;
    }
    while (bytes.len > 0) {
        bool was_opaque = framing->opaque;
        enum framing_piece piece;
        size_t taken = framing_take(framing, bytes, &piece);
        struct mir_span part = mir_span_first(bytes, taken);

        bytes = mir_span_from(bytes, taken);
        if (piece == FRAMING_HEAD)
            begin_response(proxy, conn);
        else if (piece == FRAMING_OPAQUE)
            pass(proxy, conn, DOWN, was_opaque ? part : mir_buf_span(&framing->head),
                 was_opaque && framing->head.len > 0 && framing->head.ptr[0] == 0x16);
        else if (piece == FRAMING_BODY && !conn->swallow)
            pass(proxy, conn, DOWN, part, true);
    }
}

/* ---- connections ---- */

static int connect_upstream(const struct proxy *proxy)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 &&
        connect(fd, (const struct sockaddr *)&proxy->upstream, sizeof(proxy->upstream)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void tune(const struct proxy *proxy, int fd)
{
    int one = 1;
    int bytes = (int)proxy->buffer;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (bytes > 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static void init_half(struct half *half, int from, int to, int64_t not_before)
{
    half->from = from;
    half->to = to;
    half->last = &half->first;
    half->not_before = not_before;
    framing_init(&half->framing);
}

static void accept_one(struct proxy *proxy)
{
    int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
    struct conn *conn;
    int server;

    if (client < 0)
        return;
    server = connect_upstream(proxy);
    if (server < 0) {
        close(client);
        return;
    }
    tune(proxy, client);
    tune(proxy, server);
    conn = mir_alloc(sizeof(*conn));
    conn->sockets[0] = client;
    conn->sockets[1] = server;
    /* The handshake's round trip, then half a one for the first byte. */
    init_half(&conn->halves[UP], client, server,
              now_ns() + (int64_t)proxy->delay_ms * (MS + MS / 2));
    init_half(&conn->halves[DOWN], server, client, 0);
    proxy->connections++;
    if (proxy->has_chaos) {
        chaos_conn_init(&conn->chaos, &proxy->chaos, proxy->connections);
        if (conn->chaos.left[UP] == 0)
            strike(proxy, conn, UP);
    }
    mir_grow(&proxy->conns, proxy->conn_count, &proxy->conn_capacity, sizeof(*proxy->conns));
    proxy->conns[proxy->conn_count++] = conn;
}

static void free_conn(struct conn *conn)
{
    for (int i = 0; i < 2; i++) {
        while (conn->halves[i].first)
            drop_first(&conn->halves[i]);
        framing_release(&conn->halves[i].framing);
        close(conn->sockets[i]);
    }
    free(conn);
}

static void read_half(struct proxy *proxy, struct conn *conn, enum direction direction)
{
    char data[READ_MAX];
    ssize_t got = recv(conn->halves[direction].from, data, sizeof(data), MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (conn->frozen) {
        /* Only the client's leaving counts. */
        if (got <= 0 && direction == UP)
            end_now(conn, ENDING_RESET);
        return;
    }
    if (got < 0)
        finish_both(proxy, conn, direction, ENDING_RESET);
    else if (got == 0)
        finish_half(proxy, conn, direction, ENDING_SHUT);
    else if (direction == UP)
        take_up(proxy, conn, mir_span(data, (size_t)got));
    else
        take_down(proxy, conn, mir_span(data, (size_t)got));
}

/* ---- the loop ---- */

static bool wants_bytes(const struct proxy *proxy, const struct conn *conn,
                        enum direction direction, int64_t now)
{
    const struct half *half = &conn->halves[direction];

    if (conn->frozen)
        return direction == UP;
    return !half->finished && half->queued < QUEUE_MAX &&
           proxy->link_free[direction] <= now + LINK_AHEAD_NS;
}

/* Earliest of two moments; 0 is none. */
static void sooner(int64_t *earliest, int64_t moment)
{
    if (*earliest == 0 || moment < *earliest)
        *earliest = moment;
}

/* What a connection waits for; fds[0] and [1] are its client and server. */
static void watch(const struct proxy *proxy, const struct conn *conn, int64_t now,
                  struct pollfd *fds, int64_t *wake)
{
    for (int i = 0; i < 2; i++)
        fds[i] = (struct pollfd){.fd = conn->sockets[i]};
    for (int i = 0; i < 2; i++) {
        const struct half *half = &conn->halves[i];

        if (wants_bytes(proxy, conn, (enum direction)i, now))
            fds[i].events |= POLLIN;
        else if (!half->finished && half->queued < QUEUE_MAX && !conn->frozen)
            sooner(wake, proxy->link_free[i] - LINK_AHEAD_NS);
        if (conn->frozen || !half->first)
            continue;
        if (half->first->due > now)
            sooner(wake, half->first->due);
        else
            fds[1 - i].events |= POLLOUT;
    }
    /* A socket nothing is wanted of would report its end again and again. */
    for (int i = 0; i < 2; i++)
        if (fds[i].events == 0)
            fds[i].fd = -1;
}

static void serve_conn(struct proxy *proxy, struct conn *conn, const struct pollfd *fds)
{
    for (int i = 0; i < 2 && !conn->over; i++) {
        if ((fds[i].events & POLLIN) && fds[i].revents != 0 &&
            (conn->frozen || !conn->halves[i].finished))
            read_half(proxy, conn, (enum direction)i);
    }
    for (int i = 0; i < 2 && !conn->over && !conn->frozen; i++)
        deliver(proxy, conn, (enum direction)i, now_ns());
}

static void remove_finished(struct proxy *proxy)
{
    size_t kept = 0;

    for (size_t i = 0; i < proxy->conn_count; i++) {
        if (proxy->conns[i]->over)
            free_conn(proxy->conns[i]);
        else
            proxy->conns[kept++] = proxy->conns[i];
    }
    proxy->conn_count = kept;
}

/* The one that was first becomes last, so that all get their turn on the link. */
static void rotate(struct proxy *proxy)
{
    struct conn *first;

    if (proxy->conn_count < 2)
        return;
    first = proxy->conns[0];
    memmove(proxy->conns, proxy->conns + 1, (proxy->conn_count - 1) * sizeof(*proxy->conns));
    proxy->conns[proxy->conn_count - 1] = first;
}

static void turn(struct proxy *proxy, const sigset_t *open_mask)
{
    size_t count = proxy->conn_count;
    auto_free struct pollfd *fds = mir_alloc_array(1 + 2 * count, sizeof(*fds));
    struct timespec timeout;
    int64_t now = now_ns();
    int64_t wake = 0;
    int64_t wait;

    fds[0] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
    for (size_t i = 0; i < count; i++)
        watch(proxy, proxy->conns[i], now, &fds[1 + 2 * i], &wake);
    wait = wake > now ? wake - now : 0;
    timeout = (struct timespec){.tv_sec = wait / (1000 * MS), .tv_nsec = wait % (1000 * MS)};
    if (ppoll(fds, 1 + 2 * count, wake == 0 ? NULL : &timeout, open_mask) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        serve_conn(proxy, proxy->conns[i], &fds[1 + 2 * i]);
    remove_finished(proxy);
    rotate(proxy);
    if (fds[0].revents)
        accept_one(proxy);
}

static void write_counts(const struct proxy *proxy)
{
    auto_free char *temporary = NULL;
    FILE *file;

    if (!proxy->counts)
        return;
    temporary = mir_format("%s.new", proxy->counts);
    file = fopen(temporary, "we");
    if (!file)
        return;
    (void)fprintf(
        file, "connections %" PRIu64 "\nrequests %" PRIu64 "\nup %" PRIu64 "\ndown %" PRIu64 "\n",
        proxy->connections, proxy->requests, proxy->delivered[UP], proxy->delivered[DOWN]);
    for (unsigned kind = CHAOS_CUT; kind < CHAOS_KINDS; kind++)
        (void)fprintf(file, "%s %" PRIu64 "\n", chaos_name(kind), proxy->chaos.happened[kind]);
    if (fclose(file) == 0)
        (void)rename(temporary, proxy->counts);
}

/* ---- the command line ---- */

/* A number below 2^32; all figures here are. */
static bool parse_unsigned(const char *text, unsigned *out)
{
    uint64_t value;

    if (!mir_parse_u64(mir_span_of(text), UINT32_MAX, &value))
        return false;
    *out = (unsigned)value;
    return true;
}

static bool parse_option(const char *name, const char *value, struct proxy *proxy)
{
    struct chaos_options *chaos = &proxy->chaos.options;
    const struct {
        const char *name;
        uint64_t *value;
        unsigned *small;
    } known[] = {{"--delay", &proxy->delay_ms, NULL}, {"--rate", &proxy->rate, NULL},
                 {"--buffer", &proxy->buffer, NULL},  {"--every", &chaos->every, NULL},
                 {"--stall", &chaos->stall_ms, NULL}, {"--limit", &chaos->limit, NULL},
                 {"--chaos", &chaos->seed, NULL},     {"--answers", NULL, &chaos->answers},
                 {"--losses", NULL, &chaos->losses},  {"--refusals", NULL, &chaos->refusals},
                 {"--freezes", NULL, &chaos->freezes}};

    if (strcmp(name, "--kinds") == 0)
        return chaos_allow(&proxy->chaos, value);
    if (strcmp(name, "--counts") == 0) {
        proxy->counts = value;
        return true;
    }
    proxy->has_chaos = proxy->has_chaos || strcmp(name, "--chaos") == 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (strcmp(name, known[i].name) != 0)
            continue;
        return known[i].small ? parse_unsigned(value, known[i].small)
                              : mir_parse_u64(mir_span_of(value), UINT32_MAX, known[i].value);
    }
    return false;
}

static bool parse_address(const char *text, struct sockaddr_in *out)
{
    const char *colon = strrchr(text, ':');
    auto_free char *host = colon ? mir_strndup(text, (size_t)(colon - text)) : NULL;
    uint64_t port;

    if (!host || !mir_parse_u64(mir_span_of(colon + 1), UINT16_MAX, &port))
        return false;
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                     &out->sin_addr) == 1;
}

/* Its port, or 0. */
static unsigned listen_somewhere(struct proxy *proxy)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);

    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (proxy->listener < 0 ||
        bind(proxy->listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(proxy->listener, 512) != 0 ||
        getsockname(proxy->listener, (struct sockaddr *)&address, &len) != 0)
        return 0;
    return ntohs(address.sin_port);
}

/* Signals arrive only inside ppoll(), so none is missed between a look and a wait. */
static void set_signals(sigset_t *open_mask)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
    const struct sigaction action = {.sa_handler = ask};
    sigset_t block;

    sigemptyset(&block);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        sigaddset(&block, numbers[i]);
    sigprocmask(SIG_BLOCK, &block, open_mask);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        sigdelset(open_mask, numbers[i]);
        sigaction(numbers[i], &action, NULL);
    }
}

int main(int argc, char **argv)
{
    struct proxy proxy = {.buffer = 128u << 10};
    sigset_t open_mask;
    unsigned port;

    chaos_init(&proxy.chaos, 0);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!parse_option(argv[i], argv[i + 1], &proxy)) {
            (void)fprintf(stderr, "netproxy: %s %s is not an option\n", argv[i], argv[i + 1]);
            return 2;
        }
    }
    if (argc % 2 != 0 || !parse_address(argv[argc - 1], &proxy.upstream)) {
        (void)fputs("usage: netproxy [OPTIONS] HOST:PORT\n", stderr);
        return 2;
    }
    set_signals(&open_mask);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    port = listen_somewhere(&proxy);
    if (port == 0) {
        perror("netproxy");
        return 1;
    }
    (void)printf("listening on 127.0.0.1:%u\n", port);
    (void)fflush(stdout);
    while (!stop_asked) {
        turn(&proxy, &open_mask);
        if (peace_asked)
            proxy.chaos.options.limit = 0;
        if (counts_asked) {
            counts_asked = 0;
            write_counts(&proxy);
        }
    }
    write_counts(&proxy);
    for (size_t i = 0; i < proxy.conn_count; i++)
        free_conn(proxy.conns[i]);
    free(proxy.conns);
    close(proxy.listener);
    return 0;
}
