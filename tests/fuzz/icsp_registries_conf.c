/*
 * Any text as what a runtime reads, and any name as an image: a first line with the image, then
 * registries.conf, and perhaps after lines "---" a drop-in and a policy.json. What is refused says
 * why and where; what is taken gives an answer that holds together.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "icsp/lookup.h"
#include "icsp/reference_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what))                                                                               \
            abort();                                                                               \
    } while (0)

/* What stands before the next separator. */
static struct mir_span cut(struct mir_span *rest, const char *separator)
{
    size_t len = strlen(separator);
    const char *found = rest->len > 0 ? memmem(rest->ptr, rest->len, separator, len) : NULL;
    struct mir_span piece = *rest;

    if (!found) {
        *rest = mir_span_from(*rest, rest->len);
        return piece;
    }
    piece = mir_span_first(*rest, (size_t)(found - rest->ptr));
    *rest = mir_span_from(*rest, piece.len + len);
    return piece;
}

static void add(struct icsp_lookup *lookup, struct mir_span text, enum icsp_conf_role role)
{
    struct mir_error err = MIR_ERROR_INIT;

    if (!icsp_lookup_add_registries(lookup, text, "fuzz", role, &err))
        CHECK(strncmp(err.text, "fuzz:", 5) == 0 && err.code != MIR_OK);
}

static void set_policy(struct icsp_lookup *lookup, struct mir_span text)
{
    struct mir_error err = MIR_ERROR_INIT;

    if (text.len > 0 && !icsp_lookup_set_policy(lookup, text, "fuzz", &err))
        CHECK(strncmp(err.text, "fuzz:", 5) == 0 && err.code != MIR_OK);
}

static void check_route(const struct icsp_lookup *lookup, const struct icsp_route *route)
{
    struct icsp_reference ref;
    size_t len;

    CHECK(icsp_reference_parse(mir_span_of(route->image), &ref));
    CHECK(ref.tag.len > 0 || ref.digest.len > 0);
    CHECK((route->place_count == 0) == (route->trouble.code != MIR_OK));
    CHECK(!route->has_entry || route->entry.prefix[0] != '\0');
    for (size_t i = 0; i < route->place_count; i++) {
        const struct icsp_lookup_place *place = &route->places[i];
        struct icsp_reference there;
        struct icsp_conf_entry entry;

        CHECK(place->is_mirror == (i + 1 < route->place_count));
        CHECK(icsp_reference_parse(mir_span_of(place->reference), &there));
        CHECK(mir_span_equal(there.digest, ref.digest));
        /* A location may bring a tag of its own, which a digest can follow. */
        CHECK(mir_span_equal(there.tag, ref.tag) || (there.digest.len > 0 && ref.tag.len == 0));
        CHECK(place->blocked ==
              (icsp_lookup_find_entry(lookup, there.repo, &entry) && entry.blocked));
    }
    len = route->place_count;
    CHECK(len == 0 || route->has_entry ||
          strcmp(route->places[len - 1].reference, route->image) == 0);
}

static void check_judgement(const struct icsp_lookup *lookup, struct mir_span image)
{
    struct mir_error err = MIR_ERROR_INIT;
    struct icsp_judgement got;

    if (icsp_lookup_judge_image(lookup, image, &got, &err)) {
        CHECK((got.file != NULL) == icsp_lookup_has_policy(lookup));
        CHECK(got.file || got.verdict == ICSP_VERDICT_ACCEPT);
        CHECK(!got.file || got.requirement);
    }
    icsp_lookup_judge_path(lookup, "oci", "/a/b", &got);
    CHECK((got.file != NULL) == icsp_lookup_has_policy(lookup));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mir_span rest = mir_span(data, size);
    struct mir_span image = cut(&rest, "\n");
    auto_lookup *lookup = icsp_lookup_new();
    struct mir_error err = MIR_ERROR_INIT;
    auto_route route = {0};

    add(lookup, cut(&rest, "\n---\n"), ICSP_CONF_MAIN);
    add(lookup, cut(&rest, "\n---\n"), ICSP_CONF_DROP_IN);
    set_policy(lookup, rest);
    if (icsp_lookup_find(lookup, image, &route, &err))
        check_route(lookup, &route);
    else
        CHECK(err.code == MIR_E_FORMAT && err.text[0]);
    check_judgement(lookup, image);
    return 0;
}
