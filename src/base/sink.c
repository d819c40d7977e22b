/*
 * Formatting one line of a log and handing it to whoever shows it.
 */
#include "base/sink.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_MAX_BYTES 2048

void mir_log(const struct mir_sink *sink, enum mir_level level, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;

    if (!sink || level > sink->level)
        return;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    sink->emit(sink->ctx, level, line);
}
