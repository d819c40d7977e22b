/*
 * registries.conf: building entries step by step, encoding them, and looking one up.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "icsp/registries_priv.h"
#include "icsp/scope_priv.h"

/* One mirror set with at most two mirrors. */
struct set_row {
    const char *source, *first, *second;
    bool never;
};

struct build_row {
    const char *label;
    struct set_row digest[3], tag[3];
    const char *blocked[3], *insecure[3];
    const char *text; /* behind the first three lines; one entry a line: see entry_text() */
};

/* An entry as "SCOPE[!][~]: MIRROR[~](d|t)[, ...]": '!' blocked, '~' insecure. */
static void entry_text(const struct icsp_registry *entry, struct mir_buf *out)
{
    mir_buf_add(out, icsp_registry_scope(entry));
    mir_buf_text(out, entry->blocked ? "!" : "");
    mir_buf_text(out, entry->insecure ? "~" : "");
    for (size_t i = 0; i < entry->mirror_count; i++)
        mir_buf_printf(out, "%s%s%s(%c)", i > 0 ? ", " : ": ", entry->mirrors[i].location,
                       entry->mirrors[i].insecure ? "~" : "",
                       entry->mirrors[i].pull == ICSP_PULL_DIGEST ? 'd' : 't');
    mir_buf_char(out, '\n');
}

static void fill(const struct set_row *rows, struct icsp_merged *merged)
{
    *merged = (struct icsp_merged){0};
    for (size_t i = 0; i < 3 && rows[i].source; i++) {
        struct icsp_merged_set *set;

        mir_grow(&merged->items, merged->count, &merged->capacity, sizeof(*merged->items));
        set = &merged->items[merged->count++];
        *set = (struct icsp_merged_set){.source = rows[i].source, .never = rows[i].never};
        icsp_list_add(&set->mirrors, rows[i].first);
        if (rows[i].second)
            icsp_list_add(&set->mirrors, rows[i].second);
    }
}

static void fill_list(const char *const *items, struct icsp_list *list)
{
    for (size_t i = 0; i < 3 && items[i]; i++)
        icsp_list_add(list, items[i]);
}

static bool build(const struct build_row *row, struct icsp_registries *registries)
{
    auto_merged digest;
    auto_merged tag;
    auto_list blocked = {0};
    auto_list insecure = {0};
    struct icsp_registries_input input = {
        .digest = &digest, .tag = &tag, .blocked = &blocked, .insecure = &insecure};
    const char *wildcard;
    const char *nested;

    fill(row->digest, &digest);
    fill(row->tag, &tag);
    fill_list(row->blocked, &blocked);
    fill_list(row->insecure, &insecure);
    icsp_registries_init_base(registries, &icsp_generation_current);
    return icsp_registries_build(registries, &input, &wildcard, &nested);
}

static void registries_conf_builds_entries_in_steps(void **state)
{
    static const struct build_row rows[] = {
        {.label = "digest, tag, blocked, insecure",
         .digest = {{"d.io", "m.io/d", NULL, false}},
         .tag = {{"t.io", "m.io/t", NULL, false}},
         .blocked = {"b.io"},
         .insecure = {"i.io"},
         .text = "d.io: m.io/d(d)\nt.io: m.io/t(t)\nb.io!\ni.io~\n"},
        {.label = "an entry stays where it was mentioned first",
         .digest = {{"a.io", "m.io", NULL, false}},
         .blocked = {"i.io", "a.io"},
         .insecure = {"i.io"},
         .text = "a.io!: m.io(d)\ni.io!~\n"},
        {.label = "both kinds of mirrors in one entry",
         .digest = {{"a.io", "m.io", "n.io", false}},
         .tag = {{"a.io", "m.io", NULL, false}},
         .text = "a.io: m.io(d), n.io(d), m.io(t)\n"},
        {.label = "never contact source",
         .digest = {{"a.io", "m.io", NULL, true}},
         .text = "a.io!: m.io(d)\n"},
        {.label = "flags go down, to mirrors too",
         .digest = {{"a.io/x", "i.io/x", NULL, false}},
         .blocked = {"a.io"},
         .insecure = {"i.io", "a.io/x/y"},
         .text = "a.io/x!: i.io/x~(d)\na.io!\ni.io~\na.io/x/y!~: i.io/x/y~(d)\n"},
        {.label = "mirrors go down to who has none, from the outermost, digest before tag",
         .digest = {{"a.io/x", "d.io/x", NULL, false}},
         .tag = {{"a.io", "t.io", NULL, false}},
         .blocked = {"a.io/x/y", "a.io/z"},
         .text = "a.io/x: d.io/x(d)\na.io: t.io(t)\na.io/x/y!: d.io/x/y(d)\na.io/z!: t.io/z(t)\n"},
        {.label = "what is handed down is not checked against the insecure list again",
         .digest = {{"a.io", "m.io", NULL, false}},
         .insecure = {"a.io/x", "m.io/x"},
         .text = "a.io: m.io(d)\na.io/x~: m.io/x(d)\nm.io/x~\n"},
        {.label = "wildcards have a prefix",
         .digest = {{"*.a.io", "m.io", NULL, false}},
         .insecure = {"*.i.io"},
         .text = "*.a.io: m.io(d)\n*.i.io~\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        auto_registries registries;
        auto_buf text;

        mir_buf_init(&text, 4096);
        if (!build(&rows[i], &registries))
            fail_msg("%s: refused", rows[i].label);
        for (size_t k = 0; k < registries.count; k++)
            entry_text(registries.items[k], &text);
        if (strcmp(text.ptr, rows[i].text) != 0)
            fail_msg("%s: got\n%s", rows[i].label, text.ptr);
    }
}

static void registries_conf_refuses_mirrors_of_a_wildcard_to_inherit(void **state)
{
    static const struct build_row row = {.digest = {{"*.a.io", "m.io", NULL, false}},
                                         .insecure = {"x.a.io"}};
    static const struct build_row given = {
        .digest = {{"*.a.io", "m.io", NULL, false}, {"x.a.io", "n.io", NULL, false}},
        .insecure = {"x.a.io"}};
    auto_registries one;
    auto_registries two;

    (void)state;
    assert_false(build(&row, &one));
    assert_true(build(&given, &two));
}

static void registries_conf_is_encoded_to_the_byte(void **state)
{
    static const struct build_row row = {
        .digest = {{"a.io/\"q\"", "m.io/\\", NULL, false}},
        .tag = {{"*.w.io", "m.io", NULL, false}},
        .blocked = {"b\t\x01\x7f\xc3\xa9"},
        .insecure = {"m.io"},
    };
    static const char expected[] =
        "unqualified-search-registries = [\"registry.access.redhat.com\", \"docker.io\"]\n"
        "short-name-mode = \"\"\n"
        "additional-layer-store-auth-helper = \"\"\n"
        "\n[[registry]]\n  prefix = \"\"\n  location = \"a.io/\\\"q\\\"\"\n"
        "\n  [[registry.mirror]]\n    location = \"m.io/\\\\\"\n    insecure = true\n"
        "    pull-from-mirror = \"digest-only\"\n"
        "\n[[registry]]\n  prefix = \"*.w.io\"\n"
        "\n  [[registry.mirror]]\n    location = \"m.io\"\n    insecure = true\n"
        "    pull-from-mirror = \"tag-only\"\n"
        "\n[[registry]]\n  prefix = \"\"\n  location = \"b\\t\\u0001\\u007f\xc3\xa9\"\n"
        "  blocked = true\n"
        "\n[[registry]]\n  prefix = \"\"\n  location = \"m.io\"\n  insecure = true\n";
    auto_registries registries;
    auto_buf text;

    (void)state;
    mir_buf_init(&text, 4096);
    assert_true(build(&row, &registries));
    icsp_registries_format(&registries, &text);
    assert_string_equal(text.ptr, expected);
}

static void registries_conf_finds_the_longest_prefix(void **state)
{
    static const struct build_row row = {
        .digest = {{"a.io", "m.io", NULL, false},
                   {"a.io/x", "n.io", NULL, false},
                   {"*.b.io", "o.io", NULL, false}},
        .blocked = {"x.b.io"},
    };
    static const struct {
        const char *ref, *scope;
        size_t matched;
    } rows[] = {
        {"a.io/x/y:1", "a.io/x", 6}, {"a.io/xy", "a.io", 4},    {"a.io:5000/x", "a.io", 4},
        {"yy.b.io/z", "*.b.io", 7},  {"x.b.io/z", "*.b.io", 6}, {"c.io/x", NULL, 0},
    };
    auto_registries registries;

    (void)state;
    /* A wildcard with a mirror hands nothing down; the blocked entry gets a mirror of its own. */
    assert_false(build(&row, &registries));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t matched = 0;
        const struct icsp_registry *found =
            icsp_registries_find(&registries, mir_span_of(rows[i].ref), &matched);

        if (!found != !rows[i].scope)
            fail_msg("%s: %s", rows[i].ref, found ? "found" : "not found");
        if (found && !mir_span_is(icsp_registry_scope(found), rows[i].scope))
            fail_msg("%s: found %s", rows[i].ref, icsp_registry_scope(found).ptr);
        assert_int_equal(matched, rows[i].matched);
    }
}

static unsigned roll(uint64_t *state, unsigned below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (unsigned)(*state >> 33) % below;
}

/* A name over few letters, so that prefixes meet: a.b.a:5/b/a@, "*." in front for some scopes. */
static void random_name(uint64_t *chance, bool is_scope, struct mir_buf *out)
{
    mir_buf_clear(out);
    if (is_scope && roll(chance, 3) == 0)
        mir_buf_text(out, "*.");
    for (unsigned n = 1 + roll(chance, 3); n > 0; n--)
        mir_buf_printf(out, "%c%s", 'a' + (int)roll(chance, 2), n > 1 ? "." : "");
    if (roll(chance, 4) == 0)
        mir_buf_text(out, ":5");
    for (unsigned n = roll(chance, 4); n > 0; n--)
        mir_buf_printf(out, "/%c", 'a' + (int)roll(chance, 2));
    if (!is_scope)
        mir_buf_text(out, roll(chance, 2) ? ":t.a" : "@a.b:c");
}

/* With many entries an index is used: it finds what looking at every entry finds. */
static void registries_conf_finds_the_same_among_many(void **state)
{
    uint64_t chance = 12345;
    auto_registries registries;
    auto_buf name;

    (void)state;
    mir_buf_init(&name, 4096);
    icsp_registries_init(&registries, &icsp_generation_current);
    for (unsigned i = 0; i < 300; i++) {
        struct icsp_registry *entry = icsp_registries_append(&registries);

        random_name(&chance, true, &name);
        entry->prefix = mir_strdup(name.ptr);
        entry->location = mir_strdup("x.io");
        icsp_registries_index(&registries, entry);
    }
    for (unsigned run = 0; run < 20000; run++) {
        const struct icsp_registry *best = NULL;
        size_t best_len = 0;
        size_t matched = 0;

        random_name(&chance, false, &name);
        for (size_t i = 0; i < registries.count; i++) {
            const struct icsp_registry *entry = registries.items[i];
            int longer = best ? (int)strlen(entry->prefix) - (int)strlen(best->prefix) : 1;
            size_t len;

            if (!icsp_prefix_match(mir_span_of(entry->prefix), mir_buf_span(&name), &len) ||
                longer < 0 || (longer == 0 && strcmp(entry->prefix, best->prefix) >= 0))
                continue;
            best = entry;
            best_len = len;
        }
        if (icsp_registries_find(&registries, mir_buf_span(&name), &matched) != best ||
            matched != best_len)
            fail_msg("%s: should be %s", name.ptr, best ? best->prefix : "nothing");
    }
}

static void search_file_has_three_lines(void **state)
{
    auto_list list = {0};
    auto_buf text;

    (void)state;
    mir_buf_init(&text, 4096);
    icsp_search_format(&list, &icsp_generation_current, &text);
    icsp_list_add(&list, "a\"b");
    icsp_list_add(&list, "c");
    icsp_search_format(&list, &icsp_generation_current, &text);
    assert_string_equal(text.ptr, "unqualified-search-registries = []\nshort-name-mode = \"\"\n"
                                  "additional-layer-store-auth-helper = \"\"\n"
                                  "unqualified-search-registries = [\"a\\\"b\", \"c\"]\n"
                                  "short-name-mode = \"\"\n"
                                  "additional-layer-store-auth-helper = \"\"\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registries_conf_builds_entries_in_steps),
        cmocka_unit_test(registries_conf_refuses_mirrors_of_a_wildcard_to_inherit),
        cmocka_unit_test(registries_conf_is_encoded_to_the_byte),
        cmocka_unit_test(registries_conf_finds_the_longest_prefix),
        cmocka_unit_test(registries_conf_finds_the_same_among_many),
        cmocka_unit_test(search_file_has_three_lines),
    };

    return cmocka_run_group_tests_name("icsp/registries_conf", tests, NULL, NULL);
}
