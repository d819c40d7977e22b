/*
 * What a node goes through for new files. A row is two states of registries.conf, written short, or
 * two states of other files, and what the cluster does, with the rule and the line that decide it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "icsp/drain.h"

#define CONF "etc/containers/registries.conf"

/* ---- registries.conf ---- */

/* Files are written as one entry a line: its scope, '!' blocked, '~' insecure, '=' for
 * mirror-by-digest-only, '>' and a location of its own; then its mirrors, each with what it is for
 * in front: d(igest-only), t(ag-only), a(ll), -(nothing said); '~' behind one that is insecure. "?"
 * begins the line of the search list. */
struct row {
    const char *label;
    const char *now, *then;
    enum icsp_action action;
    const char *rule; /* of the first cause */
    unsigned line;    /* of it, in the longhand below */
    const char *ocp;  /* NULL: current */
};

static void write_mirror(struct mir_span word, struct mir_buf *out)
{
    static const char *const pulls[] = {
        ['d'] = "digest-only", ['t'] = "tag-only", ['a'] = "all", ['-'] = NULL};
    struct mir_span location = mir_span_from(word, 1);
    const char *pull = pulls[(unsigned char)word.ptr[0]];
    bool insecure = mir_span_ends_with(location, "~");

    if (insecure)
        location = mir_span_first(location, location.len - 1);
    mir_buf_printf(out, "[[registry.mirror]]\nlocation = \"%.*s\"\n", MIR_SPAN_ARG(location));
    if (insecure)
        mir_buf_text(out, "insecure = true\n");
    if (pull)
        mir_buf_printf(out, "pull-from-mirror = \"%s\"\n", pull);
}

static void write_scope(struct mir_span word, struct mir_buf *out)
{
    size_t end = strcspn(word.ptr, "!~=> \n");
    struct mir_span scope = mir_span_first(word, end < word.len ? end : word.len);
    struct mir_span marks = mir_span_from(word, scope.len);
    size_t at;

    mir_buf_text(out, "[[registry]]\n");
    if (mir_span_find(marks, '>', &at))
        mir_buf_printf(out, "prefix = \"%.*s\"\nlocation = \"%.*s\"\n", MIR_SPAN_ARG(scope),
                       MIR_SPAN_ARG(mir_span_from(marks, at + 1)));
    else
        mir_buf_printf(out, "location = \"%.*s\"\n", MIR_SPAN_ARG(scope));
    if (mir_span_find(marks, '!', &at))
        mir_buf_text(out, "blocked = true\n");
    if (mir_span_find(marks, '~', &at))
        mir_buf_text(out, "insecure = true\n");
    if (mir_span_find(marks, '=', &at))
        mir_buf_text(out, "mirror-by-digest-only = true\n");
}

static void write_search(struct mir_span words, struct mir_buf *out)
{
    struct mir_span word;
    bool first = true;

    mir_buf_text(out, "unqualified-search-registries = [");
    while (mir_span_next(&words, ' ', &word)) {
        if (word.len > 0)
            mir_buf_printf(out, "%s\"%.*s\"", first ? "" : ", ", MIR_SPAN_ARG(word));
        first = first && word.len == 0;
    }
    mir_buf_text(out, "]\n");
}

static void longhand(const char *text, struct mir_buf *out)
{
    struct mir_span rest = mir_span_of(text);
    struct mir_span line;

    while (mir_span_next(&rest, '\n', &line)) {
        struct mir_span word;

        if (mir_span_starts_with(line, "?")) {
            write_search(mir_span_from(line, 1), out);
            continue;
        }
        if (!mir_span_next(&line, ' ', &word) || word.len == 0)
            continue;
        write_scope(word, out);
        while (mir_span_next(&line, ' ', &word))
            write_mirror(word, out);
    }
}

static const struct row rows[] = {
    /* what may stay */
    {"only a comment's worth: the same entries in another order", "q.io/a dm.io/a\nq.io/b dm.io/b",
     "q.io/b dm.io/b\nq.io/a dm.io/a", ICSP_ACTION_RELOAD, "file", 0, NULL},
    {"first entry, for digests", "", "q.io/a dm.io/a", ICSP_ACTION_RELOAD, "file", 0, NULL},
    {"another entry, for digests", "q.io/a dm.io/a", "q.io/a dm.io/a\nq.io/b dm.io/b dn.io/b",
     ICSP_ACTION_RELOAD, "file", 0, NULL},
    {"another mirror, for digests", "q.io/a dm.io/a", "q.io/a dm.io/a dn.io/a", ICSP_ACTION_RELOAD,
     "file", 0, NULL},
    {"another mirror in front", "q.io/a dm.io/a", "q.io/a dn.io/a dm.io/a", ICSP_ACTION_RELOAD,
     "file", 0, NULL},
    {"mirrors change places", "q.io/a dm.io/a dn.io/a", "q.io/a dn.io/a dm.io/a",
     ICSP_ACTION_RELOAD, "file", 0, NULL},
    {"another mirror, of an entry that is for digests", "q.io/a= -m.io/a",
     "q.io/a= -m.io/a -n.io/a", ICSP_ACTION_RELOAD, "file", 0, NULL},
    {"a mirror for all becomes one for digests", "q.io/a -m.io/a", "q.io/a dm.io/a",
     ICSP_ACTION_RELOAD, "file", 0, NULL},
    {"a mirror for tags becomes one for digests", "q.io/a tm.io/a", "q.io/a dm.io/a",
     ICSP_ACTION_RELOAD, "file", 0, NULL},
    {"from the old way to say digests to the new one", "q.io/a= -m.io/a", "q.io/a dm.io/a",
     ICSP_ACTION_RELOAD, "file", 0, NULL},
    {"a mirror becomes insecure", "q.io/a dm.io/a", "q.io/a dm.io/a~", ICSP_ACTION_RELOAD, "file",
     0, NULL},
    {"the flag of an entry alone", "q.io/a= dm.io/a", "q.io/a dm.io/a", ICSP_ACTION_RELOAD, "file",
     0, NULL},
    {"a new entry without mirrors, for digests", "", "q.io/a=", ICSP_ACTION_RELOAD, "file", 0,
     NULL},
    {"a blocked new entry whose mirrors are for digests", "", "q.io/a! dm.io/a", ICSP_ACTION_RELOAD,
     "file", 0, NULL},
    {"an insecure new entry whose mirrors are for digests", "", "q.io/a~ dm.io/a",
     ICSP_ACTION_RELOAD, "file", 0, NULL},
    {"a search registry more", "? a.io b.io", "? a.io b.io c.io", ICSP_ACTION_RELOAD, "file", 0,
     NULL},
    {"the first search list", "", "? a.io", ICSP_ACTION_RELOAD, "file", 0, NULL},
    {"the same mirror for digests and tags, unchanged in a file that changes",
     "q.io/a dm.io/a tm.io/a", "q.io/a dm.io/a tm.io/a\nq.io/b dm.io/b", ICSP_ACTION_RELOAD, "file",
     0, NULL},
    {"an entry for tags stays while another comes", "q.io/a tm.io/a\nq.io/c!",
     "q.io/a tm.io/a\nq.io/c!\nq.io/b dm.io/b", ICSP_ACTION_RELOAD, "file", 0, NULL},
    {"of two entries for one scope the last one counts", "q.io/a! \nq.io/a dm.io/a",
     "q.io/a dm.io/a dn.io/a", ICSP_ACTION_RELOAD, "file", 0, NULL},
    /* what may not */
    {"a search registry less", "? a.io b.io", "? a.io", ICSP_ACTION_DRAIN, "search-list", 1, NULL},
    {"another order of search registries", "? a.io b.io", "? b.io a.io", ICSP_ACTION_DRAIN,
     "search-list", 1, NULL},
    {"a search registry in front", "? a.io", "? b.io a.io", ICSP_ACTION_DRAIN, "search-list", 1,
     NULL},
    {"the search list goes away", "? a.io", "q.io/a dm.io/a", ICSP_ACTION_DRAIN, "search-list", 1,
     NULL},
    {"an entry goes away", "q.io/a dm.io/a\nq.io/b dm.io/b", "q.io/a dm.io/a", ICSP_ACTION_DRAIN,
     "entry-removed", 6, NULL},
    {"all go away", "q.io/a dm.io/a", "", ICSP_ACTION_DRAIN, "entry-removed", 1, NULL},
    {"a broad entry becomes narrow", "q.io/a dm.io/a", "q.io/a/b dm.io/a/b", ICSP_ACTION_DRAIN,
     "entry-removed", 1, NULL},
    {"a narrow entry becomes broad", "q.io/a/b dm.io/a/b", "q.io/a dm.io/a", ICSP_ACTION_DRAIN,
     "entry-removed", 1, NULL},
    {"an entry moves", "q.io/a>q.io/a dm.io/a", "q.io/a>r.io/a dm.io/a", ICSP_ACTION_DRAIN,
     "entry-location", 3, NULL},
    {"a prefix is spelled out", "q.io/a dm.io/a", "q.io/a>q.io/a dm.io/a", ICSP_ACTION_DRAIN,
     "entry-prefix", 2, NULL},
    {"an entry becomes blocked", "q.io/a dm.io/a", "q.io/a! dm.io/a", ICSP_ACTION_DRAIN,
     "entry-blocked", 3, NULL},
    {"an entry is blocked no more", "q.io/a! dm.io/a", "q.io/a dm.io/a", ICSP_ACTION_DRAIN,
     "entry-blocked", 3, NULL},
    {"an entry becomes insecure", "q.io/a dm.io/a", "q.io/a~ dm.io/a", ICSP_ACTION_DRAIN,
     "entry-insecure", 3, NULL},
    {"an entry is insecure no more", "q.io/a~ dm.io/a", "q.io/a dm.io/a", ICSP_ACTION_DRAIN,
     "entry-insecure", 3, NULL},
    {"a mirror goes away", "q.io/a dm.io/a dn.io/a", "q.io/a dm.io/a", ICSP_ACTION_DRAIN,
     "mirror-removed", 7, NULL},
    {"a mirror moves", "q.io/a dm.io/a", "q.io/a dn.io/a", ICSP_ACTION_DRAIN, "mirror-removed", 4,
     NULL},
    {"a mirror for tags comes", "q.io/a dm.io/a", "q.io/a dm.io/a tn.io/a", ICSP_ACTION_DRAIN,
     "mirror-added", 8, NULL},
    {"a mirror for all comes", "q.io/a dm.io/a", "q.io/a dm.io/a -n.io/a", ICSP_ACTION_DRAIN,
     "mirror-added", 6, NULL},
    {"the same place also for tags", "q.io/a dm.io/a", "q.io/a dm.io/a tm.io/a", ICSP_ACTION_DRAIN,
     "mirror-pull", 8, NULL},
    {"a mirror for digests becomes one for tags", "q.io/a dm.io/a", "q.io/a tm.io/a",
     ICSP_ACTION_DRAIN, "mirror-pull", 5, NULL},
    {"a mirror for digests becomes one for all", "q.io/a dm.io/a", "q.io/a -m.io/a",
     ICSP_ACTION_DRAIN, "mirror-pull", 3, NULL},
    {"for all, and now spelled out", "q.io/a -m.io/a", "q.io/a am.io/a", ICSP_ACTION_DRAIN,
     "mirror-pull", 5, NULL},
    {"a place for digests and tags in an entry that gets a mirror", "q.io/a dm.io/a tm.io/a",
     "q.io/a dm.io/a tm.io/a dn.io/a", ICSP_ACTION_DRAIN, "mirror-pull", 8, NULL},
    {"a new entry for tags", "", "q.io/a tm.io/a", ICSP_ACTION_DRAIN, "entry-added", 5, NULL},
    {"a new entry with one mirror for tags", "", "q.io/a dm.io/a tn.io/a", ICSP_ACTION_DRAIN,
     "entry-added", 8, NULL},
    {"a new entry for all", "", "q.io/a -m.io/a", ICSP_ACTION_DRAIN, "entry-added", 3, NULL},
    {"a new entry that says digests in the old way", "", "q.io/a= -m.io/a", ICSP_ACTION_DRAIN,
     "entry-added", 4, NULL},
    {"a new blocked entry", "", "q.io/a!", ICSP_ACTION_DRAIN, "entry-added", 3, NULL},
    {"a new insecure entry", "", "q.io/a~", ICSP_ACTION_DRAIN, "entry-added", 3, NULL},
    {"a new blocked wildcard", "", "*.q.io>", ICSP_ACTION_DRAIN, "entry-added", 1, NULL},
    /* older generations */
    {"4.12: a new entry", "", "q.io/a= -m.io/a", ICSP_ACTION_RELOAD, "file", 0, "4.12"},
    {"4.12: a mirror more", "q.io/a= -m.io/a", "q.io/a= -m.io/a -n.io/a", ICSP_ACTION_RELOAD,
     "file", 0, "4.12"},
    {"4.12: the flag goes", "q.io/a= -m.io/a", "q.io/a -m.io/a", ICSP_ACTION_DRAIN,
     "entry-digest-only", 3, "4.12"},
    {"4.12: a mirror goes", "q.io/a= -m.io/a -n.io/a", "q.io/a= -m.io/a", ICSP_ACTION_DRAIN,
     "mirror-removed", 7, "4.12"},
    {"4.12: a mirror for all comes", "q.io/a -m.io/a", "q.io/a -m.io/a -n.io/a", ICSP_ACTION_DRAIN,
     "mirror-added", 6, "4.12"},
    {"4.12: the new way to say digests is not understood", "", "q.io/a dm.io/a", ICSP_ACTION_DRAIN,
     "entry-added", 5, "4.12"},
    {"4.12: a new blocked entry", "", "q.io/a!", ICSP_ACTION_DRAIN, "entry-added", 3, "4.12"},
    {"4.10: as 4.12", "", "q.io/a= -m.io/a", ICSP_ACTION_RELOAD, "file", 0, "4.10"},
    {"4.6: any change", "", "q.io/a= -m.io/a", ICSP_ACTION_REBOOT, "file", 0, "4.6"},
    {"4.14: as now", "", "q.io/a dm.io/a", ICSP_ACTION_RELOAD, "file", 0, "4.14"},
    {"4.18: as now", "", "q.io/a tm.io/a", ICSP_ACTION_DRAIN, "entry-added", 5, "4.18"},
};

static struct icsp_file file_of(const char *path, const char *text)
{
    return (struct icsp_file){
        .path = mir_strdup(path), .data = mir_strdup(text), .len = strlen(text)};
}

static void file_release(struct icsp_file *file)
{
    free(file->path);
    free(file->data);
}

static void check_row(const struct row *row)
{
    const struct icsp_generation *generation = row->ocp ? icsp_generation_find(row->ocp) : NULL;
    struct mir_error err = MIR_ERROR_INIT;
    auto_changes changes = {0};
    struct icsp_file files[2];
    auto_buf now;
    auto_buf then;

    mir_buf_init(&now, 1u << 20);
    mir_buf_init(&then, 1u << 20);
    longhand(row->now, &now);
    longhand(row->then, &then);
    files[0] = file_of(CONF, now.ptr);
    files[1] = file_of(CONF, then.ptr);
    if (!icsp_compare((struct icsp_tree){&files[0], 1}, (struct icsp_tree){&files[1], 1},
                      generation, &changes, &err))
        fail_msg("%s: %s", row->label, err.text);
    if (changes.action != row->action || changes.count != 1 ||
        strcmp(changes.causes[0].rule, row->rule) != 0 || changes.causes[0].line != row->line)
        fail_msg("%s: %s by %s in line %u\n%s->\n%s", row->label, icsp_action_word(changes.action),
                 changes.cause_count > 0 ? changes.causes[0].rule : "nothing",
                 changes.cause_count > 0 ? changes.causes[0].line : 0, now.ptr, then.ptr);
    file_release(&files[0]);
    file_release(&files[1]);
}

static void drain_follows_the_daemon_for_registries_conf(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_row(&rows[i]);
}

/* ---- other files ---- */

struct path_row {
    const char *label, *path, *now, *then; /* NULL: not there */
    enum icsp_action action;
    bool certain;
    const char *ocp;
};

static const struct path_row path_rows[] = {
    {"policy", "etc/containers/policy.json", "{}", "{ }", ICSP_ACTION_RELOAD, true, NULL},
    {"policy appears", "etc/containers/policy.json", NULL, "{ }", ICSP_ACTION_RELOAD, true, NULL},
    {"signatures appear", "etc/containers/registries.d/sigstore-registries.yaml", NULL, "x",
     ICSP_ACTION_RELOAD, true, NULL},
    {"signatures go", "etc/containers/registries.d/sigstore-registries.yaml", "x", NULL,
     ICSP_ACTION_RELOAD, true, NULL},
    {"signatures, 4.18", "etc/containers/registries.d/sigstore-registries.yaml", NULL, "x",
     ICSP_ACTION_RELOAD, false, "4.18"},
    {"policy of a namespace", "etc/crio/policies/ns.json", NULL, "{}", ICSP_ACTION_RELOAD, true,
     NULL},
    {"policy of a namespace, 4.18", "etc/crio/policies/ns.json", NULL, "{}", ICSP_ACTION_REBOOT,
     false, "4.18"},
    {"search registries", "etc/containers/registries.conf.d/01-image-searchRegistries.conf", NULL,
     "x", ICSP_ACTION_REBOOT, true, NULL},
    {"search registries go", "etc/containers/registries.conf.d/01-image-searchRegistries.conf", "x",
     NULL, ICSP_ACTION_REBOOT, true, NULL},
    {"certificate", "etc/docker/certs.d/m.io:5000/ca.crt", "a", "b", ICSP_ACTION_NOTHING, true,
     NULL},
    {"certificate goes", "etc/docker/certs.d/m.io:5000/ca.crt", "a", NULL, ICSP_ACTION_NOTHING,
     true, NULL},
    {"policy, 4.6", "etc/containers/policy.json", "{}", "{ }", ICSP_ACTION_REBOOT, true, "4.6"},
    {"policy, 4.10", "etc/containers/policy.json", "{}", "{ }", ICSP_ACTION_RELOAD, false, "4.10"},
    {"registries.conf appears, for digests", CONF, NULL,
     "[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\nlocation = \"m.io\"\n"
     "pull-from-mirror = \"digest-only\"\n",
     ICSP_ACTION_RELOAD, true, NULL},
    {"registries.conf goes", CONF, "[[registry]]\nlocation = \"a.io\"\n", NULL, ICSP_ACTION_DRAIN,
     true, NULL},
};

static void drain_knows_what_each_path_takes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(path_rows) / sizeof(path_rows[0]); i++) {
        const struct path_row *row = &path_rows[i];
        struct mir_error err = MIR_ERROR_INIT;
        struct icsp_file now = file_of(row->path, row->now ? row->now : "");
        struct icsp_file then = file_of(row->path, row->then ? row->then : "");
        auto_changes changes = {0};

        if (!icsp_compare((struct icsp_tree){&now, row->now != NULL},
                          (struct icsp_tree){&then, row->then != NULL},
                          row->ocp ? icsp_generation_find(row->ocp) : NULL, &changes, &err))
            fail_msg("%s: %s", row->label, err.text);
        if (changes.count != 1 || changes.action != row->action ||
            changes.causes[0].is_certain != row->certain)
            fail_msg("%s: %s, %s", row->label, icsp_action_word(changes.action),
                     changes.causes[0].is_certain ? "certain" : "not certain");
        file_release(&now);
        file_release(&then);
    }
}

static void drain_of_several_files_is_the_greatest(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct icsp_file now[] = {file_of(CONF, "a = 1\n"), file_of("etc/containers/policy.json", "{}"),
                              file_of("etc/x", "gone")};
    struct icsp_file then[] = {
        file_of("etc/containers/policy.json", "{}"),
        file_of(CONF, "[[registry]]\nlocation = \"a.io\"\nblocked = true\n")};
    auto_changes changes = {0};
    auto_free char *text = NULL;

    (void)state;
    assert_true(icsp_compare((struct icsp_tree){now, 3}, (struct icsp_tree){then, 2}, NULL,
                             &changes, &err));
    assert_int_equal(changes.action, ICSP_ACTION_REBOOT);
    assert_int_equal(changes.count, 2);
    assert_int_equal(changes.items[0].action, ICSP_ACTION_DRAIN);
    assert_int_equal(changes.items[1].action, ICSP_ACTION_REBOOT);
    assert_null(changes.items[1].then);
    text = icsp_cause_format(&changes.causes[0]);
    assert_string_equal(text, CONF ":3: \"a.io\": the entry is new, and has no mirror");
    for (size_t i = 0; i < 3; i++)
        file_release(&now[i]);
    for (size_t i = 0; i < 2; i++)
        file_release(&then[i]);
}

static void drain_of_the_same_files_is_nothing(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct icsp_file file = file_of(CONF, "= no TOML, but the same");
    auto_changes changes = {0};

    (void)state;
    assert_true(icsp_compare((struct icsp_tree){&file, 1}, (struct icsp_tree){&file, 1}, NULL,
                             &changes, &err));
    assert_int_equal(changes.action, ICSP_ACTION_NOTHING);
    assert_int_equal(changes.count + changes.cause_count, 0);
    file_release(&file);
}

static void drain_refuses_a_file_it_cannot_read(void **state)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct icsp_file now = file_of(CONF, "\n= 5\n");
    struct icsp_file then = file_of(CONF, "");
    auto_changes changes = {0};

    (void)state;
    assert_false(icsp_compare((struct icsp_tree){&now, 1}, (struct icsp_tree){&then, 1}, NULL,
                              &changes, &err));
    assert_int_equal(err.code, MIR_E_FORMAT);
    assert_non_null(strstr(err.text, "the node's present file: " CONF ":2:1: "));
    file_release(&now);
    file_release(&then);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drain_follows_the_daemon_for_registries_conf),
        cmocka_unit_test(drain_knows_what_each_path_takes),
        cmocka_unit_test(drain_of_several_files_is_the_greatest),
        cmocka_unit_test(drain_of_the_same_files_is_nothing),
        cmocka_unit_test(drain_refuses_a_file_it_cannot_read),
    };

    return cmocka_run_group_tests_name("icsp/drain", tests, NULL, NULL);
}
