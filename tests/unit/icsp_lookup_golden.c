/*
 * Look-ups of the container library itself: every row of tests/golden/resolve (written by hand, one
 * case a rule), and where they are at hand beside the checkout those taken from the library.
 *
 * A case is a folder with registries.conf, perhaps policy.json and drop-ins (*.conf, other names),
 * and expect.jsonl: one JSON object a line, which says what comes of one image.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <unistd.h>

#include <jansson.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "icsp/lookup.h"

#define OWN     "tests/golden/resolve"
#define ROW_MAX 65536

/* What is read for one case. A file that is refused stays away, and says so. */
struct case_files {
    struct icsp_lookup *lookup;
    bool is_refused; /* registries.conf, or a drop-in */
    bool has_policy;
};

static bool read_text(const char *path, char **text)
{
    struct mir_error err = MIR_ERROR_INIT;
    size_t len;

    return mir_file_read(path, ICSP_CONF_MAX, text, &len, &err);
}

static void open_case(const char *conf, const char *policy, const char *folder,
                      struct case_files *out)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_free char *text = NULL;

    *out = (struct case_files){.lookup = icsp_lookup_new()};
    out->is_refused = !icsp_lookup_load_registries(out->lookup, conf, folder, &err);
    if (out->is_refused && !strstr(err.text, ".conf"))
        fail_msg("%s: refused without a name: %s", conf, err.text);
    mir_error_clear(&err);
    if (policy && read_text(policy, &text))
        out->has_policy = icsp_lookup_set_policy(out->lookup, mir_span_of(text), policy, &err);
}

/* ---- a row, in the shape of the expectation ---- */

static json_t *places_json(const struct icsp_route *route)
{
    json_t *list = json_array();

    for (size_t i = 0; i < route->place_count; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:b, s:b}", "reference", route->places[i].reference, "insecure",
                            route->places[i].insecure, "blocked", route->places[i].blocked));
    return list;
}

static json_t *look(const struct case_files *files, const char *image)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct icsp_judgement judgement;
    auto_route route = {0};
    json_t *row = json_pack("{s:s}", "image", image);

    if (files->is_refused) {
        json_object_set_new(row, "error", json_string("config"));
        return row;
    }
    if (!icsp_lookup_find(files->lookup, mir_span_of(image), &route, &err)) {
        json_object_set_new(row, "error", json_string("reference"));
        return row;
    }
    if (route.has_entry)
        json_object_set_new(row, "prefix", json_string(route.entry.prefix));
    if (route.trouble.code == MIR_OK)
        json_object_set_new(row, "places", places_json(&route));
    else
        json_object_set_new(row, "error", json_string("rewrite"));
    assert_true(icsp_lookup_judge_image(files->lookup, mir_span_of(image), &judgement, &err));
    if (files->has_policy)
        json_object_set_new(row, "policy", json_string(icsp_verdict_name(judgement.verdict)));
    return row;
}

/* Only the word before the colon counts; what the library does not judge is not compared. */
static void narrow(json_t *expected, json_t *got)
{
    const char *error = json_string_value(json_object_get(expected, "error"));
    const char *policy = json_string_value(json_object_get(expected, "policy"));

    if (error)
        json_object_set_new(expected, "error", json_stringn(error, strcspn(error, ":")));
    if (policy && strcmp(policy, "unsupported reference") == 0) {
        json_object_del(expected, "policy");
        json_object_del(got, "policy");
    }
}

static void check_row(const struct case_files *files, const char *name, struct mir_span line)
{
    struct mir_error err = MIR_ERROR_INIT;
    auto_json *expected = NULL;
    auto_json *got = NULL;

    if (!mir_json_parse(line, name, &expected, &err))
        fail_msg("%s", err.text);
    got = look(files, json_string_value(json_object_get(expected, "image")));
    narrow(expected, got);
    if (!json_equal(expected, got)) {
        auto_free char *want = json_dumps(expected, JSON_SORT_KEYS);
        auto_free char *have = json_dumps(got, JSON_SORT_KEYS);

        fail_msg("%s:\nwant %s\ngot  %s", name, want, have);
    }
}

static size_t check_rows(const struct case_files *files, const char *path)
{
    auto_free char *text = NULL;
    struct mir_span rest, line;
    size_t count = 0;

    if (!read_text(path, &text))
        fail_msg("%s cannot be read", path);
    rest = mir_span_of(text);
    while (mir_span_next(&rest, '\n', &line)) {
        if (line.len == 0)
            continue;
        check_row(files, path, line);
        count++;
    }
    return count;
}

/* ---- all cases of a folder ---- */

static size_t check_case(const char *folder, const char *drop_ins)
{
    auto_free char *conf = mir_format("%s/registries.conf", folder);
    auto_free char *policy = mir_format("%s/policy.json", folder);
    auto_free char *rows = mir_format("%s/expect.jsonl", folder);
    struct case_files files;
    size_t count;

    open_case(conf, policy, drop_ins, &files);
    count = check_rows(&files, rows);
    icsp_lookup_free(files.lookup);
    return count;
}

static size_t check_node_case(const char *root, const char *name)
{
    size_t len = strlen(name) - strlen(".jsonl");
    auto_free char *conf =
        mir_format("%s/node-config/%.*s/expect/registries.conf", root, (int)len, name);
    auto_free char *policy =
        mir_format("%s/node-config/%.*s/expect/policy.json", root, (int)len, name);
    auto_free char *rows = mir_format("%s/resolve/node-config/%s", root, name);
    struct case_files files;
    size_t count;

    open_case(conf, policy, "", &files);
    count = check_rows(&files, rows);
    icsp_lookup_free(files.lookup);
    return count;
}

static void lookup_does_what_our_cases_say(void **state)
{
    DIR *folder = opendir(OWN);
    const struct dirent *entry;
    size_t rows = 0;

    (void)state;
    if (!folder)
        fail_msg("%s is not here: run this in the root of the source", OWN);
    while ((entry = readdir(folder)) != NULL) {
        auto_free char *path = mir_format("%s/%s", OWN, entry->d_name);
        auto_free char *drop_ins = mir_format("%s/registries.conf.d", path);

        if (entry->d_name[0] != '.')
            rows += check_case(path, drop_ins);
    }
    closedir(folder);
    assert_true(rows >= 100);
}

static void lookup_agrees_with_the_library_on_every_row(void **state)
{
    const char *given = getenv("MIRROR_GOLDEN");
    const char *root = given ? given : "../shared/golden";
    auto_free char *nodes = mir_format("%s/resolve/node-config", root);
    auto_free char *random = mir_format("%s/resolve/random", root);
    const struct dirent *entry;
    size_t rows = 0;
    DIR *folder;

    (void)state;
    if (access(nodes, R_OK) != 0) {
        print_message("%s is not here: those rows are left out\n", nodes);
        skip();
    }
    for (folder = opendir(nodes); (entry = readdir(folder)) != NULL;)
        if (mir_ends_with(entry->d_name, ".jsonl"))
            rows += check_node_case(root, entry->d_name);
    closedir(folder);
    for (folder = opendir(random); (entry = readdir(folder)) != NULL;) {
        auto_free char *path = mir_format("%s/%s", random, entry->d_name);

        if (entry->d_name[0] != '.')
            rows += check_case(path, "");
    }
    closedir(folder);
    print_message("%zu rows\n", rows);
    assert_true(rows >= 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookup_does_what_our_cases_say),
        cmocka_unit_test(lookup_agrees_with_the_library_on_every_row),
    };

    return cmocka_run_group_tests_name("icsp/lookup golden", tests, NULL, NULL);
}
