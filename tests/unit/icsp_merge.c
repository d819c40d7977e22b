/*
 * Merging mirror sets: every list's order is kept, the order of the sets does not matter, cycles
 * are broken by rule, and merging what was merged changes nothing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "icsp/merge_priv.h"

#define SETS_MAX 8

/* Sets written as "source<mirror,mirror source<mirror"; '!' before a source: never contact it. */
struct sets {
    struct icsp_set items[SETS_MAX];
    const struct icsp_set *pointers[SETS_MAX];
    char *text;
    size_t count;
};

static void sets_parse(struct sets *sets, const char *text)
{
    char *at;
    char *save = NULL;

    *sets = (struct sets){.text = mir_strdup(text)};
    for (at = strtok_r(sets->text, " ", &save); at; at = strtok_r(NULL, " ", &save)) {
        struct icsp_set *set = &sets->items[sets->count];
        char *mirror;
        char *rest = strchr(at, '<');
        char *inner = NULL;

        *rest++ = '\0';
        set->never = at[0] == '!';
        set->source = at + set->never;
        for (mirror = strtok_r(rest, ",", &inner); mirror; mirror = strtok_r(NULL, ",", &inner))
            icsp_list_add(&set->mirrors, mirror);
        sets->pointers[sets->count++] = set;
    }
}

static void sets_release(struct sets *sets)
{
    for (size_t i = 0; i < sets->count; i++)
        icsp_list_release(&sets->items[i].mirrors);
    free(sets->text);
}

static char *merged_text(const struct icsp_merged *merged)
{
    struct mir_buf text;

    mir_buf_init(&text, 4096);
    for (size_t i = 0; i < merged->count; i++) {
        mir_buf_printf(&text, "%s%s%s<", i > 0 ? " " : "", merged->items[i].never ? "!" : "",
                       merged->items[i].source);
        for (size_t k = 0; k < merged->items[i].mirrors.count; k++)
            mir_buf_printf(&text, "%s%s", k > 0 ? "," : "", merged->items[i].mirrors.items[k]);
    }
    return mir_buf_take(&text);
}

static char *merge_text(const char *text)
{
    struct sets sets;
    auto_merged merged;
    char *result;

    sets_parse(&sets, text);
    icsp_merge(sets.pointers, sets.count, &merged);
    result = merged_text(&merged);
    sets_release(&sets);
    return result;
}

static const struct {
    const char *label, *sets, *merged;
} rows[] = {
    {"one list keeps its order", "s<c,a,b", "s<c,a,b"},
    {"sources in byte order", "t<a s<a T<a", "T<a s<a t<a"},
    {"independent sets in byte order", "s<z s<b", "s<b,z"},
    {"level by level", "src<a,z,b src<c,d src<a,d,y", "src<a,c,z,d,b,y"},
    {"diamond", "s<a,b s<a,c s<b,d s<c,d", "s<a,b,c,d"},
    {"two lists that disagree", "s<b,a s<a,b", "s<a,b"},
    {"a cycle whose source sorts first", "a<c,a,b a<b,c", "a<a,b,c"},
    {"source in the middle", "s<b,s,a", "s<b,s,a"},
    {"source at the end is not mentioned", "s<b,a,s", "s<b,a"},
    {"the same mirror twice in a row stands behind itself", "s<b,b,a", "s<a,s,b"},
    {"the same mirror twice makes a cycle", "s<b,a,b", "s<a,b"},
    {"a set without a real mirror is dropped", "s<s t<a", "t<a"},
    {"so is its policy", "!s<s s<a", "s<a"},
    {"never wins", "s<a !s<b", "!s<a,b"},
    {"equal lists once", "s<a,b s<a,b", "s<a,b"},
};

static void merge_orders_mirrors_by_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_free char *got = merge_text(rows[i].sets);

        if (strcmp(got, rows[i].merged) != 0)
            fail_msg("%s: got %s", rows[i].label, got);
    }
}

/* Random sets over a small alphabet, with a generator of their own. */
struct random_sets {
    uint32_t seed;
    char text[512];
};

static uint32_t next(struct random_sets *r, uint32_t below)
{
    r->seed = r->seed * 1664525u + 1013904223u;
    return (r->seed >> 16) % below;
}

static void random_text(struct random_sets *r, bool ordered)
{
    size_t len = 0;
    uint32_t sets = 1 + next(r, 4);

    for (uint32_t i = 0; i < sets; i++) {
        unsigned mirrors = 0;

        len += (size_t)snprintf(r->text + len, sizeof(r->text) - len, "%ss<", i > 0 ? " " : "");
        /* Ordered lists are drawn from one alphabet in its order, so that no cycle arises. */
        for (char c = 'a'; c <= 'h'; c++)
            if (next(r, 3) == 0 || (c == 'h' && mirrors == 0)) {
                len += (size_t)snprintf(r->text + len, sizeof(r->text) - len, "%s%c",
                                        mirrors > 0 ? "," : "",
                                        ordered ? c : (char)('a' + next(r, 8)));
                mirrors++;
            }
    }
}

static size_t place(const struct icsp_list *list, const char *item)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], item) == 0)
            return i;
    return list->count;
}

static void merge_keeps_every_order_without_a_cycle(void **state)
{
    struct random_sets r = {.seed = 7};

    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct sets sets;
        auto_merged merged;

        random_text(&r, true);
        sets_parse(&sets, r.text);
        icsp_merge(sets.pointers, sets.count, &merged);
        for (size_t i = 0; i < sets.count; i++)
            for (size_t k = 0; k + 1 < sets.items[i].mirrors.count; k++) {
                const struct icsp_list *list = &sets.items[i].mirrors;

                if (place(&merged.items[0].mirrors, list->items[k]) >=
                    place(&merged.items[0].mirrors, list->items[k + 1]))
                    fail_msg("order lost in %s", r.text);
            }
        sets_release(&sets);
    }
}

static void merge_does_not_look_at_the_order_of_sets(void **state)
{
    struct random_sets r = {.seed = 11};

    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct sets sets;
        const struct icsp_set *backwards[SETS_MAX];
        auto_merged one;
        auto_merged two;
        auto_free char *one_text = NULL;
        auto_free char *two_text = NULL;

        random_text(&r, false);
        sets_parse(&sets, r.text);
        for (size_t i = 0; i < sets.count; i++)
            backwards[i] = sets.pointers[sets.count - 1 - i];
        icsp_merge(sets.pointers, sets.count, &one);
        icsp_merge(backwards, sets.count, &two);
        one_text = merged_text(&one);
        two_text = merged_text(&two);
        assert_string_equal(one_text, two_text);
        sets_release(&sets);
    }
}

static void merge_is_idempotent(void **state)
{
    struct random_sets r = {.seed = 13};

    (void)state;
    for (int round = 0; round < 3000; round++) {
        auto_free char *once = NULL;
        auto_free char *twice = NULL;

        random_text(&r, false);
        once = merge_text(r.text);
        twice = merge_text(once);
        assert_string_equal(once, twice);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merge_orders_mirrors_by_the_reference),
        cmocka_unit_test(merge_keeps_every_order_without_a_cycle),
        cmocka_unit_test(merge_does_not_look_at_the_order_of_sets),
        cmocka_unit_test(merge_is_idempotent),
    };

    return cmocka_run_group_tests_name("icsp/merge", tests, NULL, NULL);
}
