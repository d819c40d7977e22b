/*
 * Writing a bundle as a directory, an OCI image layout that may hold other images already. A blob
 * grows as blobs/ALGO/.HEX.partial and gets its name when it is finished and synced; index.json is
 * replaced last, in one rename. Called by writer.c.
 *
 * Invariant: what stood there before stays as it was until commit, and after an abort: only blobs
 * that this run brought are ever removed. The directory is locked while it is written.
 */
#include "bundle/writer_priv.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "bundle/layout_priv.h"

/* A blob that stands there is known by name and size; up to this size its digest is checked too.
 * That covers what decides what an image is (manifests, configs) and costs little. Larger ones got
 * their name after a sync, here and in other tools; `mirror verify` reads them. */
#define PRESENT_HASH_MAX (1u << 20)

#define PARTIAL_SUFFIX ".partial"

static const char *const algo_dirs[] = {"blobs/sha256", "blobs/sha512"};
#define ALGO_DIRS (sizeof(algo_dirs) / sizeof(algo_dirs[0]))

static const char *partial_path(const struct img_digest *digest, char path[BUNDLE_PATH_MAX])
{
    (void)snprintf(path, BUNDLE_PATH_MAX, "blobs/%s/.%s" PARTIAL_SUFFIX,
                   img_digest_algo_name(digest), img_digest_hex(digest));
    return path;
}

/* ---- begin: the directory ---- */

static bool open_directory(struct bundle_writer *writer, struct mir_error *err)
{
    if (mkdir(writer->path, 0777) == 0) {
        writer->made_dir = true;
    } else if (errno == ENOENT) {
        (void)mir_fail_errno(err, "create directory %s", writer->path);
        return mir_hint(err, "create the directory that shall hold it first");
    } else if (errno != EEXIST) {
        return mir_fail_errno(err, "create directory %s", writer->path);
    }
    writer->dir = open(writer->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (writer->dir < 0 && errno == ENOTDIR) {
        (void)mir_fail(err, MIR_E_USAGE, "%s is not a directory", writer->path);
        return mir_hint(err, "name a directory, or write a file with bundle:%s", writer->path);
    }
    if (writer->dir < 0)
        return mir_fail_errno(err, "open %s", writer->path);
    if (flock(writer->dir, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return mir_fail(err, MIR_E_CONFLICT, "%s is being written by another process",
                        writer->path);
    return true;
}

/* Is it what mir_file_write() calls a file while it writes it: NAME.XXXXXX? */
static bool is_temporary_of(const char *entry, const char *name)
{
    size_t len = strlen(name);

    return strncmp(entry, name, len) == 0 && entry[len] == '.' && strlen(entry + len + 1) == 6 &&
           strspn(entry + len + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789") == 6;
}

/* What a run that was killed between creating and renaming left; the directory is locked. */
static void remove_temporaries(const struct bundle_writer *writer)
{
    DIR *stream = opendir(writer->path);

    if (!stream)
        return;
    for (const struct dirent *entry = readdir(stream); entry; entry = readdir(stream))
        if (is_temporary_of(entry->d_name, BUNDLE_LAYOUT_NAME) ||
            is_temporary_of(entry->d_name, BUNDLE_INDEX_NAME))
            (void)unlinkat(writer->dir, entry->d_name, 0);
    (void)closedir(stream);
}

/* May a layout begin here? A killed run leaves blobs/ alone. */
static bool is_empty_but_blobs(const char *path)
{
    DIR *stream = opendir(path);
    bool empty = stream != NULL;

    if (!stream)
        return false;
    for (const struct dirent *entry = readdir(stream); entry; entry = readdir(stream))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, "blobs") != 0)
            empty = false;
    (void)closedir(stream);
    return empty;
}

static bool begin_layout_file(struct bundle_writer *writer, struct mir_error *err)
{
    auto_free char *path = mir_format("%s/" BUNDLE_LAYOUT_NAME, writer->path);
    auto_free char *text = NULL;
    size_t len;

    remove_temporaries(writer);
    if (faccessat(writer->dir, BUNDLE_LAYOUT_NAME, F_OK, 0) == 0)
        return mir_file_read(path, BUNDLE_LAYOUT_MAX, &text, &len, err) &&
               bundle_layout_check(mir_span(text, len), path, err);
    if (!is_empty_but_blobs(writer->path)) {
        (void)mir_fail(err, MIR_E_CONFLICT, "%s is neither empty nor an OCI image layout",
                       writer->path);
        return mir_hint(err, "name a new directory");
    }
    writer->made_layout = true;
    return mir_file_write(path, mir_span_of(BUNDLE_LAYOUT_TEXT), 0644, err);
}

/* The index.json that stands there, empty if none does; the caller frees. */
static bool read_index(const struct bundle_writer *writer, char **text, size_t *len,
                       struct mir_error *err)
{
    auto_free char *path = mir_format("%s/" BUNDLE_INDEX_NAME, writer->path);

    if (faccessat(writer->dir, BUNDLE_INDEX_NAME, F_OK, 0) != 0) {
        *text = mir_strdup("");
        *len = 0;
        return true;
    }
    return mir_file_read(path, BUNDLE_INDEX_MAX, text, len, err);
}

/* Can we merge with it later? Better to know before anything is fetched. */
static bool check_index(struct bundle_writer *writer, struct mir_error *err)
{
    auto_free char *path = mir_format("%s/" BUNDLE_INDEX_NAME, writer->path);
    auto_free char *old = NULL, *merged = NULL;
    size_t old_len, merged_len;

    return read_index(writer, &old, &old_len, err) &&
           bundle_index_merge(mir_span(old, old_len), path, writer->plan->images,
                              writer->plan->image_order, writer->plan->image_count, &merged,
                              &merged_len, err);
}

static bool make_directory(const struct bundle_writer *writer, const char *name, bool *made,
                           struct mir_error *err)
{
    if (mkdirat(writer->dir, name, 0777) == 0)
        *made = true;
    else if (errno != EEXIST)
        return mir_fail_errno(err, "create directory %s/%s", writer->path, name);
    return true;
}

static bool make_blob_dirs(struct bundle_writer *writer, struct mir_error *err)
{
    bool needed[ALGO_DIRS] = {true, false};

    for (size_t i = 0; i < writer->plan->blob_count; i++)
        if (img_digest_algo(&writer->plan->blobs[i].digest) == MIR_HASH_SHA512)
            needed[1] = true;
    if (!make_directory(writer, "blobs", &writer->made_blobs, err))
        return false;
    for (size_t i = 0; i < ALGO_DIRS; i++)
        if (needed[i] && !make_directory(writer, algo_dirs[i], &writer->made_algo[i], err))
            return false;
    return true;
}

/* ---- begin: the blobs ---- */

static bool has_right_digest(int fd, const struct bundle_blob *blob)
{
    auto_free char *bytes = mir_alloc((size_t)blob->size);
    struct mir_error ignored = MIR_ERROR_INIT; /* a blob we cannot read is brought again */
    struct img_digest got;

    if (!mir_pread_full(fd, bytes, (size_t)blob->size, 0, &ignored))
        return false;
    img_digest_of(img_digest_algo(&blob->digest), mir_span(bytes, (size_t)blob->size), &got);
    return img_digest_equal(&got, &blob->digest);
}

static bool is_present(const struct bundle_writer *writer, const struct bundle_blob *blob)
{
    char path[BUNDLE_PATH_MAX];
    auto_close int fd = openat(writer->dir, bundle_blob_path(&blob->digest, path),
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) ||
        (uint64_t)info.st_size != blob->size)
        return false;
    return blob->size > PRESENT_HASH_MAX || has_right_digest(fd, blob);
}

/* How much of an absent blob an earlier run left. */
static uint64_t find_partial(const struct bundle_writer *writer, const struct bundle_blob *blob)
{
    char path[BUNDLE_PATH_MAX];
    struct stat info;

    if (fstatat(writer->dir, partial_path(&blob->digest, path), &info, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    if (S_ISREG(info.st_mode) && (uint64_t)info.st_size <= blob->size)
        return (uint64_t)info.st_size;
    (void)unlinkat(writer->dir, path, 0); /* what cannot be removed is in the way later */
    return 0;
}

static bool check_blobs(struct bundle_writer *writer, struct mir_error *err)
{
    const struct bundle_plan *plan = writer->plan;
    uint64_t missing = plan->index_len;

    writer->fds = mir_alloc_array(plan->blob_count, sizeof(*writer->fds));
    for (size_t i = 0; i < plan->blob_count; i++) {
        writer->fds[i] = -1;
        if (is_present(writer, &plan->blobs[i])) {
            atomic_store(&writer->states[i], BUNDLE_BLOB_PRESENT);
            continue;
        }
        writer->reached[i] = find_partial(writer, &plan->blobs[i]);
        missing += plan->blobs[i].size - writer->reached[i]; /* their sum fits a file */
    }
    return bundle_space_check(writer->dir, writer->path, missing, err);
}

bool bundle_dir_begin(struct bundle_writer *writer, struct mir_error *err)
{
    return open_directory(writer, err) && begin_layout_file(writer, err) &&
           check_index(writer, err) && make_blob_dirs(writer, err) && check_blobs(writer, err);
}

/* ---- blobs ---- */

/* Open what there is of a blob, cut to what is reached, with room for the rest. */
static bool open_blob(struct bundle_writer *writer, size_t blob, struct mir_error *err)
{
    const struct bundle_blob *target = &writer->plan->blobs[blob];
    char path[BUNDLE_PATH_MAX];
    struct stat info;
    int fd;

    if (writer->fds[blob] >= 0)
        return true;
    fd = openat(writer->dir, partial_path(&target->digest, path),
                O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (fd < 0)
        return mir_fail_errno(err, "create %s/%s", writer->path, path);
    writer->fds[blob] = fd;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return mir_fail(err, MIR_E_IO, "%s/%s is in the way: it is not a regular file",
                        writer->path, path);
    if (ftruncate(fd, (off_t)writer->reached[blob]) != 0)
        return mir_fail_errno(err, "cut %s/%s", writer->path, path);
    return bundle_space_reserve(fd, writer->path, target->size, err);
}

bool bundle_dir_write(struct bundle_writer *writer, size_t blob, uint64_t offset,
                      struct mir_span bytes, struct mir_error *err)
{
    char path[BUNDLE_PATH_MAX];

    if (!open_blob(writer, blob, err))
        return false;
    if (!mir_pwrite_full(writer->fds[blob], bytes, offset, err))
        return mir_context(err, "write %s/%s", writer->path,
                           partial_path(&writer->plan->blobs[blob].digest, path));
    return true;
}

bool bundle_dir_read(struct bundle_writer *writer, size_t blob, uint64_t offset, void *data,
                     size_t len, struct mir_error *err)
{
    char path[BUNDLE_PATH_MAX];

    if (!open_blob(writer, blob, err))
        return false;
    if (!mir_pread_full(writer->fds[blob], data, len, offset, err))
        return mir_context(err, "read %s/%s", writer->path,
                           partial_path(&writer->plan->blobs[blob].digest, path));
    return true;
}

void bundle_dir_reset(struct bundle_writer *writer, size_t blob)
{
    char path[BUNDLE_PATH_MAX];

    writer->reached[blob] = 0;
    if (writer->fds[blob] >= 0)
        (void)close(mir_steal_fd(&writer->fds[blob]));
    /* Begun again it is cut, if it cannot be removed. */
    (void)unlinkat(writer->dir, partial_path(&writer->plan->blobs[blob].digest, path), 0);
}

bool bundle_dir_finish(struct bundle_writer *writer, size_t blob, struct mir_error *err)
{
    const struct img_digest *digest = &writer->plan->blobs[blob].digest;
    char partial[BUNDLE_PATH_MAX], path[BUNDLE_PATH_MAX];
    int fd;

    if (!open_blob(writer, blob, err)) /* an empty one was never written to */
        return false;
    (void)partial_path(digest, partial);
    (void)bundle_blob_path(digest, path);
    if (fsync(writer->fds[blob]) != 0)
        return mir_fail_errno(err, "sync %s/%s", writer->path, partial);
    fd = mir_steal_fd(&writer->fds[blob]);
    if (close(fd) != 0)
        return mir_fail_errno(err, "close %s/%s", writer->path, partial);
    if (renameat(writer->dir, partial, writer->dir, path) != 0)
        return mir_fail_errno(err, "rename %s/%s", writer->path, partial);
    return true;
}

/* Undo a blob that this run brought, and what there is of one that is absent. */
static void remove_blob(struct bundle_writer *writer, size_t blob)
{
    char path[BUNDLE_PATH_MAX];

    switch ((enum bundle_blob_state)atomic_load(&writer->states[blob])) {
    case BUNDLE_BLOB_PRESENT:
        break;
    case BUNDLE_BLOB_FINISHED:
        (void)unlinkat(writer->dir, bundle_blob_path(&writer->plan->blobs[blob].digest, path), 0);
        atomic_store(&writer->states[blob], BUNDLE_BLOB_ABSENT);
        break;
    case BUNDLE_BLOB_ABSENT:
        bundle_dir_reset(writer, blob);
        break;
    }
}

/* Take the name from a blob that this run brought: no image has it, and the next run may want it.
 */
static void put_back(struct bundle_writer *writer, size_t blob)
{
    const struct img_digest *digest = &writer->plan->blobs[blob].digest;
    char partial[BUNDLE_PATH_MAX], path[BUNDLE_PATH_MAX];

    if (atomic_load(&writer->states[blob]) != BUNDLE_BLOB_FINISHED) {
        if (writer->reached[blob] == 0)
            remove_blob(writer, blob);
        return;
    }
    if (renameat(writer->dir, bundle_blob_path(digest, path), writer->dir,
                 partial_path(digest, partial)) != 0)
        (void)unlinkat(writer->dir, path, 0); /* if it stays, it is one too many: no harm */
    atomic_store(&writer->states[blob], BUNDLE_BLOB_ABSENT);
}

void bundle_dir_drop(struct bundle_writer *writer)
{
    for (size_t i = 0; i < writer->plan->blob_count; i++)
        if (!writer->kept_blobs[i])
            put_back(writer, i);
}

/* ---- the end ---- */

static bool sync_directory(const struct bundle_writer *writer, const char *name,
                           struct mir_error *err)
{
    auto_close int fd = openat(writer->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT || mir_fail_errno(err, "open %s/%s", writer->path, name);
    if (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP)
        return mir_fail_errno(err, "sync %s/%s", writer->path, name);
    return true;
}

/* The images that stay, in their order in index.json. The caller frees. */
static size_t *kept_order(const struct bundle_writer *writer, size_t *count)
{
    const struct bundle_plan *plan = writer->plan;
    size_t *order = mir_alloc_array(plan->image_count, sizeof(*order));

    *count = 0;
    for (size_t i = 0; i < plan->image_count; i++)
        if (!writer->kept_images || writer->kept_images[plan->image_order[i]])
            order[(*count)++] = plan->image_order[i];
    return order;
}

static bool write_index(struct bundle_writer *writer, struct mir_error *err)
{
    auto_free char *path = mir_format("%s/" BUNDLE_INDEX_NAME, writer->path);
    auto_free char *old = NULL, *merged = NULL;
    size_t count, old_len, merged_len;
    auto_free size_t *order = kept_order(writer, &count);

    if (!read_index(writer, &old, &old_len, err) ||
        !bundle_index_merge(mir_span(old, old_len), path, writer->plan->images, order, count,
                            &merged, &merged_len, err))
        return false;
    writer->index_begun = true;
    return mir_file_write(path, mir_span(merged, merged_len), 0644, err);
}

/* Everything that was asked for is there: what other runs left of other blobs goes. */
static void remove_partials(const struct bundle_writer *writer, const char *name)
{
    auto_close int fd = openat(writer->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;

    if (!stream)
        return;
    (void)mir_steal_fd(&fd); /* closed with the stream */
    for (const struct dirent *entry = readdir(stream); entry; entry = readdir(stream))
        if (entry->d_name[0] == '.' && mir_ends_with(entry->d_name, PARTIAL_SUFFIX))
            (void)unlinkat(dirfd(stream), entry->d_name, 0); /* if it stays, no harm */
    (void)closedir(stream);
}

bool bundle_dir_commit(struct bundle_writer *writer, struct mir_error *err)
{
    for (size_t i = 0; i < ALGO_DIRS; i++)
        if (!sync_directory(writer, algo_dirs[i], err))
            return false;
    /* A directory that this run made lasts once the one above it knows its name. */
    if (writer->made_dir && !sync_directory(writer, "..", err))
        return false;
    if (!sync_directory(writer, "blobs", err) || !write_index(writer, err))
        return false;
    for (size_t i = 0; i < ALGO_DIRS && !writer->kept_blobs; i++)
        remove_partials(writer, algo_dirs[i]);
    return true;
}

static bool has_brought(const struct bundle_writer *writer)
{
    for (size_t i = 0; writer->fds && i < writer->plan->blob_count; i++)
        if (writer->reached[i] > 0 || atomic_load(&writer->states[i]) == BUNDLE_BLOB_FINISHED)
            return true;
    return false;
}

void bundle_dir_suspend(struct bundle_writer *writer)
{
    if (!has_brought(writer))
        bundle_dir_abort(writer);
    for (size_t i = 0; writer->fds && i < writer->plan->blob_count; i++)
        if (writer->fds[i] >= 0)
            (void)close(mir_steal_fd(&writer->fds[i]));
}

void bundle_dir_abort(struct bundle_writer *writer)
{
    /* Once index.json may name them, blobs stay: too many do no harm, one too few does. */
    if (writer->dir < 0 || writer->index_begun)
        return;
    for (size_t i = 0; writer->fds && i < writer->plan->blob_count; i++)
        remove_blob(writer, i);
    for (size_t i = 0; i < ALGO_DIRS; i++)
        if (writer->made_algo[i])
            (void)unlinkat(writer->dir, algo_dirs[i], AT_REMOVEDIR);
    if (writer->made_blobs)
        (void)unlinkat(writer->dir, "blobs", AT_REMOVEDIR);
    if (writer->made_layout)
        (void)unlinkat(writer->dir, BUNDLE_LAYOUT_NAME, 0);
    if (writer->made_dir)
        (void)rmdir(writer->path);
}
