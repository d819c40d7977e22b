/*
 * Differentials that are served: is what they leave out in another of the bundles? Said once, when
 * the server starts; requests for what is nowhere are answered with 404 like all that is not there.
 */
#include "bundle/base.h"

#include "base/mem.h"
#include "base/num.h"
#include "serve/content_priv.h"

static bool is_somewhere(struct bundle_reader *const *readers, size_t reader_count,
                         const struct img_digest *digest)
{
    for (size_t i = 0; i < reader_count; i++)
        if (bundle_reader_find(readers[i], digest))
            return true;
    return false;
}

void serve_warn_of_bases(struct bundle_reader *const *readers, size_t reader_count,
                         const struct mir_sink *sink)
{
    for (size_t i = 0; i < reader_count; i++) {
        const struct bundle_base *base = bundle_reader_base(readers[i]);
        char text[MIR_BYTES_TEXT_MAX];
        uint64_t bytes = 0;
        size_t missing = 0;

        for (size_t j = 0; base && j < base->count; j++) {
            if (is_somewhere(readers, reader_count, &base->blobs[j].digest))
                continue;
            missing++;
            bytes += base->blobs[j].size;
        }
        if (missing > 0) {
            auto_free char *what = bundle_base_describe(base);

            mir_log(sink, MIR_LEVEL_WARN,
                    "%s leaves out %zu blob%s (%s) that cannot be served: name %s %s",
                    bundle_reader_path(readers[i]), missing, missing == 1 ? "" : "s",
                    mir_bytes_text(bytes, text),
                    base->mirror ? "a bundle that has them too, as has" : "its base too,", what);
        }
    }
}
