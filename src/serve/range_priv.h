/*
 * The Range header of a request. Spec: RFC 9110, section 14. Pure.
 */
#ifndef SERVE_RANGE_PRIV_H
#define SERVE_RANGE_PRIV_H

#include <stdint.h>

enum serve_range_kind {
    SERVE_RANGE_WHOLE,         /* no range asked for, or one we may ignore: 200 */
    SERVE_RANGE_PART,          /* 206 */
    SERVE_RANGE_UNSATISFIABLE, /* 416 */
};

struct serve_range {
    enum serve_range_kind kind;
    uint64_t start; /* bytes */
    uint64_t len;
};

/** header may be NULL. One range in bytes is honoured; several at once, other units and broken
 * syntax are ignored, which the RFC allows. */
struct serve_range serve_range_parse(const char *header, uint64_t size);

#endif
