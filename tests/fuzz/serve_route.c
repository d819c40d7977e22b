/*
 * Targets and ranges of requests: whatever comes out keeps to the grammars and stays in bounds.
 *
 * The input is a target, and after the first NUL byte a Range header.
 */
#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "image/ref.h"
#include "serve/range_priv.h"
#include "serve/route_priv.h"

#define BLOB_BYTES 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_route(const struct serve_route *route)
{
    switch (route->kind) {
    case SERVE_ROUTE_BASE:
    case SERVE_ROUTE_CATALOG:
    case SERVE_ROUTE_HEALTH:
        assert(route->name[0] == '\0');
        break;
    case SERVE_ROUTE_BLOB:
    case SERVE_ROUTE_REFERRERS:
        assert(route->digest.text[0] != '\0');
        assert(img_is_repo(mir_span_of(route->name)));
        break;
    case SERVE_ROUTE_MANIFEST:
        assert((route->digest.text[0] != '\0') != img_is_tag(mir_span_of(route->tag)));
        assert(img_is_repo(mir_span_of(route->name)));
        break;
    case SERVE_ROUTE_TAGS:
        assert(img_is_repo(mir_span_of(route->name)));
        break;
    }
}

static void check_range(const char *header)
{
    struct serve_range range = serve_range_parse(header, BLOB_BYTES);

    if (range.kind == SERVE_RANGE_PART)
        assert(range.len > 0);
    assert(range.start <= BLOB_BYTES && range.len <= BLOB_BYTES - range.start);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *text = mir_strndup((const char *)data, size);
    size_t len = strlen(text);
    struct serve_route route;
    enum serve_problem problem;

    if (serve_route_parse(mir_span_of(text), &route, &problem))
        check_route(&route);
    else
        assert(serve_problem_status(problem) >= 400);
    if (len < size) {
        auto_free char *header = mir_strndup((const char *)data + len + 1, size - len - 1);

        check_range(header);
    }
    return 0;
}
