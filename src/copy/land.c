/*
 * Where every image of a copy goes. Done before anything is asked of a registry, because the
 * destination decides what has to be asked; collisions can only be seen once digests are known.
 */
#include <string.h>

#include "base/mem.h"
#include "copy/copy_priv.h"

/* "host/repo" without a slash at the end, for one image, is exact; all else is a prefix. */
static bool is_prefix(const struct copy *copy)
{
    const char *name = copy->destination.name;

    return copy->source_count != 1 || copy->has_many || mir_ends_with(name, "/") ||
           !strchr(name, '/');
}

static bool land_one(const struct copy_landing *landing, struct copy_image *image,
                     struct mir_error *err)
{
    if (!copy_landing_of(landing, &image->source, &image->destination, err))
        return false;
    /* The digest is the source's; a name with both is refused by most tools. */
    image->landing =
        image->destination.tag
            ? mir_format("docker://%s/%s:%s", image->destination.host, image->destination.repo,
                         image->destination.tag)
            : mir_format("docker://%s/%s", image->destination.host, image->destination.repo);
    return true;
}

/* A mapping line's own destination: exact, docker only. */
static bool land_mapped(const struct copy *copy, struct copy_image *image, struct mir_error *err)
{
    auto_landing landing = {.digest_tags = copy->options.digest_tags};
    auto_place place = {0};

    if (!copy_place_parse(mir_span_of(image->landing), true, &place, err))
        return false;
    if (place.kind != COPY_PLACE_DOCKER)
        return mir_fail(err, MIR_E_USAGE, "%s: a list line can only name a docker:// destination",
                        image->landing);
    if (!copy_landing_parse_exact(place.name, &landing, err))
        return false;
    free(mir_steal(&image->landing));
    return land_one(&landing, image, err);
}

/* The rule for all images that have no destination of their own. */
static bool parse_landing(const struct copy *copy, struct copy_landing *out, struct mir_error *err)
{
    const char *name = copy->destination.name;

    *out = (struct copy_landing){.keep_host = copy->options.keep_host,
                                 .max_depth = copy->options.max_depth,
                                 .digest_tags = copy->options.digest_tags};
    return is_prefix(copy) ? copy_landing_parse_prefix(name, out, err)
                           : copy_landing_parse_exact(name, out, err);
}

bool copy_land_source(const struct copy *copy, const struct img_ref *source, struct img_ref *out,
                      struct mir_error *err)
{
    auto_landing landing = {.host = NULL};

    return parse_landing(copy, &landing, err) && copy_landing_of(&landing, source, out, err);
}

static bool land_in_registry(struct copy *copy, struct mir_error *err)
{
    auto_landing landing = {.host = NULL};

    if (!parse_landing(copy, &landing, err))
        return false;
    for (size_t i = 0; i < copy->image_count; i++)
        if (!copy->images[i]->has_landing && !land_one(&landing, copy->images[i], err))
            return false;
    return true;
}

static bool land_in_layout(struct copy *copy, struct mir_error *err)
{
    const char *ref = copy->destination.ref;

    for (size_t i = 0; i < copy->image_count; i++)
        if (copy->images[i]->has_landing)
            return mir_fail(err, MIR_E_USAGE, "%s: the list names a destination of its own (%s)",
                            copy->destination.text, copy->images[i]->landing);
    if (!ref)
        return true;
    if (copy->image_count != 1)
        return mir_fail(err, MIR_E_USAGE, "%s names one image and there are %zu sources",
                        copy->destination.text, copy->image_count);
    free(copy->images[0]->name);
    copy->images[0]->name = mir_strdup(ref);
    return true;
}

bool copy_land(struct copy *copy, struct mir_error *err)
{
    if (copy->has_destination && copy->destination.kind == COPY_PLACE_LAYOUT)
        return land_in_layout(copy, err);
    for (size_t i = 0; i < copy->image_count; i++)
        if (copy->images[i]->has_landing && !land_mapped(copy, copy->images[i], err))
            return false;
    return !copy->has_destination || land_in_registry(copy, err);
}

static bool collision(const struct copy_image *a, const struct copy_image *b, const char *where,
                      struct mir_error *err)
{
    (void)mir_fail(err, MIR_E_CONFLICT, "%s and %s would both land on %s", a->asked, b->asked,
                   where);
    return mir_hint(err, "use --keep-host, other destinations, or two runs");
}

/* The name a later image would overwrite; the caller frees. NULL: pushed by digest alone. */
static char *name_taken(const struct copy *copy, const struct copy_image *image)
{
    if (!copy_goes_to_registry(copy))
        return mir_strdup(image->name ? image->name : image->pinned);
    if (!image->destination.host || !image->destination.tag)
        return NULL;
    return mir_format("%s/%s:%s", image->destination.host, image->destination.repo,
                      image->destination.tag);
}

bool copy_check_collisions(struct copy *copy, struct mir_error *err)
{
    auto_map *taken = mir_map_new();

    for (size_t i = 0; i < copy->image_count; i++) {
        struct copy_image *image = copy->images[i];
        auto_free char *name = image->source.has_digest ? name_taken(copy, image) : NULL;
        const struct copy_image *other = name ? mir_map_find(taken, mir_span_of(name)) : NULL;

        if (other && !img_digest_equal(&other->source.digest, &image->source.digest))
            return collision(other, image, name, err);
        if (name && !other)
            mir_map_set(taken, mir_span_of(name), image);
    }
    return true;
}
