/*
 * Layers for fixtures: a tar with one file, packed, written and hashed while it streams, so that a
 * test can have a layer of a gibibyte without holding it. Called by fixture.c.
 */
#include "lib/fixture_priv.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "lib/scratch.h"

/* Two archives in a row: `tar` makes the tar and hands it to `packed`, which compresses and writes
 * to the file. Each end is hashed. */
struct layer_stream {
    struct archive *tar;
    struct archive *packed;
    struct mir_hash *diff_id;
    struct mir_hash *digest;
    uint64_t size;
    int fd;
};

static void check(struct archive *archive, long long status, const char *what)
{
    if (status < 0)
        scratch_die("fixture layer: %s: %s", what, archive_error_string(archive));
}

static la_ssize_t tar_bytes(struct archive *archive, void *ctx, const void *bytes, size_t len)
{
    struct layer_stream *stream = ctx;

    (void)archive;
    mir_hash_update(stream->diff_id, mir_span(bytes, len));
    check(stream->packed, archive_write_data(stream->packed, bytes, len), "pack");
    return (la_ssize_t)len;
}

static la_ssize_t packed_bytes(struct archive *archive, void *ctx, const void *bytes, size_t len)
{
    struct layer_stream *stream = ctx;
    struct mir_error err = MIR_ERROR_INIT;

    (void)archive;
    mir_hash_update(stream->digest, mir_span(bytes, len));
    if (!mir_write_full(stream->fd, mir_span(bytes, len), &err))
        scratch_die("fixture layer: %s", err.text);
    stream->size += len;
    return (la_ssize_t)len;
}

static struct archive_entry *entry_new(const char *name, uint64_t size)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (int64_t)size);
    archive_entry_set_mtime(entry, 0, 0);
    return entry;
}

static void add_gzip(struct archive *packed, const char *level)
{
    check(packed, archive_write_add_filter_gzip(packed), "gzip");
    check(packed, archive_write_set_filter_option(packed, "gzip", "timestamp", NULL), "gzip");
    if (level)
        check(packed, archive_write_set_filter_option(packed, "gzip", "compression-level", level),
              "level");
}

static void open_packed(struct layer_stream *stream, enum fixture_packing packing)
{
    struct archive_entry *entry = entry_new("layer", 0);

    stream->packed = archive_write_new();
    check(stream->packed, archive_write_set_format_raw(stream->packed), "raw");
    switch (packing) {
    case FIXTURE_PACKING_GZIP:
        add_gzip(stream->packed, NULL);
        break;
    case FIXTURE_PACKING_STORED:
        add_gzip(stream->packed, "0");
        break;
    case FIXTURE_PACKING_ZSTD:
        check(stream->packed, archive_write_add_filter_zstd(stream->packed), "zstd");
        break;
    case FIXTURE_PACKING_NONE:
        break;
    }
    check(stream->packed, archive_write_set_bytes_in_last_block(stream->packed, 1), "block");
    check(stream->packed,
          archive_write_open2(stream->packed, stream, NULL, packed_bytes, NULL, NULL), "open");
    archive_entry_unset_size(entry);
    check(stream->packed, archive_write_header(stream->packed, entry), "header");
    archive_entry_free(entry);
}

static void open_tar(struct layer_stream *stream)
{
    stream->tar = archive_write_new();
    check(stream->tar, archive_write_set_format_pax_restricted(stream->tar), "pax");
    check(stream->tar, archive_write_set_bytes_in_last_block(stream->tar, 1), "block");
    check(stream->tar, archive_write_open2(stream->tar, stream, NULL, tar_bytes, NULL, NULL),
          "open");
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void write_random(struct layer_stream *stream, uint64_t bytes, uint64_t seed)
{
    uint64_t words[8192];
    uint64_t state = (seed + 1) * 0x9e3779b97f4a7c15u;

    while (bytes > 0) {
        size_t len = bytes < sizeof(words) ? (size_t)bytes : sizeof(words);

        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
            words[i] = next_random(&state);
        check(stream->tar, archive_write_data(stream->tar, words, len), "data");
        bytes -= len;
    }
}

static void write_file(struct layer_stream *stream, uint64_t bytes, uint64_t seed)
{
    auto_free char *name = mir_format("data-%016llx", (unsigned long long)seed);
    struct archive_entry *entry = entry_new(name, bytes);

    check(stream->tar, archive_write_header(stream->tar, entry), "header");
    archive_entry_free(entry);
    write_random(stream, bytes, seed);
}

static void finish(struct layer_stream *stream, struct fixture_layer *out)
{
    check(stream->tar, archive_write_close(stream->tar), "close");
    check(stream->tar, archive_write_free(stream->tar), "free");
    check(stream->packed, archive_write_close(stream->packed), "close");
    check(stream->packed, archive_write_free(stream->packed), "free");
    img_digest_from_hash(MIR_HASH_SHA256, stream->diff_id, &out->diff_id);
    img_digest_from_hash(MIR_HASH_SHA256, stream->digest, &out->digest);
    out->size = stream->size;
    mir_hash_free(stream->diff_id);
    mir_hash_free(stream->digest);
    (void)close(stream->fd);
}

void fixture_layer_write(const char *dir, enum fixture_packing packing, uint64_t file_bytes,
                         uint64_t seed, struct fixture_layer *out)
{
    auto_free char *temporary = mir_format("%s/.layer", dir);
    auto_free char *path = NULL;
    struct layer_stream stream = {.diff_id = mir_hash_new(MIR_HASH_SHA256),
                                  .digest = mir_hash_new(MIR_HASH_SHA256)};

    stream.fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (stream.fd < 0)
        scratch_die("fixture: open %s: %s", temporary, strerror(errno));
    open_packed(&stream, packing);
    open_tar(&stream);
    write_file(&stream, file_bytes, seed);
    finish(&stream, out);
    path = mir_format("%s/blobs/sha256/%s", dir, img_digest_hex(&out->digest));
    if (rename(temporary, path) != 0)
        scratch_die("fixture: rename to %s: %s", path, strerror(errno));
}
