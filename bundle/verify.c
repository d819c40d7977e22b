/*
 * Is a bundle sound? First every blob is hashed, in parallel; then every image is walked, so that
 * what is wrong can be said with the name of an image that needs it. Called by src/cli.
 */
#include "bundle/bundle.h"

#include <stdarg.h>

#include "base/mem.h"
#include "bundle/verify_priv.h"

void bundle_check_problem(struct bundle_check *check, const char *fmt, ...)
{
    auto_buf text;
    char line[2048];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    mir_buf_init(&text, sizeof(line));
    for (const char *c = line; *c; c++)
        mir_buf_char(&text, (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c);
    check->totals->problems++;
    check->sink->problem(check->sink->ctx, text.ptr);
}

static void count_unused(struct bundle_check *check)
{
    const struct bundle_reader *reader = check->reader;

    for (size_t i = 0; i < reader->entry_count; i++) {
        if (check->used[i])
            continue;
        check->totals->unused++;
        if (check->trouble[i])
            bundle_check_problem(check, "blob %s, which no image uses, %s",
                                 reader->entries[i].blob.digest.text, check->trouble[i]);
    }
}

static void release_check(struct bundle_check *check)
{
    for (size_t i = 0; i < check->reader->entry_count; i++)
        free(check->trouble[i]);
    free(check->trouble);
    free(check->used);
    free(check->seen);
    bundle_check_release_bases(check);
}

static bool check_hashes(struct bundle_check *check, unsigned jobs, struct mir_error *err)
{
    if (!check->reader->trouble)
        return bundle_check_hashes(check, jobs, err);
    bundle_check_take_hashes(check);
    return true;
}

bool bundle_verify(const struct bundle_reader *reader, unsigned jobs,
                   const struct bundle_verify_sink *sink, struct bundle_verify_totals *totals,
                   struct mir_error *err)
{
    return bundle_verify_with(reader, NULL, 0, jobs, sink, totals, err);
}

bool bundle_verify_with(const struct bundle_reader *reader, struct bundle_reader *const *bases,
                        size_t base_count, unsigned jobs, const struct bundle_verify_sink *sink,
                        struct bundle_verify_totals *totals, struct mir_error *err)
{
    const struct bundle_base *base = bundle_reader_base(reader);
    struct bundle_verify_totals counted = {.images = reader->names.count,
                                           .blobs = reader->entry_count};
    __attribute__((cleanup(release_check))) struct bundle_check check = {
        .reader = reader,
        .sink = sink,
        .totals = &counted,
        .trouble = mir_alloc_array(reader->entry_count, sizeof(char *)),
        .used = mir_alloc_array(reader->entry_count, sizeof(bool)),
        .seen = mir_alloc_array(base ? base->count : 0, sizeof(bool)),
    };

    if (!check_hashes(&check, jobs, err) ||
        !bundle_check_bases(&check, bases, base_count, jobs, err) ||
        !bundle_check_images(&check, err))
        return false;
    count_unused(&check);
    *totals = counted;
    return true;
}
