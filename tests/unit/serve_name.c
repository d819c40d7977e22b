/*
 * serve/name: what images of any bundle are called in the registry.
 */
#include "serve/name_priv.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "image/ref.h"

#define HEX16  "0123456789abcdef"
#define DIGEST "sha256:" HEX16 HEX16 HEX16 HEX16

struct row {
    const char *name;
    const char *path;
    const char *full, *repo, *tag; /* NULL: none */
};

static const struct row rows[] = {
    {"quay.io/a/b:1@" DIGEST, "x.tar", "quay.io/a/b", "a/b", "1"},
    {"quay.io/a/b@" DIGEST, "x.tar", "quay.io/a/b", "a/b", NULL},
    {"quay.io/a/b", "x.tar", "quay.io/a/b", "a/b", NULL},
    {"docker.io/busybox:1", "x.tar", "docker.io/library/busybox", "library/busybox", "1"},
    {"localhost:5000/a:1", "x.tar", "localhost-5000/a", "a", "1"},
    {"Quay.IO/a:1", "x.tar", "quay.io/a", "a", "1"},
    {"[::1]:5000/a:1", "x.tar", NULL, "a", "1"}, /* no way to write it as a path */
    {"library/busybox:1", "x.tar", NULL, "library/busybox", "1"},
    {"busybox:1", "x.tar", NULL, "busybox", "1"},
    {"busybox@" DIGEST, "x.tar", NULL, "busybox", NULL},
    {"a/b", "x.tar", NULL, "a/b", NULL},
    {"latest", "x.tar", NULL, "x", "latest"},
    {"v1.0", "/srv/layouts/My Images/", NULL, "my-images", "v1.0"},
    {NULL, "/srv/x.y_z.tar", NULL, "x.y_z", NULL},
    {NULL, "x.tar.001", NULL, "x", NULL},
    {NULL, "images-v1.2", NULL, "images-v1.2", NULL},
    {NULL, "a--b..c__d.oci", NULL, "a-b-c-d", NULL},
    {NULL, "__x__", NULL, "x", NULL},
    {NULL, "/", NULL, "images", NULL},
    {NULL, ".", NULL, "images", NULL},
    {NULL, "", NULL, "images", NULL},
    {NULL, "\xc3\xa9.tar", NULL, "images", NULL},
    {"", "x.tar", NULL, "x", NULL},
    {"Not A/Name", "x.tar", NULL, "x", NULL},
    {"../../etc/passwd", "x.tar", NULL, "x", NULL},
    {"quay.io/A/B:1", "x.tar", NULL, "x", NULL},
    {"a\nb", "x.tar", NULL, "x", NULL},
};

static bool is_equal(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (!a || strcmp(a, b) == 0);
}

static void names_become_repositories_and_tags(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        struct serve_name name;

        serve_name_init(row->name, row->path, &name);
        if (!is_equal(name.full, row->full) || !is_equal(name.repo, row->repo) ||
            !is_equal(name.tag, row->tag))
            fail_msg("%s of %s: full %s, repo %s, tag %s", row->name ? row->name : "none",
                     row->path, name.full ? name.full : "none", name.repo,
                     name.tag ? name.tag : "none");
        assert_true(img_is_repo(mir_span_of(name.repo)));
        serve_name_release(&name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_become_repositories_and_tags),
    };

    return cmocka_run_group_tests_name("serve/name", tests, NULL, NULL);
}
