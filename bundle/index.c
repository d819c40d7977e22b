/*
 * index.json: the names of a layout. Written byte for byte the same for the same images; read from
 * anybody; merged when images are added to a directory. Called by the plan, the readers and the
 * directory writer.
 */
#include "bundle/layout_priv.h"

#include "base/mem.h"
#include "base/tree.h"

#define NAME_MAX_BYTES 4096

/* ---- order ---- */

static int compare_parts(const char *name_a, const char *digest_a, const char *name_b,
                         const char *digest_b)
{
    int difference;

    if (!name_a || !name_b)
        return name_a ? -1 : name_b ? 1 : strcmp(digest_a, digest_b);
    difference = strcmp(name_a, name_b);
    return difference != 0 ? difference : strcmp(digest_a, digest_b);
}

int bundle_image_compare(const struct bundle_image *a, const struct bundle_image *b)
{
    return compare_parts(a->name, a->digest.text, b->name, b->digest.text);
}

/* ---- writing ---- */

/* The descriptor of an image; NULL when a string is not UTF-8. */
static json_t *image_to_json(const struct bundle_image *image)
{
    auto_json *annotations = json_object();
    auto_json *value = json_object();

    if (json_object_set_new(value, "mediaType", json_string(image->media_type)) != 0 ||
        json_object_set_new(value, "digest", json_string(image->digest.text)) != 0 ||
        json_object_set_new(value, "size", json_integer((json_int_t)image->size)) != 0)
        return NULL;
    if (image->platforms && json_object_set_new(annotations, BUNDLE_ANNOTATION_PLATFORMS,
                                                json_string(image->platforms)) != 0)
        return NULL;
    if (image->name &&
        json_object_set_new(annotations, IMG_ANNOTATION_REF_NAME, json_string(image->name)) != 0)
        return NULL;
    if (json_object_size(annotations) > 0)
        (void)json_object_set(value, "annotations", annotations);
    return json_incref(value);
}

static bool add_image(const struct bundle_image *image, struct mir_buf *out, struct mir_error *err)
{
    auto_json *value = image_to_json(image);
    auto_free char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;

    if (!text)
        return mir_fail(err, MIR_E_FORMAT, "the name of image %s is not UTF-8", image->digest.text);
    mir_buf_text(out, text);
    return true;
}

bool bundle_index_format(const struct bundle_image *images, const size_t *order, size_t count,
                         char **out, size_t *len, struct mir_error *err)
{
    auto_buf text;

    mir_buf_init(&text, BUNDLE_INDEX_MAX);
    mir_buf_text(&text,
                 "{\"schemaVersion\":2,\"mediaType\":\"" IMG_TYPE_OCI_INDEX "\",\"manifests\":[");
    for (size_t i = 0; i < count; i++) {
        mir_buf_text(&text, i == 0 ? "\n" : ",\n");
        if (!add_image(&images[order[i]], &text, err))
            return false;
    }
    mir_buf_text(&text, "\n]}\n");
    if (!mir_buf_check(&text, BUNDLE_INDEX_NAME, err))
        return false;
    *len = text.len;
    *out = mir_buf_take(&text);
    return true;
}

/* ---- reading ---- */

static bool is_plain_text(const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return true;
}

/* A copy that lives as long as names does. */
static const char *keep_text(struct bundle_names *names, const char *text)
{
    mir_grow(&names->texts, names->text_count, &names->text_capacity, sizeof(*names->texts));
    names->texts[names->text_count] = mir_strdup(text);
    return names->texts[names->text_count++];
}

static bool keep_annotation(struct bundle_names *names, const struct img_descriptor *descriptor,
                            const char *key, const char **out, struct mir_error *err)
{
    const char *text = img_descriptor_annotation(descriptor, key);

    if (!text || !*text)
        return true;
    if (strlen(text) > NAME_MAX_BYTES)
        return mir_fail(err, MIR_E_LIMIT, "the annotation %s is over %d bytes", key,
                        NAME_MAX_BYTES);
    if (!is_plain_text(text))
        return mir_fail(err, MIR_E_FORMAT, "the annotation %s has control characters", key);
    *out = keep_text(names, text);
    return true;
}

static bool parse_image(struct bundle_names *names, const json_t *value, struct bundle_image *out,
                        struct mir_error *err)
{
    auto_descriptor descriptor = {.media_type = NULL};

    if (!img_descriptor_parse(value, &descriptor, err))
        return false;
    if (!keep_annotation(names, &descriptor, IMG_ANNOTATION_REF_NAME, &out->name, err) ||
        !keep_annotation(names, &descriptor, BUNDLE_ANNOTATION_PLATFORMS, &out->platforms, err))
        return false;
    out->media_type = keep_text(names, descriptor.media_type);
    out->digest = descriptor.digest;
    out->size = descriptor.size;
    return true;
}

void bundle_names_release(struct bundle_names *names)
{
    for (size_t i = 0; i < names->text_count; i++)
        free(names->texts[i]);
    free(names->texts);
    free(names->images);
    *names = (struct bundle_names){.count = 0};
}

static bool parse_index(struct mir_span text, const char *name, json_t **out, struct mir_error *err)
{
    auto_json *index = NULL;
    const json_t *manifests;

    if (!mir_json_parse(text, name, &index, err))
        return false;
    manifests = json_object_get(index, "manifests");
    if (!json_is_object(index) || (manifests && !json_is_array(manifests)))
        return mir_fail(err, MIR_E_FORMAT, "%s is not an image index", name);
    if (json_integer_value(json_object_get(index, "schemaVersion")) != 2)
        return mir_fail(err, MIR_E_FORMAT, "%s is not an image index: schemaVersion is not 2",
                        name);
    if (json_array_size(manifests) > BUNDLE_IMAGES_MAX)
        return mir_fail(err, MIR_E_LIMIT, "%s: %zu images are over the limit of %d", name,
                        json_array_size(manifests), BUNDLE_IMAGES_MAX);
    *out = mir_steal(&index);
    return true;
}

static bool parse_images(const json_t *manifests, const char *name, struct bundle_names *names,
                         struct mir_error *err)
{
    names->count = json_array_size(manifests);
    names->images = mir_alloc_array(names->count, sizeof(*names->images));
    for (size_t i = 0; i < names->count; i++)
        if (!parse_image(names, json_array_get(manifests, i), &names->images[i], err))
            return mir_context(err, "%s: manifests[%zu]", name, i);
    return true;
}

bool bundle_names_parse(struct mir_span text, const char *name, struct bundle_names *out,
                        struct mir_error *err)
{
    struct bundle_names names = {.count = 0};
    auto_json *index = NULL;

    if (!parse_index(text, name, &index, err))
        return false;
    if (!parse_images(json_object_get(index, "manifests"), name, &names, err)) {
        bundle_names_release(&names);
        return false;
    }
    *out = names;
    return true;
}

/* ---- merging ---- */

static const char *json_name(const json_t *value)
{
    const char *name = json_string_value(
        json_object_get(json_object_get(value, "annotations"), IMG_ANNOTATION_REF_NAME));

    return name && *name ? name : NULL;
}

static const char *json_digest(const json_t *value)
{
    const char *digest = json_string_value(json_object_get(value, "digest"));

    return digest ? digest : "";
}

/* Is there, among our sorted images, one that takes this entry's place? */
static bool is_replaced(const json_t *value, const struct bundle_image *images, const size_t *order,
                        size_t count)
{
    const char *name = json_name(value);
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct bundle_image *image = &images[order[middle]];
        /* Two of one name are one, whatever their digests; nameless ones differ by digest. */
        int difference = compare_parts(name, name ? "" : json_digest(value), image->name,
                                       name ? "" : image->digest.text);

        if (difference == 0)
            return true;
        if (difference < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

static int compare_values(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;

    return compare_parts(json_name(x), json_digest(x), json_name(y), json_digest(y));
}

/* Sort an array of descriptors; *array is replaced. */
static void sort_values(json_t **array)
{
    size_t count = json_array_size(*array);
    auto_free json_t **values = mir_alloc_array(count, sizeof(json_t *));
    json_t *sorted = json_array();

    for (size_t i = 0; i < count; i++)
        values[i] = json_array_get(*array, i);
    qsort(values, count, sizeof(json_t *), compare_values);
    for (size_t i = 0; i < count; i++)
        (void)json_array_append(sorted, values[i]);
    json_decref(*array);
    *array = sorted;
}

/* An index.json of ours would have nothing else beside its images. */
static bool has_only_images(const json_t *index)
{
    const char *type = json_string_value(json_object_get(index, "mediaType"));

    return json_object_size(index) == 3 && type && strcmp(type, IMG_TYPE_OCI_INDEX) == 0;
}

bool bundle_index_merge(struct mir_span old, const char *old_name,
                        const struct bundle_image *images, const size_t *order, size_t count,
                        char **out, size_t *len, struct mir_error *err)
{
    auto_json *ours = NULL, *merged = NULL, *manifests = json_array();
    auto_free char *text = NULL;
    size_t text_len, i;
    json_t *value;

    if (!bundle_index_format(images, order, count, &text, &text_len, err))
        return false;
    if (old.len == 0) {
        *len = text_len;
        *out = mir_steal(&text);
        return true;
    }
    if (!mir_json_parse(mir_span(text, text_len), BUNDLE_INDEX_NAME, &ours, err) ||
        !parse_index(old, old_name, &merged, err))
        return false;
    json_array_foreach (json_object_get(merged, "manifests"), i, value)
        if (!is_replaced(value, images, order, count))
            (void)json_array_append(manifests, value);
    /* Nothing of the old one stays: it becomes what it would be in an empty directory. */
    if (json_array_size(manifests) == 0 && has_only_images(merged)) {
        *len = text_len;
        *out = mir_steal(&text);
        return true;
    }
    (void)json_array_extend(manifests, json_object_get(ours, "manifests"));
    sort_values(&manifests);
    (void)json_object_set(merged, "manifests", manifests);
    free(mir_steal(&text));
    text = json_dumps(merged, JSON_COMPACT);
    if (!text || strlen(text) > BUNDLE_INDEX_MAX)
        return mir_fail(err, MIR_E_LIMIT, "%s would be over the limit", old_name);
    *len = strlen(text);
    *out = mir_steal(&text);
    return true;
}
