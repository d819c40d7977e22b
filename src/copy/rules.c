/*
 * Asking the rules for every image of a copy: may it be copied, is its destination open, and where
 * is it asked for. What a rule refuses is the failure of that image alone.
 *
 * Called by copy.c before anything is asked of a registry, and by resolve.c for the places.
 */
#include "copy/rules.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "bundle/pipe.h"
#include "copy/copy_priv.h"

struct copy_site *copy_sites_add(struct copy_sites *sites)
{
    mir_grow(&sites->items, sites->count, &sites->capacity, sizeof(*sites->items));
    sites->items[sites->count] = (struct copy_site){.insecure = false};
    return &sites->items[sites->count++];
}

void copy_sites_release(struct copy_sites *sites)
{
    for (size_t i = 0; i < sites->count; i++)
        img_ref_release(&sites->items[i].ref);
    free(sites->items);
    *sites = (struct copy_sites){0};
}

/* ---- may it? ---- */

static bool allow(const struct copy *copy, const struct copy_image *image, struct mir_error *err)
{
    const struct copy_rules *rules = copy->options.rules;
    const struct bundle_reader *reader = image->origin->reader;
    struct copy_subject subject = {.image = &image->source};

    if (!rules->allow)
        return true;
    if (reader)
        subject = (struct copy_subject){
            .path = bundle_reader_is_pipe(reader) ? NULL : bundle_reader_path(reader)};
    return rules->allow(rules->ctx, &subject, err);
}

static bool land(const struct copy *copy, struct copy_image *image, struct mir_error *err)
{
    const struct copy_rules *rules = copy->options.rules;

    return !rules->land || !image->destination.host ||
           rules->land(rules->ctx, &image->destination, &image->lands_insecure, err);
}

static void fail(struct copy *copy, struct copy_image *image, const struct mir_error *err)
{
    copy_image_fail(copy, image, err);
    atomic_fetch_add(&copy_progress_of(copy)->images_done, 1);
}

void copy_apply_rules(struct copy *copy)
{
    for (size_t i = 0; i < copy->image_count && copy->options.rules; i++) {
        struct copy_image *image = copy->images[i];
        struct mir_error err = MIR_ERROR_INIT;

        if (!image->error && (!allow(copy, image, &err) || !land(copy, image, &err)))
            fail(copy, image, &err);
    }
}

/* ---- where? ---- */

static bool find_sites(struct copy *copy, struct copy_image *image, struct mir_error *err)
{
    const struct copy_rules *rules = copy->options.rules;
    auto_sites sites = {0};

    if (!rules->find(rules->ctx, &image->source, &sites, err))
        return false;
    if (sites.count == 0)
        return true;
    image->tries = mir_alloc_array(sites.count, sizeof(*image->tries));
    for (size_t i = 0; i < sites.count; i++) {
        const struct copy_site *site = &sites.items[i];
        struct copy_try *attempt = &image->tries[image->try_count++];

        if (site->refused.code == MIR_OK)
            attempt->origin = copy_graph_site(&copy->graph, site);
        else
            copy_try_fail(attempt, &site->refused);
    }
    return true;
}

void copy_find_sites(struct copy *copy)
{
    for (size_t i = 0; i < copy->image_count && copy->options.rules && copy->options.rules->find;
         i++) {
        struct copy_image *image = copy->images[i];
        struct mir_error err = MIR_ERROR_INIT;

        if (!image->error && !image->origin->reader && !find_sites(copy, image, &err))
            fail(copy, image, &err);
    }
}

/* ---- what came of it ---- */

void copy_try_fail(struct copy_try *attempt, const struct mir_error *err)
{
    if (!attempt->error)
        attempt->error = mir_alloc(sizeof(*attempt->error));
    *attempt->error = *err;
}

void copy_note_sites(struct copy *copy)
{
    for (size_t i = 0; i < copy->image_count; i++) {
        struct copy_image *image = copy->images[i];
        const struct reg_repo *from;

        if (image->try_count == 0 || !image->root || image->root->error ||
            image->root->origin->reader)
            continue;
        from = &image->root->origin->repo;
        if (strcmp(from->host, image->source.host) == 0 &&
            strcmp(from->name, image->source.repo) == 0)
            continue;
        image->served_by = mir_format("%s/%s", from->host, from->name);
        mir_log(copy->options.sink, MIR_LEVEL_DEBUG, "%s: served by %s", image->asked,
                image->served_by);
    }
}

#define FIRST_WORDS    160 /* of each error but the last */
#define TRIES_TEXT_MAX 65536

/* The last place is the image's own, as a rule; its error counts, and those before it are named. */
void copy_tries_error(const struct copy_image *image, struct mir_error *err)
{
    const struct mir_error *last = image->tries[image->try_count - 1].error;
    struct mir_error whole = MIR_ERROR_INIT;
    auto_buf text;

    mir_buf_init(&text, TRIES_TEXT_MAX);
    for (size_t i = 0; i + 1 < image->try_count; i++) {
        const char *words = image->tries[i].error->text;

        mir_buf_printf(&text, "%s%.*s%s", i > 0 ? "; " : " (before that: ", FIRST_WORDS, words,
                       strlen(words) > FIRST_WORDS ? "..." : "");
    }
    (void)mir_fail(&whole, last->code, "%s%s%s", last->text, text.ptr,
                   image->try_count > 1 ? ")" : "");
    whole.sys = last->sys;
    for (size_t i = image->try_count; i-- > 0;)
        (void)mir_hint(&whole, "%s", image->tries[i].error->hint);
    *err = whole;
}
