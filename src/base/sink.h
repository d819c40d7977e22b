/*
 * Where libraries report what happens. They never print: they emit to a sink that the command line
 * renders. A line carries no newline, no secret and no terminal control bytes.
 *
 * Threads: emit may be called from any thread at once; the implementation locks.
 */
#ifndef BASE_SINK_H
#define BASE_SINK_H

#include "base/error.h"

enum mir_level {
    MIR_LEVEL_ERROR,
    MIR_LEVEL_WARN, /* done, but look */
    MIR_LEVEL_INFO,
    MIR_LEVEL_DEBUG,
    MIR_LEVEL_TRACE,
};

struct mir_sink {
    void (*emit)(void *ctx, enum mir_level level, const char *line);
    void *ctx;
    enum mir_level level; /* lines above it are not even formatted */
};

/** Emit one line; sink may be NULL. Control characters become '?'. */
void mir_log(const struct mir_sink *sink, enum mir_level level, const char *fmt, ...)
    MIR_PRINTF(3, 4);

#endif
