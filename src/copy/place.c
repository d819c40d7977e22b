/*
 * Reading places. Called by the plan for sources and destination, and by commands that open a
 * bundle. What stands after docker:// is not judged here: a source is a reference, a destination
 * may be a prefix.
 */
#include "copy/place.h"

#include "base/mem.h"

struct transport {
    const char *prefix;
    enum copy_place_kind kind;
    enum bundle_form form;
};

static const struct transport transports[] = {
    {"docker://", COPY_PLACE_DOCKER, BUNDLE_FORM_TAR},
    {"bundle:", COPY_PLACE_LAYOUT, BUNDLE_FORM_TAR},
    {"oci-archive:", COPY_PLACE_LAYOUT, BUNDLE_FORM_TAR},
    {"oci:", COPY_PLACE_LAYOUT, BUNDLE_FORM_DIR},
};

static const struct transport *transport_of(struct mir_span text)
{
    for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++)
        if (mir_span_starts_with(text, transports[i].prefix))
            return &transports[i];
    return NULL;
}

/* PATH[:REF]: the path ends at the first colon. A bundle called "-" comes or goes by a pipe. */
static bool parse_layout(struct mir_span rest, struct copy_place *out, struct mir_error *err)
{
    size_t colon;
    bool has_ref = mir_span_find(rest, ':', &colon);
    struct mir_span path = has_ref ? mir_span_first(rest, colon) : rest;

    if (path.len == 0)
        return mir_fail(err, MIR_E_USAGE, "\"%s\" names no file", out->text);
    if (has_ref && colon + 1 == rest.len)
        return mir_fail(err, MIR_E_USAGE, "\"%s\" ends in a colon without a reference", out->text);
    out->path = mir_strndup(path.ptr, path.len);
    if (out->form == BUNDLE_FORM_TAR && mir_span_is(path, "-"))
        out->form = BUNDLE_FORM_PIPE;
    if (has_ref)
        out->ref = mir_strndup(rest.ptr + colon + 1, rest.len - colon - 1);
    return true;
}

static bool parse_into(struct mir_span text, bool bare_is_docker, struct copy_place *out,
                       struct mir_error *err)
{
    const struct transport *transport = transport_of(text);
    struct mir_span rest;

    if (!transport && !bare_is_docker) {
        (void)mir_fail(err, MIR_E_USAGE, "\"%s\" has no transport in front", out->text);
        return mir_hint(err, "write docker://NAME, bundle:FILE[:REF] or oci:DIR[:REF]");
    }
    rest = transport ? mir_span_from(text, strlen(transport->prefix)) : text;
    out->kind = transport ? transport->kind : COPY_PLACE_DOCKER;
    if (out->kind == COPY_PLACE_LAYOUT) {
        out->form = transport->form;
        return parse_layout(rest, out, err);
    }
    if (rest.len == 0)
        return mir_fail(err, MIR_E_USAGE, "\"%s\" names no image", out->text);
    out->name = mir_strndup(rest.ptr, rest.len);
    return true;
}

bool copy_place_parse(struct mir_span text, bool bare_is_docker, struct copy_place *out,
                      struct mir_error *err)
{
    auto_place place = {.text = mir_strndup(text.ptr, text.len)};

    if (!parse_into(text, bare_is_docker, &place, err))
        return false;
    *out = place;
    place = (struct copy_place){0};
    return true;
}

void copy_place_release(struct copy_place *place)
{
    free(place->text);
    free(place->path);
    free(place->ref);
    free(place->name);
    *place = (struct copy_place){0};
}
