/*
 * Waiting between tries: exponential with jitter, or as long as the server asks for.
 *
 * Invariant: every wait is bounded and ends at once when the user cancels.
 */
#include "http/http.h"

#include "http/http_priv.h"

#include <inttypes.h>
#include <sys/random.h>
#include <time.h>

#include "base/num.h"

#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS   (30 * 1000)

bool http_status_may_pass(int status)
{
    /* Not implemented, version, no storage, loop, not extended, login to the network. */
    static const int final[] = {501, 505, 507, 508, 510, 511};

    for (size_t i = 0; i < sizeof(final) / sizeof(final[0]); i++) {
        if (status == final[i])
            return false;
    }
    return status == 408 || status == 429 || (status >= 500 && status <= 599);
}

/* A date is measured by the server's own clock where it sends one. */
static int64_t until_date(const struct http_response *response, const char *text)
{
    int64_t then = (int64_t)curl_getdate(text, NULL);
    int64_t now;

    if (!http_response_date(response, &now))
        now = (int64_t)time(NULL);
    if (then == -1 || then <= now)
        return 0;
    return then - now > HTTP_RETRY_AFTER_MAX_MS / 1000 ? HTTP_RETRY_AFTER_MAX_MS
                                                       : (then - now) * 1000;
}

int64_t http_retry_after(const struct http_response *response)
{
    const char *text = http_response_header(response, "Retry-After");
    uint64_t seconds;

    if (!text)
        return 0;
    if (!mir_parse_u64(mir_span_of(text), UINT64_MAX, &seconds))
        return until_date(response, text);
    return seconds > HTTP_RETRY_AFTER_MAX_MS / 1000 ? HTTP_RETRY_AFTER_MAX_MS
                                                    : (int64_t)seconds * 1000;
}

/* Between half and the whole of the step, so that workers do not come back together. */
static int64_t with_jitter(int64_t step)
{
    uint32_t noise = 0;

    if (getrandom(&noise, sizeof(noise), GRND_NONBLOCK) != (ssize_t)sizeof(noise))
        return step;
    return step / 2 + (int64_t)(noise % (uint32_t)(step / 2 + 1));
}

static int64_t delay_ms(const struct http_backoff *backoff, const struct http_response *response)
{
    unsigned doublings = backoff->tries < 10 ? backoff->tries : 10;
    int64_t step = (int64_t)BACKOFF_FIRST_MS << doublings;
    int64_t asked = response && response->headers.ptr ? http_retry_after(response) : 0;

    if (asked > 0)
        return asked;
    return with_jitter(step < BACKOFF_MAX_MS ? step : BACKOFF_MAX_MS);
}

bool http_backoff_wait(struct http_conn *conn, struct http_backoff *backoff,
                       const struct http_response *response, struct mir_error *err)
{
    const struct http_client *client = conn->client;
    int64_t ms;

    if (backoff->tries >= client->retry_times)
        return false;
    ms = delay_ms(backoff, response);
    backoff->tries++;
    mir_log(client->sink, MIR_LEVEL_DEBUG, "%s; try %u of %u in %" PRId64 " ms", err->text,
            backoff->tries + 1, client->retry_times + 1, ms);
    if (mir_clock_wait(client->clock, ms, client->cancel) && !mir_is_cancelled(client->cancel))
        return true;
    mir_error_clear(err);
    return mir_fail(err, MIR_E_CANCELLED, "stopped by the user");
}
