/*
 * Views, opened and counted. Called by server.c at the start and when it rereads.
 */
#include "serve/view_priv.h"

#include "base/mem.h"
#include "serve/content_priv.h"

static bool open_bundles(struct serve_view *view, const struct serve_options *options,
                         struct mir_error *err)
{
    view->readers = mir_alloc_array(options->source_count, sizeof(*view->readers));
    for (; view->reader_count < options->source_count; view->reader_count++) {
        const struct serve_source *source = &options->sources[view->reader_count];

        if (!bundle_reader_open(source->path, source->form, &view->readers[view->reader_count],
                                err))
            return false;
    }
    return true;
}

static bool fill_view(struct serve_view *view, const struct serve_options *options,
                      const struct serve_view *before, struct mir_error *err)
{
    struct serve_catalog_options catalog = {.prefix = options->prefix,
                                            .verify = options->verify,
                                            .jobs = options->jobs > 0 ? options->jobs : 1,
                                            .before = before ? before->catalog : NULL,
                                            .sink = options->sink,
                                            .cancel = options->cancel};

    if (options->htpasswd && !serve_users_read(options->htpasswd, &view->users, err))
        return mir_context(err, "htpasswd");
    if (!open_bundles(view, options, err))
        return false;
    catalog.readers = view->readers;
    catalog.reader_count = view->reader_count;
    return serve_catalog_new(&catalog, &view->catalog, err);
}

bool serve_view_new(const struct serve_options *options, const struct serve_view *before,
                    struct serve_view **out, struct mir_error *err)
{
    struct serve_view *view = mir_alloc(sizeof(*view));

    atomic_init(&view->holders, 1);
    if (!fill_view(view, options, before, err)) {
        serve_view_drop(view);
        return false;
    }
    serve_warn_of_bases(view->readers, view->reader_count, options->sink);
    *out = view;
    return true;
}

void serve_view_hold(struct serve_view *view)
{
    (void)atomic_fetch_add(&view->holders, 1);
}

void serve_view_drop(struct serve_view *view)
{
    if (!view || atomic_fetch_sub(&view->holders, 1) > 1)
        return;
    serve_catalog_free(view->catalog);
    while (view->reader_count > 0)
        bundle_reader_close(view->readers[--view->reader_count]);
    free(view->readers);
    serve_users_free(view->users);
    free(view);
}
