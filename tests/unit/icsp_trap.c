/*
 * Traps: which of them an image falls into, and that the words name files and lines.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "icsp/trap.h"
#include "lib/must.h"

#define DIGEST "sha256:0000000000000000000000000000000000000000000000000000000000000001"

#define BROAD  "[[registry]]\nlocation = 'q.io'\n[[registry.mirror]]\nlocation = 'm.io/q'\n"
#define NARROW "[[registry]]\nlocation = 'q.io/a'\n"

static struct icsp_lookup *lookup_of(const char *conf)
{
    struct icsp_lookup *lookup = icsp_lookup_new();
    struct mir_error err = MIR_ERROR_INIT;

    must(icsp_lookup_add_registries(lookup, mir_span_of(conf), "r.conf", ICSP_CONF_MAIN, &err),
         &err);
    return lookup;
}

static void trap_is_named_for_every_route(void **state)
{
    static const struct {
        const char *label, *conf, *image;
        bool source_counts;
        const char *trap, *words;
    } rows[] = {
        {"mirror", BROAD, "q.io/a@" DIGEST, false, "", ""},
        {"no entry", BROAD, "other.io/a:1", false, "no-mirror", "no entry of registries.conf"},
        {"no entry, source", BROAD, "other.io/a:1", true, "", ""},
        {"no mirror", NARROW, "q.io/a:1", false, "no-mirror",
         "\"q.io/a\" (r.conf:1) has no mirror"},
        {"hidden", BROAD NARROW, "q.io/a:1", false, "hidden",
         "\"q.io/a\" (r.conf:5) has no mirror for it and hides \"q.io\" (r.conf:1)"},
        {"hidden, source", BROAD NARROW, "q.io/a:1", true, "", ""},
        {"hidden by mirrors for tags",
         BROAD NARROW "[[registry.mirror]]\nlocation = 'm.io/a'\npull-from-mirror = 'tag-only'\n",
         "q.io/a@" DIGEST, false, "hidden", "hides \"q.io\""},
        {"not hidden by what has mirrors",
         BROAD NARROW "[[registry.mirror]]\nlocation = 'm.io/a'\npull-from-mirror = 'tag-only'\n",
         "q.io/a:1", false, "", ""},
        {"hidden from a wildcard",
         "[[registry]]\nprefix = '*.io'\n[[registry.mirror]]\nlocation = 'm.io/q'\n" NARROW,
         "q.io/a:1", false, "hidden", "hides \"*.io\""},
        {"nothing there to hide", NARROW "[[registry]]\nlocation = 'q.io'\n", "q.io/a:1", false,
         "no-mirror", "has no mirror"},
        {"for digests",
         NARROW "[[registry.mirror]]\nlocation = 'm.io/a'\npull-from-mirror = 'digest-only'\n",
         "q.io/a:1", false, "digest-only", "m.io/a (r.conf:1) is for pulls by digest"},
        {"for tags",
         NARROW "[[registry.mirror]]\nlocation = 'm.io/a'\npull-from-mirror = 'tag-only'\n",
         "q.io/a@" DIGEST, false, "tag-only", "is for pulls by tag"},
        {"blocked", "[[registry]]\nlocation = 'q.io'\nblocked = true\n", "q.io/a:1", false,
         "blocked", "q.io/a:1 is blocked by \"q.io\" (r.conf:1)"},
        {"blocked, source", "[[registry]]\nlocation = 'q.io'\nblocked = true\n", "q.io/a:1", true,
         "blocked", "is blocked"},
        {"blocked with a mirror",
         "[[registry]]\nlocation = 'q.io'\nblocked = true\n[[registry.mirror]]\nlocation='m.io'\n",
         "q.io/a:1", false, "", ""},
        {"mirror blocked", BROAD "[[registry]]\nlocation = 'm.io'\nblocked = true\n", "q.io/a:1",
         false, "mirror-blocked", "the mirror m.io/q/a:1 is blocked by \"m.io\" (r.conf:5)"},
        {"another location is a copy", "[[registry]]\nprefix = 'q.io'\nlocation = 'm.io/q'\n",
         "q.io/a:1", false, "", ""},
        {"rewrite", "[[registry]]\nprefix = '*.io'\nlocation = 'm.io/q'\n", "q.io:5000/a:1", false,
         "rewrite", "r.conf:1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct icsp_lookup *lookup = lookup_of(rows[i].conf);
        struct mir_error err = MIR_ERROR_INIT;
        auto_route route = {0};
        enum icsp_trap trap;

        must(icsp_lookup_find(lookup, mir_span_of(rows[i].image), &route, &err), &err);
        trap = icsp_trap_of_route(lookup, &route, rows[i].source_counts, &err);
        if (strcmp(icsp_trap_name(trap), rows[i].trap) != 0)
            fail_msg("%s: \"%s\" %s", rows[i].label, icsp_trap_name(trap), err.text);
        if (trap != ICSP_TRAP_NONE) {
            must_have(err.text, rows[i].words);
            assert_true(err.hint[0] != '\0');
        }
        icsp_lookup_free(lookup);
    }
}

static void trap_is_named_for_every_verdict(void **state)
{
    static const struct {
        enum icsp_verdict verdict;
        const char *scope, *trap, *words;
    } rows[] = {
        {ICSP_VERDICT_ACCEPT, "q.io", "", ""},
        {ICSP_VERDICT_REJECT, "q.io", "rejected", "p.json rejects it (\"q.io\")"},
        {ICSP_VERDICT_REJECT, NULL, "rejected", "(\"default\")"},
        {ICSP_VERDICT_SIGNATURE, "", "signature", "asks for a signature (signedBy of \"default\")"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct icsp_judgement judgement = {.verdict = rows[i].verdict,
                                                 .file = "p.json",
                                                 .transport = "docker",
                                                 .scope = rows[i].scope,
                                                 .requirement = "signedBy"};
        struct mir_error err = MIR_ERROR_INIT;
        enum icsp_trap trap = icsp_trap_of_judgement(&judgement, &err);

        assert_string_equal(icsp_trap_name(trap), rows[i].trap);
        must_have(err.text, rows[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_is_named_for_every_route),
        cmocka_unit_test(trap_is_named_for_every_verdict),
    };

    return cmocka_run_group_tests_name("icsp/trap", tests, NULL, NULL);
}
