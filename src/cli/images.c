/*
 * Reading the names of images from whatever holds some.
 */
#include "cli/images.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "bundle/bundle.h"
#include "cli/secret.h"
#include "copy/list.h"
#include "copy/place.h"
#include "image/ref.h"

void cli_images_add(struct cli_images *images, const char *name)
{
    mir_grow(&images->names, images->count, &images->capacity, sizeof(*images->names));
    images->names[images->count++] = mir_strdup(name);
}

void cli_images_release(struct cli_images *images)
{
    for (size_t i = 0; i < images->count; i++)
        free(images->names[i]);
    free(images->names);
    *images = (struct cli_images){0};
}

static bool from_bundle(struct cli *cli, const char *what, struct cli_images *images,
                        struct mir_error *err)
{
    auto_place place = {.text = NULL};
    struct bundle_reader *reader = NULL;

    if (!copy_place_parse(mir_span_of(what), false, &place, err))
        return false;
    if (place.ref)
        return cli_usage(cli, err, "%s names one image of a bundle: name the whole, or the image",
                         what);
    if (!bundle_reader_open(place.path, place.form, &reader, err))
        return false;
    for (size_t i = 0; i < bundle_reader_image_count(reader); i++) {
        const char *name = bundle_reader_image(reader, i)->name;
        struct mir_error why = MIR_ERROR_INIT;
        auto_ref ref = {0};

        if (name && img_ref_parse(mir_span_of(name), &ref, &why))
            cli_images_add(images, name);
        else
            mir_log(&cli->sink, MIR_LEVEL_WARN,
                    "image %zu of %s is left out: its name \"%s\" is no full reference", i, what,
                    name ? name : "");
    }
    bundle_reader_close(reader);
    return true;
}

/* Is it the name of an image in a registry? Adds it. */
static bool add_source(struct cli_images *images, const char *source, struct mir_error *err)
{
    auto_place place = {.text = NULL};

    if (!copy_place_parse(mir_span_of(source), true, &place, err))
        return false;
    if (place.kind != COPY_PLACE_DOCKER)
        return mir_fail(err, MIR_E_USAGE, "%s is no image of a registry", source);
    cli_images_add(images, place.name);
    return true;
}

static bool from_list(const char *what, struct mir_span text, struct cli_images *images,
                      struct mir_error *err)
{
    auto_list list = {0};

    if (!copy_list_parse(text, what, &list, err))
        return false;
    for (size_t i = 0; i < list.count; i++)
        if (!add_source(images, list.items[i].source, err))
            return mir_context(err, "%s:%u", what, list.items[i].line);
    return true;
}

static bool from_report(struct cli *cli, const char *what, struct mir_span text,
                        struct cli_images *images, struct mir_error *err)
{
    auto_json *report = NULL;
    const json_t *list, *image;
    size_t i;

    if (!mir_json_parse(text, what, &report, err))
        return false;
    list = json_object_get(report, "images");
    if (!json_is_array(list))
        return mir_fail(err, MIR_E_FORMAT, "%s: no list \"images\": not a report of mirror copy",
                        what);
    json_array_foreach (list, i, image) {
        const char *name = json_string_value(json_object_get(image, "image"));
        const char *outcome = json_string_value(json_object_get(image, "outcome"));

        if (!name || !outcome)
            return mir_fail(err, MIR_E_FORMAT,
                            "%s: images[%zu] has no image or outcome: not a report of mirror copy",
                            what, i);
        if (strcmp(outcome, "failed") == 0)
            mir_log(&cli->sink, MIR_LEVEL_WARN, "%s is left out: its copy failed", name);
        else
            cli_images_add(images, name);
    }
    return true;
}

static bool is_layout(const char *what)
{
    return mir_starts_with(what, "bundle:") || mir_starts_with(what, "oci:") ||
           mir_starts_with(what, "oci-archive:");
}

bool cli_images_read(struct cli *cli, const char *what, struct cli_images *images,
                     struct mir_error *err)
{
    auto_free char *text = NULL;
    struct mir_span trimmed;
    size_t len;

    if (is_layout(what))
        return from_bundle(cli, what, images, err);
    if ((strcmp(what, "-") == 0 && !cli_claim_stdin(cli, "--images -", err)) ||
        !mir_file_read(what, COPY_LIST_BYTES_MAX, &text, &len, err))
        return false;
    trimmed = mir_span_trim(mir_span(text, len));
    if (trimmed.len > 0 && trimmed.ptr[0] == '{')
        return from_report(cli, what, mir_span(text, len), images, err);
    return from_list(what, mir_span(text, len), images, err);
}
