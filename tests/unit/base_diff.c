/*
 * Differences between texts: known ones to the byte, as diff -u writes them; any two texts by
 * applying what comes out.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/diff.h"
#include "base/mem.h"
#include "base/num.h"

#define TEXT_MAX (64u << 20)

struct row {
    const char *label, *before, *after, *want;
};

static const struct row rows[] = {
    {"equal", "a\nb\n", "a\nb\n", ""},
    {"both empty", "", "", ""},
    {"from nothing", "", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n"},
    {"to nothing", "a\n", "", "@@ -1 +0,0 @@\n-a\n"},
    {"one line", "a\n", "b\n", "@@ -1 +1 @@\n-a\n+b\n"},
    {"in the middle", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n",
     "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n"},
    {"added at the end", "1\n2\n3\n4\n5\n", "1\n2\n3\n4\n5\n6\n",
     "@@ -3,3 +3,4 @@\n 3\n 4\n 5\n+6\n"},
    {"taken from the front", "0\n1\n2\n3\n4\n5\n", "1\n2\n3\n4\n5\n",
     "@@ -1,4 +1,3 @@\n-0\n 1\n 2\n 3\n"},
    {"a newline less", "a\nb\n", "a\nb",
     "@@ -1,2 +1,2 @@\n a\n-b\n+b\n\\ No newline at end of file\n"},
    {"a newline more", "b", "b\n", "@@ -1 +1 @@\n-b\n\\ No newline at end of file\n+b\n"},
    {"no newline, and the end stays", "x\na", "y\na",
     "@@ -1,2 +1,2 @@\n-x\n+y\n a\n\\ No newline at end of file\n"},
    {"two changes six lines apart are one hunk", "a\n1\n2\n3\n4\n5\n6\nb\n",
     "A\n1\n2\n3\n4\n5\n6\nB\n", "@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n"},
    {"seven lines apart are two", "a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
     "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n"},
    {"empty lines", "\n\n", "\n\n\n", "@@ -1,2 +1,3 @@\n \n \n+\n"},
};

static void diff_writes_what_diff_u_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_buf out;

        mir_buf_init(&out, TEXT_MAX);
        mir_diff_format(mir_span_of(rows[i].before), mir_span_of(rows[i].after), &out);
        if (strcmp(out.ptr, rows[i].want) != 0)
            fail_msg("%s:\n%s\ninstead of\n%s", rows[i].label, out.ptr, rows[i].want);
    }
}

/* ---- applying ---- */

static struct mir_span take_line(struct mir_span *rest)
{
    size_t at;
    size_t len = mir_span_find(*rest, '\n', &at) ? at + 1 : rest->len;
    struct mir_span line = mir_span_first(*rest, len);

    *rest = mir_span_from(*rest, len);
    return line;
}

/* "@@ -12,3 +13,4 @@": how many lines come before the hunk. */
static size_t lines_before(struct mir_span header)
{
    size_t from = (size_t)strtoul(header.ptr + strlen("@@ -"), NULL, 10);
    size_t comma;
    size_t plus;
    bool none;

    assert_true(mir_span_starts_with(header, "@@ -"));
    assert_true(mir_span_find(header, '+', &plus));
    none = mir_span_find(header, ',', &comma) && comma < plus && header.ptr[comma + 1] == '0';
    return none ? from : from - 1;
}

/* What stands on a line of a hunk, without the newline when the next line says so. */
static struct mir_span content(struct mir_span line, struct mir_span *rest)
{
    struct mir_span text = mir_span_from(line, 1);

    if (!mir_span_starts_with(*rest, "\\"))
        return text;
    (void)take_line(rest);
    return mir_span_first(text, text.len - 1);
}

static void apply(struct mir_span before, struct mir_span hunks, struct mir_buf *out)
{
    size_t at = 0;

    while (hunks.len > 0) {
        struct mir_span line = take_line(&hunks);

        if (line.ptr[0] == '@') {
            for (size_t from = lines_before(line); at < from; at++)
                mir_buf_add(out, take_line(&before));
            continue;
        }
        struct mir_span text = content(line, &hunks);

        if (line.ptr[0] != '+') {
            assert_true(mir_span_equal(take_line(&before), text));
            at++;
        }
        if (line.ptr[0] != '-')
            mir_buf_add(out, text);
    }
    mir_buf_add(out, before);
}

static size_t count_changes(struct mir_span hunks)
{
    size_t count = 0;

    while (hunks.len > 0) {
        struct mir_span line = take_line(&hunks);

        count += line.ptr[0] == '-' || line.ptr[0] == '+';
    }
    return count;
}

static size_t check(const char *label, struct mir_span before, struct mir_span after)
{
    auto_buf hunks;
    auto_buf result;

    mir_buf_init(&hunks, TEXT_MAX);
    mir_buf_init(&result, TEXT_MAX);
    mir_diff_format(before, after, &hunks);
    assert_false(hunks.overflow);
    apply(before, mir_buf_span(&hunks), &result);
    if (!mir_span_equal(mir_buf_span(&result), after))
        fail_msg("%s: applied, it gives something else:\n%s", label, hunks.ptr);
    return count_changes(mir_buf_span(&hunks));
}

/* ---- any texts ---- */

static unsigned roll(uint64_t *state, unsigned below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (unsigned)(*state >> 33) % below;
}

static void random_text(uint64_t *state, unsigned lines, unsigned words, struct mir_buf *out)
{
    for (unsigned n = roll(state, lines + 1); n > 0; n--)
        mir_buf_printf(out, "%c\n", 'a' + (int)roll(state, words));
    if (out->len > 0 && roll(state, 3) == 0)
        mir_buf_char(out, 'z');
}

/* The length of the longest common subsequence of lines of one letter, by the table everybody
 * knows. */
static size_t common(struct mir_span a, struct mir_span b)
{
    size_t table[64][64] = {{0}};
    size_t n = (a.len + 1) / 2;
    size_t m = (b.len + 1) / 2;

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < m; k++) {
            size_t up = table[i][k + 1];
            size_t left = table[i + 1][k];
            bool both_end = (i * 2 + 1 < a.len) == (k * 2 + 1 < b.len);

            table[i + 1][k + 1] = a.ptr[i * 2] == b.ptr[k * 2] && both_end ? table[i][k] + 1
                                  : up > left                              ? up
                                                                           : left;
        }
    return table[n][m];
}

static void diff_of_short_texts_is_the_shortest_and_right(void **state)
{
    (void)state;
    for (unsigned run = 0; run < 20000; run++) {
        uint64_t seed = 0x9e3779b97f4a7c15u * (run + 1);
        auto_free char *label = mir_format("run %u", run);
        auto_buf before;
        auto_buf after;
        size_t changes;
        size_t want;

        mir_buf_init(&before, TEXT_MAX);
        mir_buf_init(&after, TEXT_MAX);
        random_text(&seed, 30, 2 + run % 7, &before);
        random_text(&seed, 30, 2 + run % 7, &after);
        changes = check(label, mir_buf_span(&before), mir_buf_span(&after));
        want = (before.len + 1) / 2 + (after.len + 1) / 2 -
               2 * common(mir_buf_span(&before), mir_buf_span(&after));
        if (changes != want)
            fail_msg("%s: %zu lines, and %zu would do", label, changes, want);
    }
}

/* Nothing in common, lines in the opposite order, and much that repeats: where a shortest script
 * would take for ever. */
static void diff_of_long_texts_is_right_and_soon_there(void **state)
{
    auto_buf one;
    auto_buf two;
    auto_buf reversed;
    uint64_t seed = 7;

    (void)state;
    mir_buf_init(&one, TEXT_MAX);
    mir_buf_init(&two, TEXT_MAX);
    mir_buf_init(&reversed, TEXT_MAX);
    for (unsigned i = 0; i < 40000; i++) {
        mir_buf_printf(&one, "location %u\n", i);
        mir_buf_printf(&reversed, "location %u\n", 39999 - i);
        mir_buf_printf(&two, "%u\n", roll(&seed, 50));
    }
    (void)check("nothing in common", mir_buf_span(&one), mir_buf_span(&two));
    (void)check("reversed", mir_buf_span(&one), mir_buf_span(&reversed));
    mir_buf_clear(&one);
    for (unsigned i = 0; i < 40000; i++)
        mir_buf_printf(&one, "%u\n", roll(&seed, 50));
    (void)check("much that repeats", mir_buf_span(&one), mir_buf_span(&two));
    (void)check("all of it goes", mir_buf_span(&one), mir_span_of(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(diff_writes_what_diff_u_writes),
        cmocka_unit_test(diff_of_short_texts_is_the_shortest_and_right),
        cmocka_unit_test(diff_of_long_texts_is_right_and_soon_there),
    };

    return cmocka_run_group_tests_name("base/diff", tests, NULL, NULL);
}
