/*
 * The landing rule: prefix, source host on request, source path, depth, tag. Used by the plan of a
 * copy and by emit-icsp, which must agree to the letter.
 */
#include "copy/landing.h"

#include <ctype.h>

#include "base/buf.h"
#include "base/mem.h"

#define DIGEST_TAG_HEX 16

bool copy_landing_parse_prefix(const char *text, struct copy_landing *out, struct mir_error *err)
{
    struct mir_span rest = mir_span_of(text);
    struct mir_span path = {0};
    size_t slash;

    while (rest.len > 0 && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    if (mir_span_find(rest, '/', &slash)) {
        path = mir_span_from(rest, slash + 1);
        rest = mir_span_first(rest, slash);
    }
    if (!img_is_host(rest))
        return mir_fail(err, MIR_E_USAGE, "\"%s\": \"%.*s\" is not a registry host", text,
                        MIR_SPAN_ARG(rest));
    if (path.len > 0 && !img_is_repo(path)) {
        (void)mir_fail(err, MIR_E_USAGE, "\"%s\": \"%.*s\" cannot be a prefix", text,
                       MIR_SPAN_ARG(path));
        return mir_hint(err, "a prefix is lower-case path components without tag or digest; a tag "
                             "names one image and goes with one source");
    }
    out->host = mir_strndup(rest.ptr, rest.len);
    out->path = mir_strndup(path.ptr, path.len);
    out->tag = NULL;
    out->exact = false;
    return true;
}

bool copy_landing_parse_exact(const char *text, struct copy_landing *out, struct mir_error *err)
{
    auto_ref ref = {0};

    if (!img_ref_parse(mir_span_of(text), &ref, err)) {
        err->code = MIR_E_USAGE;
        return mir_context(err, "destination");
    }
    if (ref.has_digest) {
        (void)mir_fail(err, MIR_E_USAGE, "destination \"%s\" carries a digest", text);
        return mir_hint(err, "the digest is that of the source; name a tag, or nothing");
    }
    out->host = mir_steal(&ref.host);
    out->path = mir_steal(&ref.repo);
    out->tag = mir_steal(&ref.tag);
    out->exact = true;
    return true;
}

void copy_landing_release(struct copy_landing *landing)
{
    free(landing->host);
    free(landing->path);
    free(landing->tag);
    *landing = (struct copy_landing){0};
}

/* A host as a path component: lower case, and '-' for the colon of a port and brackets. */
static void add_host(struct mir_buf *path, const char *host)
{
    for (const char *c = host; *c; c++) {
        if (isalnum((unsigned char)*c) || *c == '.')
            mir_buf_char(path, (char)tolower((unsigned char)*c));
        else if (*c != '[' && *c != ']')
            mir_buf_char(path, '-');
    }
}

static void add_component_slash(struct mir_buf *path)
{
    if (path->len > 0)
        mir_buf_char(path, '/');
}

/* Keep the first depth - 1 slashes; the others become '-'. */
static void limit_depth(char *path, unsigned depth)
{
    unsigned slashes = 0;

    if (depth == 0)
        return;
    for (char *c = path; *c; c++)
        if (*c == '/' && ++slashes >= depth)
            *c = '-';
}

static char *tag_of(const struct copy_landing *landing, const struct img_ref *source)
{
    if (landing->tag)
        return mir_strdup(landing->tag);
    if (source->tag)
        return mir_strdup(source->tag);
    if (landing->digest_tags && source->has_digest)
        return mir_format("pinned-%.*s", DIGEST_TAG_HEX, img_digest_hex(&source->digest));
    return NULL;
}

bool copy_landing_of(const struct copy_landing *landing, const struct img_ref *source,
                     struct img_ref *out, struct mir_error *err)
{
    auto_buf path;

    mir_buf_init(&path, IMG_REF_MAX);
    mir_buf_text(&path, landing->path);
    if (!landing->exact) {
        if (landing->keep_host) {
            add_component_slash(&path);
            add_host(&path, source->host);
        }
        add_component_slash(&path);
        mir_buf_text(&path, source->repo);
        limit_depth(path.ptr, landing->max_depth);
    }
    if (!mir_buf_check(&path, "repository name", err) || !img_is_repo(mir_buf_span(&path)))
        return mir_fail(err, MIR_E_USAGE, "%s/%s would land on \"%s\", which is no repository name",
                        source->host, source->repo, path.ptr);
    *out = (struct img_ref){.host = mir_strdup(landing->host),
                            .repo = mir_buf_take(&path),
                            .tag = tag_of(landing, source),
                            .has_digest = source->has_digest,
                            .digest = source->digest};
    return true;
}
