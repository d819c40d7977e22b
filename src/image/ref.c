/*
 * Image references. One grammar for the command line, list files, bundles and cluster objects: what
 * is parsed here has a host, a repository path, and a tag or digest that registries accept.
 *
 * A reference is cut from the outside in: the digest after the first '@', the host before the first
 * '/', the tag after the first ':' of what remains. None of them may hold the byte that starts it.
 */
#include "image/ref.h"

#include "base/mem.h"
#include "base/num.h"
#include "image/text_priv.h"

#define HOST_MAX 255 /* a DNS name */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || is_digit(c);
}

static bool is_alnum(char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

/* ---- hosts ---- */

static bool is_port(struct mir_span text)
{
    uint64_t port;

    return text.len <= 5 && mir_parse_u64(text, 65535, &port) && port > 0;
}

/* Labels of letters, digits and inner '-', joined by single dots. */
static bool is_host_name(struct mir_span name)
{
    char before = '.';

    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (!is_alnum(c) && c != '-' && c != '.')
            return false;
        if ((c == '.' && !is_alnum(before)) || (c == '-' && before == '.'))
            return false;
        before = c;
    }
    return is_alnum(before);
}

static bool is_ipv6(struct mir_span inner)
{
    size_t colons = 0;

    for (size_t i = 0; i < inner.len; i++) {
        char c = inner.ptr[i];
        bool hex = is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');

        if (!hex && c != ':' && c != '.')
            return false;
        colons += c == ':';
    }
    return colons >= 2;
}

bool img_is_host(struct mir_span text)
{
    size_t at;

    if (text.len == 0 || text.len > HOST_MAX)
        return false;
    if (text.ptr[0] == '[') {
        if (!mir_span_find(text, ']', &at))
            return false;
        if (!is_ipv6(mir_span(text.ptr + 1, at - 1)))
            return false;
        if (at + 1 == text.len)
            return true;
        return text.ptr[at + 1] == ':' && is_port(mir_span_from(text, at + 2));
    }
    if (!mir_span_find(text, ':', &at))
        return is_host_name(text);
    return is_host_name(mir_span_first(text, at)) && is_port(mir_span_from(text, at + 1));
}

/* Does the part before the first '/' mean a host at all? "library/busybox" has none. */
static bool looks_like_host(struct mir_span text)
{
    size_t at;

    return mir_span_is(text, "localhost") || mir_span_find(text, '.', &at) ||
           mir_span_find(text, ':', &at);
}

/* ---- repositories and tags ---- */

struct trouble {
    size_t at; /* byte within the text */
    const char *what;
};

/* Between two runs of letters and digits stands one of: '.', '_', '__', or any number of '-'. */
static size_t separator_len(struct mir_span text, size_t at)
{
    size_t len = 0;

    if (text.ptr[at] == '.')
        return 1;
    if (text.ptr[at] == '_')
        return at + 1 < text.len && text.ptr[at + 1] == '_' ? 2 : 1;
    while (at + len < text.len && text.ptr[at + len] == '-')
        len++;
    return len;
}

static const char *name_trouble(struct mir_span text, size_t at)
{
    if (at == text.len)
        return "the path ends too early";
    if (text.ptr[at] >= 'A' && text.ptr[at] <= 'Z')
        return "upper-case letter in the path";
    if (text.ptr[at] == '/')
        return "empty path component, or one that ends in a separator";
    if (text.ptr[at] == '.' || text.ptr[at] == '_' || text.ptr[at] == '-')
        return "a separator has to stand alone, between letters or digits";
    return "character that a path cannot have";
}

/* Walks the grammar [a-z0-9]+(sep[a-z0-9]+)*(/...)*. On failure says where and why. */
static bool repo_scan(struct mir_span text, struct trouble *trouble)
{
    size_t at = 0;

    for (;;) {
        size_t start = at;

        while (at < text.len && is_lower_alnum(text.ptr[at]))
            at++;
        if (at == start)
            break;
        if (at == text.len)
            return true;
        if (text.ptr[at] == '/')
            at++;
        else
            at += separator_len(text, at);
    }
    *trouble = (struct trouble){at, name_trouble(text, at)};
    return false;
}

bool img_is_repo(struct mir_span text)
{
    struct trouble ignored;

    return repo_scan(text, &ignored);
}

static bool tag_scan(struct mir_span text, struct trouble *trouble)
{
    *trouble = (struct trouble){0, "the tag is empty"};
    if (text.len == 0)
        return false;
    *trouble = (struct trouble){IMG_TAG_MAX, "the tag is longer than 128 bytes"};
    if (text.len > IMG_TAG_MAX)
        return false;
    *trouble = (struct trouble){0, "character that a tag cannot have"};
    for (; trouble->at < text.len; trouble->at++) {
        char c = text.ptr[trouble->at];

        if (!is_alnum(c) && c != '_' && (trouble->at == 0 || (c != '.' && c != '-')))
            return false;
    }
    return true;
}

bool img_is_tag(struct mir_span text)
{
    struct trouble ignored;

    return tag_scan(text, &ignored);
}

/* ---- references ---- */

/* The pieces of a reference, each borrowed from its text. */
struct pieces {
    struct mir_span whole, host, repo, tag, digest;
    bool has_tag, has_digest;
};

static bool ref_fail(const struct pieces *pieces, struct mir_span part, struct trouble trouble,
                     struct mir_error *err)
{
    size_t offset = (size_t)(part.ptr - pieces->whole.ptr) + trouble.at;

    return mir_fail(err, MIR_E_FORMAT, "reference '%s': byte %zu: %s", img_show(pieces->whole).text,
                    offset, trouble.what);
}

static bool no_host(const struct pieces *pieces, struct mir_error *err)
{
    struct trouble trouble = {0, "no registry host in front of the path"};

    (void)ref_fail(pieces, pieces->whole, trouble, err);
    return mir_hint(err, "write the host out, for example docker.io/library/busybox");
}

/* p->whole is set; fills the other pieces. */
static bool ref_cut(struct pieces *p, struct mir_error *err)
{
    struct mir_span rest = p->whole;
    size_t at;

    if (mir_span_find(rest, '@', &at)) {
        p->has_digest = true;
        p->digest = mir_span_from(rest, at + 1);
        rest = mir_span_first(rest, at);
    }
    if (!mir_span_find(rest, '/', &at))
        return no_host(p, err);
    p->host = mir_span_first(rest, at);
    if (!looks_like_host(p->host))
        return no_host(p, err);
    rest = mir_span_from(rest, at + 1);
    if (mir_span_find(rest, ':', &at)) {
        p->has_tag = true;
        p->tag = mir_span_from(rest, at + 1);
        rest = mir_span_first(rest, at);
    }
    p->repo = rest;
    return true;
}

static bool ref_check(const struct pieces *p, struct img_digest *digest, struct mir_error *err)
{
    struct trouble trouble = {0, "not a host name with an optional port"};

    if (!img_is_host(p->host))
        return ref_fail(p, p->host, trouble, err);
    if (!repo_scan(p->repo, &trouble))
        return ref_fail(p, p->repo, trouble, err);
    if (p->has_tag && !tag_scan(p->tag, &trouble))
        return ref_fail(p, p->tag, trouble, err);
    if (p->has_digest && !img_digest_parse(p->digest, digest, err))
        return mir_context(err, "reference '%s': byte %zu", img_show(p->whole).text,
                           (size_t)(p->digest.ptr - p->whole.ptr));
    return true;
}

/* Docker Hub keeps its official images below "library/"; "docker.io/busybox" is short for that. */
static char *repo_of(const struct pieces *p)
{
    size_t at;
    bool is_short = mir_span_is(p->host, "docker.io") && !mir_span_find(p->repo, '/', &at);

    return mir_format("%s%.*s", is_short ? "library/" : "", MIR_SPAN_ARG(p->repo));
}

bool img_ref_parse(struct mir_span text, struct img_ref *out, struct mir_error *err)
{
    struct img_digest digest = {.text = ""};
    struct pieces p = {.whole = text};

    if (text.len > IMG_REF_MAX)
        return mir_fail(err, MIR_E_LIMIT, "reference '%s' has %zu bytes; at most %d are allowed",
                        img_show(text).text, text.len, IMG_REF_MAX);
    if (!ref_cut(&p, err) || !ref_check(&p, &digest, err))
        return false;
    *out = (struct img_ref){
        .host = mir_strndup(p.host.ptr, p.host.len),
        .repo = repo_of(&p),
        .tag = p.has_tag ? mir_strndup(p.tag.ptr, p.tag.len) : NULL,
        .has_digest = p.has_digest,
        .digest = digest,
    };
    return true;
}

void img_ref_release(struct img_ref *ref)
{
    free(ref->host);
    free(ref->repo);
    free(ref->tag);
    *ref = (struct img_ref){.host = NULL};
}

void img_ref_copy(const struct img_ref *ref, struct img_ref *out)
{
    *out = (struct img_ref){
        .host = mir_strdup(ref->host),
        .repo = mir_strdup(ref->repo),
        .tag = mir_strdup(ref->tag),
        .has_digest = ref->has_digest,
        .digest = ref->digest,
    };
}

char *img_ref_format(const struct img_ref *ref)
{
    return mir_format("%s/%s%s%s%s%s", ref->host, ref->repo, ref->tag ? ":" : "",
                      ref->tag ? ref->tag : "", ref->has_digest ? "@" : "",
                      ref->has_digest ? ref->digest.text : "");
}

char *img_ref_format_repo(const struct img_ref *ref)
{
    return mir_format("%s/%s", ref->host, ref->repo);
}
