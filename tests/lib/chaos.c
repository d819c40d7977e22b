/*
 * Draws (see chaos.h). Each connection has a generator of its own (splitmix64), begun from the seed
 * and the connection's number, so that the order in which connections speak changes nothing.
 */
#include "lib/chaos.h"

#include <string.h>

#include "base/span.h"

#define EVERY_DEFAULT (1u << 20)
#define HANDSHAKE_MAX 700 /* bytes: a refusal comes within these */

static const char *const names[CHAOS_KINDS] = {
    [CHAOS_NONE] = "none",       [CHAOS_CUT] = "cut",       [CHAOS_RESET] = "reset",
    [CHAOS_STALL] = "stall",     [CHAOS_FLIP] = "flip",     [CHAOS_FREEZE] = "freeze",
    [CHAOS_REFUSE] = "refuse",   [CHAOS_ANSWER] = "answer", [CHAOS_LOSE] = "lose",
    [CHAOS_REPLACE] = "replace",
};

const char *chaos_name(enum chaos_kind kind)
{
    return names[kind];
}

void chaos_init(struct chaos *chaos, uint64_t seed)
{
    *chaos = (struct chaos){.options = {.seed = seed,
                                        .every = EVERY_DEFAULT,
                                        .answers = 50,
                                        .losses = 20,
                                        .refusals = 50,
                                        .stall_ms = 50,
                                        .limit = UINT64_MAX}};
    for (unsigned kind = 0; kind < CHAOS_KINDS; kind++)
        chaos->options.allowed[kind] = true;
}

bool chaos_allow(struct chaos *chaos, const char *kinds)
{
    struct mir_span rest = mir_span_of(kinds);
    struct mir_span word;

    memset(chaos->options.allowed, 0, sizeof(chaos->options.allowed));
    while (mir_span_next(&rest, ',', &word)) {
        unsigned kind = CHAOS_CUT;

        while (kind < CHAOS_KINDS && !mir_span_is(word, names[kind]))
            kind++;
        if (kind == CHAOS_KINDS)
            return false;
        chaos->options.allowed[kind] = true;
    }
    return true;
}

static uint64_t next(uint64_t *state)
{
    uint64_t z;

    *state += UINT64_C(0x9e3779b97f4a7c15);
    z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t chaos_draw(struct chaos_conn *conn, uint64_t below)
{
    return below == 0 ? 0 : next(&conn->state) % below;
}

/* Anything up to twice the average, and now and then something much shorter, so that small bodies
 * and heads have their share. */
static uint64_t draw_distance(struct chaos_conn *conn, const struct chaos *chaos)
{
    uint64_t longest = 2 * chaos->options.every;

    if (chaos_draw(conn, 8) == 0 && longest > 64)
        longest /= 64;
    return 1 + chaos_draw(conn, longest);
}

void chaos_conn_init(struct chaos_conn *conn, const struct chaos *chaos, uint64_t number)
{
    conn->state = chaos->options.seed;
    conn->state = next(&conn->state) ^ (number * UINT64_C(0xd1342543de82ef95));
    conn->left[0] = draw_distance(conn, chaos);
    conn->left[1] = draw_distance(conn, chaos);
    conn->refuse_next =
        chaos->options.allowed[CHAOS_REFUSE] && chaos_draw(conn, 1000) < chaos->options.refusals;
    if (!conn->refuse_next)
        return;
    /* Half of them before anything was said. */
    conn->left[0] = chaos_draw(conn, 2) == 0 ? 0 : 1 + chaos_draw(conn, HANDSHAKE_MAX);
    conn->left[1] = 1 + chaos_draw(conn, HANDSHAKE_MAX);
}

static enum chaos_kind count(struct chaos *chaos, enum chaos_kind kind)
{
    if (kind == CHAOS_NONE || !chaos->options.allowed[kind] || chaos->total >= chaos->options.limit)
        return CHAOS_NONE;
    chaos->happened[kind]++;
    chaos->total++;
    return kind;
}

enum chaos_kind chaos_strike(struct chaos *chaos, struct chaos_conn *conn, unsigned direction)
{
    static const enum chaos_kind kinds[] = {CHAOS_CUT, CHAOS_RESET, CHAOS_STALL, CHAOS_FLIP};
    unsigned first = (unsigned)chaos_draw(conn, 4);

    conn->left[direction] = draw_distance(conn, chaos);
    if (conn->refuse_next) {
        conn->refuse_next = false;
        return count(chaos, CHAOS_REFUSE);
    }
    if (chaos_draw(conn, 1000) < chaos->options.freezes)
        return count(chaos, CHAOS_FREEZE);
    /* The next one that is allowed. */
    for (unsigned i = 0; i < 4; i++) {
        enum chaos_kind kind = kinds[(first + i) % 4];

        if (chaos->options.allowed[kind])
            return count(chaos, kind);
    }
    return CHAOS_NONE;
}

enum chaos_kind chaos_request(struct chaos *chaos, struct chaos_conn *conn)
{
    uint64_t drawn = chaos_draw(conn, 1000);

    if (drawn < chaos->options.answers)
        return count(chaos, CHAOS_ANSWER);
    drawn -= chaos->options.answers;
    if (drawn < chaos->options.losses)
        return count(chaos, CHAOS_LOSE);
    drawn -= chaos->options.losses;
    return drawn < chaos->options.losses ? count(chaos, CHAOS_REPLACE) : CHAOS_NONE;
}
