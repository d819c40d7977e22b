/*
 * Any two texts, divided by a NUL: the lines that are kept and taken away are the one, those that
 * are kept and added the other, as far as the hunks show them.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/diff.h"

#define HUNKS_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mir_span take_line(struct mir_span *rest)
{
    size_t at;
    size_t len = mir_span_find(*rest, '\n', &at) ? at + 1 : rest->len;
    struct mir_span line = mir_span_first(*rest, len);

    *rest = mir_span_from(*rest, len);
    return line;
}

/* The side of a text that a hunk shows has to stand in it, in this order. */
static void expect_line(struct mir_span *text, struct mir_span line, bool has_newline)
{
    size_t len = line.len - (has_newline ? 0 : 1);
    struct mir_span found;

    do {
        if (text->len == 0)
            abort();
        found = take_line(text);
    } while (!mir_span_equal(found, mir_span_first(line, len)));
}

static void check(struct mir_span hunks, struct mir_span before, struct mir_span after)
{
    while (hunks.len > 0) {
        struct mir_span line = take_line(&hunks);
        bool has_newline = !mir_span_starts_with(hunks, "\\");

        if (!has_newline)
            (void)take_line(&hunks);
        switch (line.ptr[0]) {
        case '@':
            break;
        case '-':
            expect_line(&before, mir_span_from(line, 1), has_newline);
            break;
        case '+':
            expect_line(&after, mir_span_from(line, 1), has_newline);
            break;
        case ' ':
            expect_line(&before, mir_span_from(line, 1), has_newline);
            expect_line(&after, mir_span_from(line, 1), has_newline);
            break;
        default:
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mir_span before = mir_span(data, size);
    struct mir_span after = mir_span(data, 0);
    auto_buf hunks;
    size_t at;

    mir_buf_init(&hunks, HUNKS_MAX);
    if (mir_span_find(before, '\0', &at)) {
        after = mir_span_from(before, at + 1);
        before = mir_span_first(before, at);
    }
    mir_diff_format(before, after, &hunks);
    if (mir_span_equal(before, after) != (hunks.len == 0))
        abort();
    check(mir_buf_span(&hunks), before, after);
    return 0;
}
