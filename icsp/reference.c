/*
 * References by the rules of Docker's reference grammar, as the container library applies them.
 */
#include "icsp/reference_priv.h"

#include "base/mem.h"

#define NAME_MAX_BYTES      255
#define TAG_MAX_BYTES       128
#define REFERENCE_MAX_BYTES 1024

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_lower_hex(struct mir_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_digit(text.ptr[i]) && (text.ptr[i] < 'a' || text.ptr[i] > 'f'))
            return false;
    return true;
}

static bool is_digest(struct mir_span digest)
{
    static const struct {
        const char *algo;
        size_t hex;
    } algos[] = {{"sha256:", 64}, {"sha384:", 96}, {"sha512:", 128}};

    for (size_t i = 0; i < sizeof(algos) / sizeof(algos[0]); i++) {
        size_t skip = strlen(algos[i].algo);

        if (mir_span_starts_with(digest, algos[i].algo))
            return digest.len == skip + algos[i].hex && is_lower_hex(mir_span_from(digest, skip));
    }
    return false;
}

static bool is_tag(struct mir_span tag)
{
    if (tag.len == 0 || tag.len > TAG_MAX_BYTES)
        return false;
    for (size_t i = 0; i < tag.len; i++) {
        char c = tag.ptr[i];

        if (!is_digit(c) && !is_letter(c) && c != '_' && (i == 0 || (c != '.' && c != '-')))
            return false;
    }
    return true;
}

static bool is_domain_label(struct mir_span label)
{
    if (label.len == 0 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_digit(label.ptr[i]) && !is_letter(label.ptr[i]) && label.ptr[i] != '-')
            return false;
    return true;
}

static bool is_ipv6(struct mir_span host)
{
    if (host.len < 3 || host.ptr[0] != '[' || host.ptr[host.len - 1] != ']')
        return false;
    for (size_t i = 1; i + 1 < host.len; i++) {
        char c = host.ptr[i];

        if (!is_digit(c) && c != ':' && (c < 'a' || c > 'f') && (c < 'A' || c > 'F'))
            return false;
    }
    return true;
}

/* Without its port. */
static bool is_domain(struct mir_span host)
{
    size_t at;

    if (host.len > 0 && host.ptr[0] == '[')
        return is_ipv6(host);
    for (; mir_span_find(host, '.', &at); host = mir_span_from(host, at + 1))
        if (!is_domain_label(mir_span_first(host, at)))
            return false;
    return is_domain_label(host);
}

static bool is_domain_and_port(struct mir_span host)
{
    struct mir_span port;
    size_t at;

    if (host.len > 0 && host.ptr[host.len - 1] == ']')
        return is_domain(host);
    if (!mir_span_find_last(host, ':', &at))
        return is_domain(host);
    port = mir_span_from(host, at + 1);
    for (size_t i = 0; i < port.len; i++)
        if (!is_digit(port.ptr[i]))
            return false;
    return port.len > 0 && is_domain(mir_span_first(host, at));
}

/* [a-z0-9]+ joined by one '.', one or two '_', or any number of '-'. */
static bool is_component(struct mir_span text)
{
    size_t at = 0;

    for (;;) {
        size_t from = at;
        size_t gap;

        while (at < text.len &&
               (is_digit(text.ptr[at]) || (is_letter(text.ptr[at]) && text.ptr[at] >= 'a')))
            at++;
        if (at == from)
            return false;
        if (at == text.len)
            return true;
        gap = at;
        while (at < text.len && text.ptr[at] == text.ptr[gap] && strchr("._-", text.ptr[gap]))
            at++;
        if (at == gap || (text.ptr[gap] == '.' && at - gap > 1) ||
            (text.ptr[gap] == '_' && at - gap > 2))
            return false;
    }
}

static bool is_path(struct mir_span path)
{
    size_t at;

    for (; mir_span_find(path, '/', &at); path = mir_span_from(path, at + 1))
        if (!is_component(mir_span_first(path, at)))
            return false;
    return is_component(path);
}

/* Cut tag and digest off; false when one of them is malformed. */
static bool split(struct mir_span text, struct icsp_reference *out)
{
    struct mir_span name = text;
    size_t at;
    size_t slash;

    *out = (struct icsp_reference){.text = text};
    if (mir_span_find(name, '@', &at)) {
        out->digest = mir_span_from(name, at + 1);
        name = mir_span_first(name, at);
        if (!is_digest(out->digest))
            return false;
    }
    if (mir_span_find_last(name, ':', &at) &&
        (!mir_span_find_last(name, '/', &slash) || slash < at)) {
        out->tag = mir_span_from(name, at + 1);
        name = mir_span_first(name, at);
        if (!is_tag(out->tag))
            return false;
    }
    out->repo = name;
    return name.len > 0;
}

/* Is the part before the first '/' a host, or already a part of the path? */
static bool names_host(struct mir_span first)
{
    size_t at;

    return mir_span_find(first, '.', &at) || mir_span_find(first, ':', &at) ||
           mir_span_is(first, "localhost");
}

bool icsp_reference_parse(struct mir_span text, struct icsp_reference *out)
{
    struct icsp_reference ref;
    struct mir_span host;
    struct mir_span path;
    size_t at;

    if (!split(text, &ref) || ref.repo.len > NAME_MAX_BYTES || !mir_span_find(ref.repo, '/', &at))
        return false;
    host = mir_span_first(ref.repo, at);
    path = mir_span_from(ref.repo, at + 1);
    if (!names_host(host) || !is_domain_and_port(host) || !is_path(path))
        return false;
    if (mir_span_is(host, "index.docker.io"))
        return false;
    if (mir_span_is(host, "docker.io") && !mir_span_find(path, '/', &at))
        return false;
    *out = ref;
    return true;
}

bool icsp_reference_is_any(struct mir_span text)
{
    struct icsp_reference ref;
    struct mir_span host;
    size_t at;

    if (text.len == 64 && is_lower_hex(text))
        return false;
    if (!split(text, &ref) || ref.repo.len > NAME_MAX_BYTES)
        return false;
    if (!mir_span_find(ref.repo, '/', &at))
        return is_path(ref.repo);
    host = mir_span_first(ref.repo, at);
    if (!names_host(host))
        return is_path(ref.repo);
    return is_domain_and_port(host) && is_path(mir_span_from(ref.repo, at + 1));
}

bool icsp_reference_is_host(struct mir_span text)
{
    return is_domain_and_port(text);
}

bool icsp_reference_is_plain(struct mir_span text, bool has_host)
{
    struct icsp_reference ref;
    size_t at;

    if (!icsp_reference_is_any(text) || !split(text, &ref) || ref.tag.len > 0 || ref.digest.len > 0)
        return false;
    return has_host ==
           (mir_span_find(ref.repo, '/', &at) && names_host(mir_span_first(ref.repo, at)));
}

/* host/path with the host written out, and Docker Hub's own images below "library/". */
static char *full_name(struct mir_span name)
{
    static const char hub[] = "docker.io";
    struct mir_span host = mir_span_of(hub);
    struct mir_span path = name;
    size_t at;

    if (mir_span_find(name, '/', &at) && names_host(mir_span_first(name, at))) {
        host = mir_span_first(name, at);
        path = mir_span_from(name, at + 1);
    }
    if (mir_span_is(host, "index.docker.io"))
        host = mir_span_of(hub);
    return mir_format("%.*s/%s%.*s", MIR_SPAN_ARG(host),
                      mir_span_is(host, hub) && !mir_span_find(path, '/', &at) ? "library/" : "",
                      MIR_SPAN_ARG(path));
}

bool icsp_reference_normalise(struct mir_span given, char **text, struct icsp_reference *out)
{
    struct icsp_reference ref;
    auto_free char *name = NULL;
    auto_free char *whole = NULL;

    if (given.len > REFERENCE_MAX_BYTES || !icsp_reference_is_any(given) || !split(given, &ref))
        return false;
    name = full_name(ref.repo);
    whole = mir_format("%s%s%.*s%s%.*s", name, ref.tag.len > 0 ? ":" : "", MIR_SPAN_ARG(ref.tag),
                       ref.digest.len > 0 ? "@" : "", MIR_SPAN_ARG(ref.digest));
    if (ref.tag.len == 0 && ref.digest.len == 0) {
        char *tagged = mir_format("%s:latest", whole);

        free(whole);
        whole = tagged;
    }
    if (!icsp_reference_parse(mir_span_of(whole), out))
        return false;
    *text = mir_steal(&whole);
    return true;
}
