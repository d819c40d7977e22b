/*
 * The release guard: the cluster's own image stays reachable.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "icsp/guard_priv.h"

#define DIGEST  "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PAYLOAD "quay.io/okd/scos-release" DIGEST

struct row {
    const char *label;
    const char *release; /* NULL: none */
    const char *blocked; /* separated by blanks */
    const char *allowed;
    const char *mirror; /* of quay.io/okd; NULL: none */
    const char *result; /* "BLOCKED | POLICY BLOCKED | ALLOWED" */
    unsigned warnings;
};

static void split(struct icsp_list *list, char *text)
{
    char *save = NULL;

    for (char *at = strtok_r(text, " ", &save); at; at = strtok_r(NULL, " ", &save))
        icsp_list_add(list, at);
}

static void add_list(struct mir_buf *text, const struct icsp_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        mir_buf_printf(text, "%s ", list->items[i]);
}

static char *guarded_text(const struct icsp_guarded *guarded)
{
    struct mir_buf text;

    mir_buf_init(&text, 4096);
    add_list(&text, &guarded->blocked);
    mir_buf_text(&text, "| ");
    add_list(&text, &guarded->policy_blocked);
    mir_buf_text(&text, "| ");
    add_list(&text, &guarded->allowed);
    return mir_buf_take(&text);
}

static void check_row(const struct row *row)
{
    auto_free char *blocked = mir_strdup(row->blocked);
    auto_free char *allowed = mir_strdup(row->allowed);
    struct icsp_image_spec image = {0};
    struct icsp_set set = {.source = "quay.io/okd"};
    const struct icsp_set *sets[] = {&set};
    struct mir_error err = MIR_ERROR_INIT;
    auto_merged digest;
    auto_guarded guarded = {0};
    auto_findings findings = {0};
    auto_free char *got = NULL;

    split(&image.blocked, blocked);
    split(&image.allowed, allowed);
    if (row->mirror)
        icsp_list_add(&set.mirrors, row->mirror);
    icsp_merge(sets, row->mirror ? 1 : 0, &digest);
    if (!icsp_guard(&icsp_generation_current, &image, row->release, &digest, &guarded, &findings,
                    &err))
        fail_msg("%s: %s", row->label, err.text);
    got = guarded_text(&guarded);
    if (strcmp(got, row->result) != 0)
        fail_msg("%s: got %s", row->label, got);
    if (findings.count != row->warnings)
        fail_msg("%s: %zu warnings", row->label, findings.count);
    icsp_list_release(&image.blocked);
    icsp_list_release(&image.allowed);
    icsp_list_release(&set.mirrors);
}

static void guard_distributes_blocked_entries(void **state)
{
    static const struct row rows[] = {
        {"no release image", NULL, "quay.io", "a.io", NULL, "quay.io | quay.io | a.io ", 0},
        {"others pass", PAYLOAD, "b.io *.c.io", "a.io", NULL, "b.io *.c.io | b.io *.c.io | a.io ",
         0},
        {"the payload's is left out", PAYLOAD, "b.io quay.io", "", NULL, "b.io | b.io | ", 1},
        {"each of them", PAYLOAD, "quay.io quay.io/okd", "", NULL, "| | ", 2},
        {"with a mirror it stays", PAYLOAD, "quay.io", "", "m.io/okd",
         "quay.io | quay.io | quay.io/okd/scos-release ", 0},
        {"the payload itself is not blocked by policy", PAYLOAD, "quay.io/okd/scos-release", "",
         "m.io/okd", "quay.io/okd/scos-release | | quay.io/okd/scos-release ", 0},
        {"twice, allowed twice, then the list", PAYLOAD, "quay.io quay.io/okd", "a.io", "m.io/okd",
         "quay.io quay.io/okd | quay.io quay.io/okd | quay.io/okd/scos-release "
         "quay.io/okd/scos-release a.io ",
         0},
        {"the mirror is blocked too", PAYLOAD, "quay.io m.io", "", "m.io/okd", "m.io | m.io | ", 1},
        {"a mirror by digest does not help a tag", "quay.io/okd/scos-release:1", "quay.io", "",
         "m.io/okd", "| | ", 1},
        {"the check fails: all lists empty", PAYLOAD, "b.io quay.io", "a.io", "m", "| | ", 1},
        {"it is not made when nothing blocks the payload", PAYLOAD, "b.io", "a.io", "m",
         "b.io | b.io | a.io ", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_row(&rows[i]);
}

static void guard_rejects_a_release_image_that_is_not_canonical(void **state)
{
    static const char *const releases[] = {"", "okd:latest", "quay.io", "docker.io/okd:1",
                                           "quay.io/okd@sha256:12"};

    (void)state;
    for (size_t i = 0; i < sizeof(releases) / sizeof(releases[0]); i++) {
        struct icsp_image_spec image = {0};
        struct icsp_merged digest = {0};
        struct mir_error err = MIR_ERROR_INIT;
        auto_guarded guarded = {0};
        auto_findings findings = {0};

        assert_false(icsp_guard(&icsp_generation_current, &image, releases[i], &digest, &guarded,
                                &findings, &err));
        assert_int_equal(err.code, MIR_E_FORMAT);
        assert_int_equal(findings.count, 1);
        assert_int_equal(findings.items[0].severity, ICSP_ERROR);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guard_distributes_blocked_entries),
        cmocka_unit_test(guard_rejects_a_release_image_that_is_not_canonical),
    };

    return cmocka_run_group_tests_name("icsp/guard", tests, NULL, NULL);
}
