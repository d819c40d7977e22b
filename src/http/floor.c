/*
 * The least that has to move for a try to go on, on average: whoever feeds us a byte now and then
 * never falls silent, and would never end. Asked by the watch of a try, each HTTP_POLL_MS or so.
 *
 * A window opens with the first bytes that move and closes after as long as the stall timeout;
 * fewer than the floor in it end the try. Silence opens none: it has its own timeout, and a server
 * may think for longer than a window. Neither do pauses, which are ours, count, nor what passes
 * between the end of a request's body and the answer.
 *
 * Invariant: only time that was watched counts, so that a sink or source that blocks costs nothing.
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <inttypes.h>

#define FLOOR_RATE   256 /* bytes a second */
#define FLOOR_SHARES 256 /* of a limit: so many connections may have to do with it together */

uint64_t http_floor_rate(uint64_t limit_rate)
{
    uint64_t share = limit_rate / FLOOR_SHARES;

    return limit_rate == 0 || share > FLOOR_RATE ? FLOOR_RATE : share;
}

static void close_window(struct http_floor *window, uint64_t bytes, bool sending)
{
    *window = (struct http_floor){.bytes = bytes, .looked_ms = window->looked_ms};
    window->sending = sending;
}

static void let_pass(struct http_floor *window, int64_t now)
{
    int64_t ms = now - window->looked_ms;

    window->looked_ms = now;
    if (window->is_open)
        window->watched_ms += ms < HTTP_BLINK_MS ? ms : HTTP_BLINK_MS;
}

bool http_floor_watch(struct http_try *t, uint64_t bytes, int64_t now, struct mir_error *err)
{
    struct http_floor *window = &t->floor;
    bool sending = t->sent < t->request->source_len;
    uint64_t length_ms = (uint64_t)t->client->stall_timeout_ms;
    uint64_t moved = bytes - window->bytes;

    let_pass(window, now);
    if (t->recv_paused || t->send_paused || sending != window->sending || bytes < window->bytes) {
        close_window(window, bytes, sending);
        return true;
    }
    window->is_open = window->is_open || moved > 0;
    if ((uint64_t)window->watched_ms < length_ms)
        return true;
    close_window(window, bytes, sending);
    if (moved * 1000 >= t->client->floor_rate * length_ms)
        return true;
    return mir_fail(err, MIR_E_NETWORK,
                    "too slow: only %" PRIu64 " bytes came or went in %" PRIu64 " s", moved,
                    (length_ms + 999) / 1000);
}
