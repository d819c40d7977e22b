/*
 * What a disk may hold after the power failed, from a record of what a program did to it.
 *
 *   powerloss RECORD BEFORE count            how many steps it has
 *   powerloss RECORD BEFORE replay OUT       the folder as the program left it, in OUT
 *   powerloss RECORD BEFORE build OUT SEED   one such folder in OUT; says in a line how it came
 * about
 *
 * RECORD is written by tests/lib/preload/powerlog.c; BEFORE is a copy of the folder as it was when
 * the record began, all of which is on the disk. Called by tests/integration/power-loss.sh.
 *
 * The model, which is what POSIX promises and no more: bytes and sizes of a file are on the disk
 * once it was synced; names in a directory are once that directory was. What came after the last
 * sync is there in part: any of the writes of a file, whole or the first sectors of them, the size
 * with the bytes or without (they are zeros then), any of the changes of names; of a rename perhaps
 * only that the new name is there. Which of it is drawn from the seed, as is the moment: SEED 0 is
 * the end of the record with nothing but what was synced, and every second moment is beside a sync
 * or a change of names, because that is where an order is kept or broken. OUT must not be there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "lib/preload/powerlog.h"

#define FILE_MAX   (256u << 20)
#define RECORD_MAX (1u << 30)
#define SECTOR     512

struct op {
    enum powerlog_kind kind;
    uint32_t id;
    uint64_t offset;
    char *path;
    char *to; /* of a rename */
    struct mir_span data;
};

/* A file: what is on the disk, and the ops since. */
struct file {
    uint32_t id;
    char *bytes;
    size_t size, capacity;
    const struct op **pending;
    size_t pending_count, pending_capacity;
};

/* A name: what it stands for, a file's id or DIRECTORY; GONE when it does not exist. */
#define GONE      0
#define DIRECTORY UINT32_MAX
struct name {
    char *path;
    uint32_t now;  /* as the program sees it */
    uint32_t disk; /* as the disk has it */
};

/* A change of names that is not on the disk yet. */
struct change {
    char *dir;          /* that has to be synced */
    struct name *set;   /* gets id; NULL: none */
    struct name *clear; /* loses its own; NULL: none */
    uint32_t id;
};

struct world {
    char *record;
    struct op *ops;
    size_t op_count, op_capacity;
    struct file **files;
    size_t file_count, file_capacity;
    struct name **names;
    size_t name_count, name_capacity;
    struct change *changes;
    size_t change_count, change_capacity;
    uint32_t before_id; /* counts down for the files of BEFORE */
    uint64_t random;
};

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "powerloss: %s\n", what);
    exit(2);
}

static void check_error(bool ok, const struct mir_error *err)
{
    check(ok, err->text);
}

/* splitmix64 */
static uint64_t draw(struct world *w, uint64_t below)
{
    uint64_t z;

    w->random += UINT64_C(0x9e3779b97f4a7c15);
    z = w->random;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

/* ---- the record ---- */

static void read_record(struct world *w, const char *path)
{
    struct mir_error err = MIR_ERROR_INIT;
    size_t len, at = 0;

    check_error(mir_file_read(path, RECORD_MAX, &w->record, &len, &err), &err);
    while (at < len) {
        struct powerlog_record head;
        struct op *op;

        check(len - at >= sizeof(head), "the record is cut short");
        memcpy(&head, w->record + at, sizeof(head));
        at += sizeof(head);
        check(len - at >= (size_t)head.path_len + head.data_len, "the record is cut short");
        mir_grow(&w->ops, w->op_count, &w->op_capacity, sizeof(*w->ops));
        op = &w->ops[w->op_count++];
        *op = (struct op){.kind = (enum powerlog_kind)head.kind,
                          .id = head.id,
                          .offset = head.offset,
                          .path = mir_strndup(w->record + at, head.path_len),
                          .data = mir_span(w->record + at + head.path_len, head.data_len)};
        if (op->kind == POWERLOG_RENAME)
            op->to = mir_strndup(op->data.ptr, op->data.len);
        at += (size_t)head.path_len + head.data_len;
    }
}

/* ---- files ---- */

static struct file *find_file(struct world *w, uint32_t id)
{
    for (size_t i = 0; i < w->file_count; i++)
        if (w->files[i]->id == id)
            return w->files[i];
    check(false, "the record speaks of a file that it never opened");
    return NULL;
}

static struct file *add_file(struct world *w, uint32_t id)
{
    struct file *file = mir_alloc(sizeof(*file));

    file->id = id;
    mir_grow(&w->files, w->file_count, &w->file_capacity, sizeof(*w->files));
    w->files[w->file_count++] = file;
    return file;
}

static void resize(struct file *file, uint64_t size)
{
    check(size <= FILE_MAX, "a file is too large");
    if (size > file->capacity) {
        file->capacity = (size_t)size + (size_t)size / 2;
        file->bytes = mir_realloc_array(file->bytes, file->capacity, 1);
    }
    if (size > file->size)
        memset(file->bytes + file->size, 0, (size_t)size - file->size);
    file->size = (size_t)size;
}

/* The first len bytes of a write, or a new size. */
static void apply(struct file *file, const struct op *op, size_t len)
{
    if (op->kind == POWERLOG_RESIZE) {
        resize(file, op->offset);
        return;
    }
    if (op->offset + len > file->size)
        resize(file, op->offset + len);
    memcpy(file->bytes + op->offset, op->data.ptr, len);
}

static void sync_file(struct file *file)
{
    for (size_t i = 0; i < file->pending_count; i++)
        apply(file, file->pending[i], file->pending[i]->data.len);
    file->pending_count = 0;
}

static void add_pending(struct file *file, const struct op *op)
{
    mir_grow(&file->pending, file->pending_count, &file->pending_capacity, sizeof(*file->pending));
    file->pending[file->pending_count++] = op;
}

/* ---- names ---- */

static struct name *get_name(struct world *w, const char *path)
{
    struct name *name;

    for (size_t i = 0; i < w->name_count; i++)
        if (strcmp(w->names[i]->path, path) == 0)
            return w->names[i];
    name = mir_alloc(sizeof(*name));
    name->path = mir_strdup(path);
    mir_grow(&w->names, w->name_count, &w->name_capacity, sizeof(*w->names));
    w->names[w->name_count++] = name;
    return name;
}

/* The directory a name is in; the folder itself is "". */
static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return mir_strndup(path, slash ? (size_t)(slash - path) : 0);
}

static void change(struct world *w, struct name *set, struct name *clear, uint32_t id)
{
    if (set)
        set->now = id;
    if (clear)
        clear->now = GONE;
    mir_grow(&w->changes, w->change_count, &w->change_capacity, sizeof(*w->changes));
    w->changes[w->change_count++] = (struct change){
        .dir = dir_of(set ? set->path : clear->path), .set = set, .clear = clear, .id = id};
}

static void sync_dir(struct world *w, const char *dir)
{
    size_t kept = 0;

    for (size_t i = 0; i < w->change_count; i++) {
        struct change *c = &w->changes[i];

        if (strcmp(c->dir, dir) != 0) {
            w->changes[kept++] = *c;
            continue;
        }
        if (c->set)
            c->set->disk = c->id;
        if (c->clear)
            c->clear->disk = GONE;
        free(c->dir);
    }
    w->change_count = kept;
}

/* ---- before ---- */

static void load_file(struct world *w, const char *root, const char *path, uint32_t id)
{
    auto_free char *full = mir_format("%s/%s", root, path);
    struct mir_error err = MIR_ERROR_INIT;
    struct file *file = add_file(w, id);

    check_error(mir_file_read(full, FILE_MAX, &file->bytes, &file->size, &err), &err);
    file->capacity = file->size;
}

static void load_folder(struct world *w, const char *root, const char *dir)
{
    auto_free char *full = mir_format("%s/%s", root, dir);
    DIR *stream = opendir(full);

    check(stream != NULL, "cannot read BEFORE");
    for (const struct dirent *entry = readdir(stream); entry; entry = readdir(stream)) {
        auto_free char *path =
            dir[0] == '\0' ? mir_strdup(entry->d_name) : mir_format("%s/%s", dir, entry->d_name);
        struct name *name;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        name = get_name(w, path);
        name->now = name->disk = entry->d_type == DT_DIR ? DIRECTORY : --w->before_id;
        if (entry->d_type == DT_DIR)
            load_folder(w, root, path);
        else
            load_file(w, root, path, name->now);
    }
    (void)closedir(stream);
}

/* ---- what happened up to the moment ---- */

/* A file of BEFORE gets the number that the record has for it. */
static void adopt(struct world *w, const struct op *op)
{
    struct name *name = get_name(w, op->path);
    uint32_t old = name->now;

    check(old != GONE && old != DIRECTORY, "the record opens a file that is not there");
    find_file(w, old)->id = op->id;
    for (size_t i = 0; i < w->name_count; i++) {
        w->names[i]->now = w->names[i]->now == old ? op->id : w->names[i]->now;
        w->names[i]->disk = w->names[i]->disk == old ? op->id : w->names[i]->disk;
    }
    for (size_t i = 0; i < w->change_count; i++)
        w->changes[i].id = w->changes[i].id == old ? op->id : w->changes[i].id;
}

static void happen(struct world *w, const struct op *op)
{
    switch (op->kind) {
    case POWERLOG_CREATE:
        (void)add_file(w, op->id);
        change(w, get_name(w, op->path), NULL, op->id);
        break;
    case POWERLOG_OPEN:
        adopt(w, op);
        break;
    case POWERLOG_WRITE:
    case POWERLOG_RESIZE:
        add_pending(find_file(w, op->id), op);
        break;
    case POWERLOG_SYNC:
        sync_file(find_file(w, op->id));
        break;
    case POWERLOG_SYNC_DIR:
        sync_dir(w, op->path);
        break;
    case POWERLOG_RENAME:
        change(w, get_name(w, op->to), get_name(w, op->path), get_name(w, op->path)->now);
        break;
    case POWERLOG_UNLINK:
        change(w, NULL, get_name(w, op->path), GONE);
        break;
    case POWERLOG_MKDIR:
        change(w, get_name(w, op->path), NULL, DIRECTORY);
        break;
    }
}

/* ---- what survives of the rest ---- */

enum mood {
    MOOD_NOTHING,
    MOOD_ALL,
    MOOD_SOME,
    MOOD_SIZES, /* sizes without the bytes */
    MOODS,
};
static const char *const mood_names[MOODS] = {"nothing", "all", "some", "sizes"};

static bool survives(struct world *w, enum mood mood)
{
    return mood == MOOD_ALL || (mood == MOOD_SOME && draw(w, 2) == 0);
}

static void survive_file(struct world *w, struct file *file, enum mood mood)
{
    for (size_t i = 0; i < file->pending_count; i++) {
        const struct op *op = file->pending[i];
        size_t len = op->data.len;

        if (mood == MOOD_SIZES) {
            if (op->kind == POWERLOG_RESIZE)
                resize(file, op->offset);
            else if (op->offset + len > file->size)
                resize(file, op->offset + len);
            continue;
        }
        if (!survives(w, mood))
            continue;
        /* A write need not arrive whole. */
        if (mood == MOOD_SOME && len > SECTOR && draw(w, 4) == 0)
            len = (size_t)draw(w, len / SECTOR) * SECTOR;
        apply(file, op, len);
    }
}

static void survive_names(struct world *w, enum mood mood)
{
    for (size_t i = 0; i < w->change_count; i++) {
        struct change *c = &w->changes[i];

        if (!survives(w, mood))
            continue;
        if (c->set)
            c->set->disk = c->id;
        if (c->clear && (!c->set || mood == MOOD_ALL || draw(w, 8) != 0))
            c->clear->disk = GONE;
    }
}

/* ---- the folder ---- */

static int by_path(const void *a, const void *b)
{
    return strcmp((*(struct name *const *)a)->path, (*(struct name *const *)b)->path);
}

static bool dir_is_there(struct world *w, const char *path)
{
    auto_free char *dir = dir_of(path);

    return dir[0] == '\0' || (get_name(w, dir)->disk == DIRECTORY && dir_is_there(w, dir));
}

static void build(struct world *w, const char *out)
{
    check(mkdir(out, 0777) == 0, "cannot create OUT");
    qsort(w->names, w->name_count, sizeof(*w->names), by_path);
    for (size_t i = 0; i < w->name_count; i++) {
        const struct name *name = w->names[i];
        auto_free char *path = mir_format("%s/%s", out, name->path);
        struct mir_error err = MIR_ERROR_INIT;

        if (name->disk == GONE || !dir_is_there(w, name->path))
            continue;
        if (name->disk == DIRECTORY) {
            check(mkdir(path, 0777) == 0, "cannot create a directory in OUT");
        } else {
            const struct file *file = find_file(w, name->disk);
            auto_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

            check(fd >= 0, "cannot create a file in OUT");
            check_error(mir_write_full(fd, mir_span(file->bytes, file->size), &err), &err);
        }
    }
}

/* Before which op the power fails. */
static size_t draw_moment(struct world *w)
{
    size_t turns = 0;
    size_t at;

    if (draw(w, 2) == 0)
        return (size_t)draw(w, w->op_count + 1);
    for (size_t i = 0; i < w->op_count; i++)
        turns += w->ops[i].kind >= POWERLOG_SYNC;
    if (turns == 0)
        return w->op_count;
    turns = (size_t)draw(w, turns);
    for (at = 0; at < w->op_count; at++)
        if (w->ops[at].kind >= POWERLOG_SYNC && turns-- == 0)
            break;
    return at + (size_t)draw(w, 2);
}

static void survive(struct world *w, size_t moment, enum mood bytes, enum mood names)
{
    for (size_t i = 0; i < moment; i++)
        happen(w, &w->ops[i]);
    for (size_t i = 0; i < w->file_count; i++)
        survive_file(w, w->files[i], bytes);
    survive_names(w, names);
}

static void fail_power(struct world *w, uint64_t seed)
{
    size_t moment = w->op_count;
    enum mood names = MOOD_NOTHING;
    enum mood bytes = MOOD_NOTHING;

    w->random = seed;
    if (seed > 0) {
        moment = draw_moment(w);
        names = (enum mood)draw(w, MOOD_SIZES);
        bytes = (enum mood)draw(w, MOODS);
    }
    (void)printf("before step %zu of %zu; unsynced: %s of the bytes, %s of the names\n", moment,
                 w->op_count, mood_names[bytes], mood_names[names]);
    survive(w, moment, bytes, names);
}

static void free_world(struct world *w)
{
    for (size_t i = 0; i < w->op_count; i++) {
        free(w->ops[i].path);
        free(w->ops[i].to);
    }
    for (size_t i = 0; i < w->file_count; i++) {
        free(w->files[i]->bytes);
        free(w->files[i]->pending);
        free(w->files[i]);
    }
    for (size_t i = 0; i < w->name_count; i++) {
        free(w->names[i]->path);
        free(w->names[i]);
    }
    for (size_t i = 0; i < w->change_count; i++)
        free(w->changes[i].dir);
    free(w->record);
    free(w->ops);
    free(w->files);
    free(w->names);
    free(w->changes);
}

static bool is_command(int argc, char **argv, const char *name, int want)
{
    return argc == want && strcmp(argv[3], name) == 0;
}

int main(int argc, char **argv)
{
    struct world w = {.before_id = DIRECTORY};
    uint64_t seed = 0;

    if (!is_command(argc, argv, "count", 4) && !is_command(argc, argv, "replay", 5) &&
        !(is_command(argc, argv, "build", 6) &&
          mir_parse_u64(mir_span_of(argv[5]), UINT64_MAX, &seed))) {
        (void)fputs("usage: powerloss RECORD BEFORE count | replay OUT | build OUT SEED\n", stderr);
        return 2;
    }
    read_record(&w, argv[1]);
    load_folder(&w, argv[2], "");
    if (argc == 4)
        (void)printf("%zu\n", w.op_count);
    else if (argc == 5)
        survive(&w, w.op_count, MOOD_ALL, MOOD_ALL);
    else
        fail_power(&w, seed);
    if (argc > 4)
        build(&w, argv[4]);
    free_world(&w);
    return 0;
}
