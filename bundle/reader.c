/*
 * Reading a bundle: the public side. Blobs are kept as an array sorted by digest, names as
 * index.json has them; bytes are read where they lie. Called by src/copy, src/serve and src/cli,
 * from many threads.
 *
 * Invariant: after opening nothing changes, and every entry lies inside the file as it was then.
 */
#include "bundle/bundle.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "bundle/pipe_priv.h"
#include "bundle/reader_priv.h"
#include "bundle/volumes_priv.h"
#include "image/ref.h"

/* ---- opening ---- */

bool bundle_reader_add(struct bundle_reader *reader, const struct img_digest *digest, uint64_t size,
                       uint64_t offset, struct mir_error *err)
{
    struct bundle_entry *entry;

    if (reader->entry_count >= BUNDLE_ENTRIES_MAX)
        return mir_fail(err, MIR_E_LIMIT, "%s: more than %d blobs", reader->path,
                        BUNDLE_ENTRIES_MAX);
    mir_grow(&reader->entries, reader->entry_count, &reader->entry_capacity,
             sizeof(*reader->entries));
    entry = &reader->entries[reader->entry_count++];
    *entry = (struct bundle_entry){.blob = {.digest = *digest, .size = size}, .offset = offset};
    return true;
}

static int compare_entries(const void *a, const void *b)
{
    const struct bundle_entry *x = a, *y = b;

    return strcmp(x->blob.digest.text, y->blob.digest.text);
}

static bool sort_entries(struct bundle_reader *reader, struct mir_error *err)
{
    struct bundle_entry *entries = reader->entries;

    if (reader->entry_count == 0)
        return true;
    entries = mir_realloc_array(entries, reader->entry_count, sizeof(*entries));
    reader->entries = entries;
    qsort(entries, reader->entry_count, sizeof(*entries), compare_entries);
    for (size_t i = 1; i < reader->entry_count; i++)
        if (compare_entries(&entries[i - 1], &entries[i]) == 0)
            return mir_fail(err, MIR_E_FORMAT, "%s: the blob %s is there twice", reader->path,
                            entries[i].blob.digest.text);
    return true;
}

bool bundle_reader_read_small(const struct bundle_reader *reader, const char *name,
                              const struct bundle_extent *extent, size_t max, char **text,
                              size_t *len, struct mir_error *err)
{
    auto_free char *bytes = NULL;
    auto_free char *path = NULL;
    size_t size;

    if (reader->form == BUNDLE_FORM_DIR) {
        path = mir_format("%s/%s", reader->path, name);
        return mir_file_read(path, max, text, len, err);
    }
    if (extent->size > max || !mir_size_from_u64(extent->size, &size))
        return mir_fail(err, MIR_E_LIMIT, "%s: %s of %" PRIu64 " bytes is over the limit of %zu",
                        reader->path, name, extent->size, max);
    bytes = mir_alloc(size + 1);
    if (!bundle_volumes_pread(reader->volumes, bytes, size, extent->offset, err))
        return mir_context(err, "%s: %s", reader->path, name);
    *len = size;
    *text = mir_steal(&bytes);
    return true;
}

static bool read_layout(struct bundle_reader *reader, struct mir_error *err)
{
    auto_free char *name = mir_format("%s: " BUNDLE_LAYOUT_NAME, reader->path);
    auto_free char *text = NULL;
    size_t len = 0;

    return bundle_reader_read_small(reader, BUNDLE_LAYOUT_NAME, &reader->layout, BUNDLE_LAYOUT_MAX,
                                    &text, &len, err) &&
           bundle_layout_check(mir_span(text, len), name, err);
}

static bool read_names(struct bundle_reader *reader, struct mir_error *err)
{
    auto_free char *name = mir_format("%s: " BUNDLE_INDEX_NAME, reader->path);
    auto_free char *text = NULL;
    size_t len = 0;

    if (!bundle_reader_read_small(reader, BUNDLE_INDEX_NAME, &reader->index, BUNDLE_INDEX_MAX,
                                  &text, &len, err))
        return false;
    img_digest_of(MIR_HASH_SHA256, mir_span(text, len), &reader->index_digest);
    return bundle_names_parse(mir_span(text, len), name, &reader->names, err);
}

static bool scan(struct bundle_reader *reader, struct mir_error *err)
{
    switch (reader->form) {
    case BUNDLE_FORM_TAR:
        return bundle_tar_scan(reader, err);
    case BUNDLE_FORM_DIR:
        return bundle_dir_scan(reader, err);
    case BUNDLE_FORM_PIPE:
        break;
    }
    return false;
}

static void auto_reader_close(struct bundle_reader **reader)
{
    bundle_reader_close(*reader);
}

static struct bundle_reader *new_reader(const char *path, enum bundle_form form)
{
    struct bundle_reader *reader = mir_alloc(sizeof(*reader));

    reader->form = form;
    reader->path = mir_strdup(path);
    reader->fd = -1;
    return reader;
}

/* Find out what is there. */
static bool look(struct bundle_reader *reader, struct mir_error *err)
{
    return scan(reader, err) && sort_entries(reader, err) && read_layout(reader, err) &&
           read_names(reader, err) && bundle_reader_read_base(reader, err);
}

bool bundle_reader_open_pipe(int fd, const char *name, const struct mir_cancel *cancel,
                             struct bundle_reader **out, struct mir_error *err)
{
    __attribute__((cleanup(auto_reader_close))) struct bundle_reader *reader =
        new_reader(name, BUNDLE_FORM_PIPE);

    if (!bundle_pipe_open(reader, fd, cancel, err) || (!reader->pipe && !look(reader, err)))
        return false;
    *out = mir_steal(&reader);
    return true;
}

static bool open_plain_stdin(struct bundle_reader **out, struct mir_error *err)
{
    if (bundle_pipe_is_plain(STDIN_FILENO))
        return bundle_reader_open_pipe(STDIN_FILENO, BUNDLE_STDIN, NULL, out, err);
    (void)mir_fail(err, MIR_E_UNSUPPORTED,
                   BUNDLE_STDIN " is no file, and here a bundle is read in any order");
    return mir_hint(err, "save it to a file first");
}

bool bundle_reader_open(const char *path, enum bundle_form form, struct bundle_reader **out,
                        struct mir_error *err)
{
    __attribute__((cleanup(auto_reader_close))) struct bundle_reader *reader = NULL;

    if (form == BUNDLE_FORM_PIPE)
        return open_plain_stdin(out, err);
    reader = new_reader(path, form);
    if (!look(reader, err))
        return false;
    *out = mir_steal(&reader);
    return true;
}

void bundle_reader_close(struct bundle_reader *reader)
{
    if (!reader)
        return;
    if (reader->fd >= 0)
        (void)close(reader->fd);
    bundle_volumes_free(reader->volumes);
    bundle_pipe_in_free(reader->pipe);
    for (size_t i = 0; reader->trouble && i < reader->entry_count; i++)
        free(reader->trouble[i]);
    free(reader->trouble);
    bundle_names_release(&reader->names);
    bundle_base_read_free(reader->base);
    free(reader->entries);
    free(reader->path);
    free(reader);
}

/* ---- names ---- */

const char *bundle_reader_path(const struct bundle_reader *reader)
{
    return reader->path;
}

size_t bundle_reader_image_count(const struct bundle_reader *reader)
{
    return reader->names.count;
}

const struct bundle_image *bundle_reader_image(const struct bundle_reader *reader, size_t i)
{
    return &reader->names.images[i];
}

static bool select_by_number(const struct bundle_reader *reader, const char *digits,
                             const struct bundle_image **out, struct mir_error *err)
{
    uint64_t number;

    if (!mir_parse_u64(mir_span_of(digits), BUNDLE_IMAGES_MAX, &number))
        return mir_fail(err, MIR_E_USAGE, "%s: '@%s' is not a number of an image", reader->path,
                        digits);
    if (number >= reader->names.count)
        return mir_fail(err, MIR_E_NOT_FOUND, "%s: no image @%" PRIu64 "; it has %zu", reader->path,
                        number, reader->names.count);
    *out = &reader->names.images[number];
    return true;
}

/* What is looked for: a text, and what it means if it is a reference. */
struct wanted {
    const char *text;
    bool is_ref;
    struct img_ref ref;
};

static bool is_named(const struct bundle_image *image, const struct wanted *wanted)
{
    return image->name && strcmp(image->name, wanted->text) == 0;
}

/* "host/repo:tag", "host/repo@digest" and "host/repo" all mean "host/repo:tag@digest". */
static bool is_meant(const struct bundle_image *image, const struct wanted *wanted)
{
    struct mir_error ignored = MIR_ERROR_INIT; /* a name that is no reference only has itself */
    const struct img_ref *ref = &wanted->ref;
    auto_ref name = {.host = NULL};

    if (!image->name)
        return false;
    if (mir_starts_with(image->name, wanted->text) && image->name[strlen(wanted->text)] == '@')
        return true;
    if (!wanted->is_ref || !img_ref_parse(mir_span_of(image->name), &name, &ignored))
        return false;
    return strcmp(ref->host, name.host) == 0 && strcmp(ref->repo, name.repo) == 0 &&
           (!ref->tag || (name.tag && strcmp(ref->tag, name.tag) == 0)) &&
           (!ref->has_digest || img_digest_equal(&ref->digest, &image->digest));
}

/* How many images match; *out is the first. */
static size_t count_matches(const struct bundle_reader *reader, const struct wanted *wanted,
                            bool (*matches)(const struct bundle_image *, const struct wanted *),
                            const struct bundle_image **out)
{
    size_t count = 0;

    for (size_t i = 0; i < reader->names.count; i++) {
        if (!matches(&reader->names.images[i], wanted))
            continue;
        if (count == 0)
            *out = &reader->names.images[i];
        count++;
    }
    return count;
}

static size_t count_named(const struct bundle_reader *reader, const char *text,
                          const struct bundle_image **out)
{
    struct mir_error ignored = MIR_ERROR_INIT; /* layouts may name images anyhow */
    struct wanted wanted = {.text = text};
    size_t count = count_matches(reader, &wanted, is_named, out);

    if (count > 0)
        return count;
    wanted.is_ref = img_ref_parse(mir_span_of(text), &wanted.ref, &ignored);
    count = count_matches(reader, &wanted, is_meant, out);
    if (wanted.is_ref)
        img_ref_release(&wanted.ref);
    return count;
}

static bool not_found(const struct bundle_reader *reader, const char *ref, struct mir_error *err)
{
    char names[sizeof(err->hint)] = "";
    size_t used = 0;

    (void)mir_fail(err, MIR_E_NOT_FOUND, "%s: no image named %s", reader->path, ref);
    for (size_t i = 0; i < reader->names.count && used < sizeof(names); i++) {
        const char *name = reader->names.images[i].name;

        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i == 0 ? "" : ", ",
                                 name ? name : "(no name)");
    }
    if (reader->names.count == 0)
        return mir_hint(err, "the bundle holds no image");
    return mir_hint(err, "take one of its %zu: %s", reader->names.count, names);
}

bool bundle_reader_select(const struct bundle_reader *reader, const char *ref,
                          const struct bundle_image **out, struct mir_error *err)
{
    const struct bundle_image *image = NULL;
    size_t count;

    if (ref[0] == '@')
        return select_by_number(reader, ref + 1, out, err);
    count = count_named(reader, ref, &image);
    if (count == 0)
        return not_found(reader, ref, err);
    if (count > 1) {
        (void)mir_fail(err, MIR_E_CONFLICT, "%s: %zu images are named %s", reader->path, count,
                       ref);
        return mir_hint(err, "select one by its number: @0 is the first of index.json");
    }
    *out = image;
    return true;
}

/* ---- blobs ---- */

const struct bundle_entry *bundle_reader_entry(const struct bundle_reader *reader,
                                               const struct img_digest *digest)
{
    struct bundle_entry key = {.blob = {.digest = *digest}};

    if (reader->entry_count == 0)
        return NULL;
    return bsearch(&key, reader->entries, reader->entry_count, sizeof(key), compare_entries);
}

const struct bundle_blob *bundle_reader_find(const struct bundle_reader *reader,
                                             const struct img_digest *digest)
{
    const struct bundle_entry *entry = bundle_reader_entry(reader, digest);

    if (reader->pipe)
        return bundle_pipe_find(reader->pipe, digest);
    return entry ? &entry->blob : NULL;
}

char *bundle_reader_where(const struct bundle_reader *reader, const struct img_digest *digest)
{
    const struct bundle_entry *entry = bundle_reader_entry(reader, digest);

    if (!entry || !reader->volumes)
        return mir_strdup("");
    return bundle_volumes_where(reader->volumes, entry->offset, entry->blob.size);
}

static bool missing(const struct bundle_reader *reader, const struct img_digest *digest,
                    struct mir_error *err)
{
    (void)mir_fail(err, MIR_E_NOT_FOUND, "%s: the blob %s is missing", reader->path, digest->text);
    return reader->pipe && mir_hint(err, "manifests that come after other blobs are not found in a "
                                         "pipe: if it has them, save it to a file first");
}

static bool check_range(const struct bundle_reader *reader, const struct bundle_entry *entry,
                        uint64_t offset, uint64_t len, struct mir_error *err)
{
    uint64_t end;

    if (!__builtin_add_overflow(offset, len, &end) && end <= entry->blob.size)
        return true;
    return mir_fail(err, MIR_E_FORMAT,
                    "%s: blob %s: %" PRIu64 " bytes at %" PRIu64 " are not all within its %" PRIu64
                    " bytes",
                    reader->path, entry->blob.digest.text, len, offset, entry->blob.size);
}

bool bundle_reader_open_range(const struct bundle_reader *reader, const struct bundle_blob *blob,
                              uint64_t offset, uint64_t len, int *fd, uint64_t *fd_offset,
                              struct mir_error *err)
{
    const struct bundle_entry *entry = bundle_reader_entry(reader, &blob->digest);
    int file, copy;

    if (!entry)
        return missing(reader, &blob->digest, err);
    if (!check_range(reader, entry, offset, len, err))
        return false;
    if (reader->form == BUNDLE_FORM_DIR) {
        *fd_offset = offset;
        return bundle_dir_open_blob(reader, &blob->digest, fd, err);
    }
    if (!bundle_volumes_is_in_one(reader->volumes, entry->offset + offset, len, &file, fd_offset)) {
        *fd = -1;
        return true;
    }
    copy = fcntl(file, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return mir_fail_errno(err, "%s: open blob %s", reader->path, blob->digest.text);
    *fd = copy;
    return true;
}

static bool read_entry(const struct bundle_reader *reader, const struct bundle_entry *entry,
                       uint64_t offset, void *data, size_t len, struct mir_error *err)
{
    auto_close int fd = -1;

    if (reader->form == BUNDLE_FORM_TAR)
        return bundle_volumes_pread(reader->volumes, data, len, entry->offset + offset, err);
    return bundle_dir_open_blob(reader, &entry->blob.digest, &fd, err) &&
           mir_pread_full(fd, data, len, offset, err);
}

bool bundle_reader_read(const struct bundle_reader *reader, const struct bundle_blob *blob,
                        uint64_t offset, void *data, size_t len, struct mir_error *err)
{
    const struct bundle_entry *entry = bundle_reader_entry(reader, &blob->digest);

    if (reader->pipe)
        return bundle_pipe_read(reader, blob, offset, data, len, err);
    if (!entry)
        return missing(reader, &blob->digest, err);
    if (!check_range(reader, entry, offset, len, err))
        return false;
    if (!read_entry(reader, entry, offset, data, len, err))
        return mir_context(err, "%s: blob %s", reader->path, blob->digest.text);
    return true;
}

bool bundle_reader_load(const struct bundle_reader *reader, const struct img_digest *digest,
                        size_t max, char **bytes, size_t *len, struct mir_error *err)
{
    auto_free char *data = NULL;
    const struct bundle_blob *blob = bundle_reader_find(reader, digest);
    struct img_digest got;
    size_t size;

    if (!blob)
        return missing(reader, digest, err);
    if (blob->size > max || !mir_size_from_u64(blob->size, &size))
        return mir_fail(err, MIR_E_LIMIT,
                        "%s: blob %s: %" PRIu64 " bytes are over the limit of %zu", reader->path,
                        digest->text, blob->size, max);
    data = mir_alloc(size + 1);
    if (!bundle_reader_read(reader, blob, 0, data, size, err))
        return false;
    img_digest_of(img_digest_algo(digest), mir_span(data, size), &got);
    if (!img_digest_check(digest, &got, err)) {
        auto_free char *where = bundle_reader_where(reader, digest);

        return mir_context(err, "%s is damaged%s", reader->path, where);
    }
    *len = size;
    *bytes = mir_steal(&data);
    return true;
}
