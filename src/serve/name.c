/*
 * Names of images as repositories and tags. Bundles of ours carry full references; archives of
 * other tools carry full names, short ones, a bare tag, or nothing.
 */
#include "serve/name_priv.h"

#include <ctype.h>

#include "base/buf.h"
#include "base/mem.h"
#include "image/ref.h"

#define REPO_FALLBACK "images"

/* A host as a path component, the way "copy --keep-host" writes it. */
static char *host_repo(const struct img_ref *ref)
{
    auto_buf path;

    mir_buf_init(&path, IMG_REF_MAX);
    for (const char *c = ref->host; *c; c++) {
        if (isalnum((unsigned char)*c) || *c == '.')
            mir_buf_char(&path, (char)tolower((unsigned char)*c));
        else if (*c != '[' && *c != ']')
            mir_buf_char(&path, '-');
    }
    mir_buf_printf(&path, "/%s", ref->repo);
    if (path.overflow || !img_is_repo(mir_buf_span(&path)))
        return NULL;
    return mir_buf_take(&path);
}

static struct mir_span base_name(const char *path)
{
    struct mir_span base = mir_span_of(path);
    size_t slash;

    while (base.len > 0 && base.ptr[base.len - 1] == '/')
        base.len--;
    if (mir_span_find_last(base, '/', &slash))
        base = mir_span_from(base, slash + 1);
    return base;
}

/* Volumes end in ".001"; archives in ".tar" and its kin. */
static struct mir_span without_extensions(struct mir_span base)
{
    static const char *const extensions[] = {".001", ".tar", ".oci", ".bundle"};

    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
        if (mir_span_ends_with(base, extensions[i]))
            base = mir_span_first(base, base.len - strlen(extensions[i]));
    }
    return base;
}

/* Lower case; everything between letters and digits becomes one '-', but a '.' or '_' alone stays.
 */
static char *repo_of_path(const char *path)
{
    struct mir_span base = without_extensions(base_name(path));
    auto_buf repo;
    size_t skipped = 0;

    mir_buf_init(&repo, IMG_TAG_MAX);
    for (size_t i = 0; i < base.len; i++) {
        unsigned char c = (unsigned char)base.ptr[i];

        if (!isalnum(c)) {
            skipped++;
            continue;
        }
        if (skipped > 0 && repo.len > 0) {
            char before = base.ptr[i - 1];

            mir_buf_char(&repo, skipped == 1 && (before == '.' || before == '_') ? before : '-');
        }
        mir_buf_char(&repo, (char)tolower(c));
        skipped = 0;
    }
    if (!img_is_repo(mir_buf_span(&repo)))
        return mir_strdup(REPO_FALLBACK);
    return mir_buf_take(&repo);
}

/* "repo[:tag][@digest]" without a host, as docker and podman users write it. */
static bool parse_short(const char *name, struct img_ref *out)
{
    auto_free char *text = mir_format("localhost/%s", name);
    struct mir_error ignored = MIR_ERROR_INIT; /* it is another kind of name then */

    return img_ref_parse(mir_span_of(text), out, &ignored);
}

void serve_name_init(const char *name, const char *path, struct serve_name *out)
{
    struct mir_error ignored = MIR_ERROR_INIT; /* it is another kind of name then */
    auto_ref ref = {.host = NULL};

    *out = (struct serve_name){.full = NULL};
    if (name && img_ref_parse(mir_span_of(name), &ref, &ignored)) {
        out->full = host_repo(&ref);
    } else if (name && img_is_tag(mir_span_of(name))) {
        out->repo = repo_of_path(path);
        out->tag = mir_strdup(name);
        return;
    } else if (!name || !parse_short(name, &ref)) {
        out->repo = repo_of_path(path);
        return;
    }
    out->repo = mir_steal(&ref.repo);
    out->tag = mir_steal(&ref.tag);
}

void serve_name_release(struct serve_name *name)
{
    free(name->full);
    free(name->repo);
    free(name->tag);
    *name = (struct serve_name){.full = NULL};
}
