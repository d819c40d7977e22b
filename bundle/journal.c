/*
 * The journal of a set of files that is being written: its text, and its file. Called by the writer
 * of tars, which keeps it up to date, and by the next run, which finds in it where to go on.
 *
 * Invariant: a journal is written once, whole; after that only numbers of a fixed width change,
 * each with one small write, so that whatever moment a process is killed at, every line is
 * readable.
 */
#include "bundle/journal_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "bundle/volumes_priv.h"

#define MAGIC      "mirror-journal 1 "
#define HASH_HEX   64 /* digits of a plan's sha256 */
#define KEY_DIGITS 12
#define WIDTH_MAX  16
/* MAGIC, then state, bytes, volume bytes, count, width and plan, each with what follows it */
#define HEADER_BYTES (sizeof(MAGIC) - 1 + 11 + 17 + 17 + 9 + 3 + HASH_HEX + 1)
#define LINE_MAX     (KEY_DIGITS + 1 + WIDTH_MAX + 1 + WIDTH_MAX + 1)
#define FILE_MAX     (HEADER_BYTES + (size_t)BUNDLE_ENTRIES_MAX * LINE_MAX)
#define CHUNK_BYTES  65536

static const char *const state_texts[] = {
    [BUNDLE_JOURNAL_WRITING] = "writing   ",
    [BUNDLE_JOURNAL_MOVING] = "moving    ",
    [BUNDLE_JOURNAL_COMMITTING] = "committing",
};
#define STATES (sizeof(state_texts) / sizeof(state_texts[0]))

struct bundle_journal {
    char *path;
    int fd;
    struct bundle_record head; /* without places */
    unsigned width;
};

static size_t line_bytes(unsigned width)
{
    return KEY_DIGITS + 1 + width + 1 + width + 1;
}

static unsigned width_of(uint64_t bytes)
{
    unsigned digits = 1;

    while (digits < WIDTH_MAX && bytes >> (4 * digits) != 0)
        digits++;
    return digits;
}

/* ---- records ---- */

static bool take_hex(struct mir_span *text, size_t digits, uint64_t *out)
{
    uint64_t value = 0;

    if (text->len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        char c = text->ptr[i];

        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *text = mir_span_from(*text, digits);
    *out = value;
    return true;
}

static bool take_text(struct mir_span *text, const char *expected)
{
    if (!mir_span_starts_with(*text, expected))
        return false;
    *text = mir_span_from(*text, strlen(expected));
    return true;
}

uint64_t bundle_record_key(const struct img_digest *digest)
{
    struct mir_span hex = mir_span_of(img_digest_hex(digest));
    uint64_t key = 0;

    (void)take_hex(&hex, KEY_DIGITS, &key); /* a digest is hexadecimal, and longer */
    return key;
}

static void add_line(struct mir_hash *hash, const char *text, uint64_t a, uint64_t b)
{
    char line[IMG_DIGEST_MAX + 40];
    int len = snprintf(line, sizeof(line), "%s %" PRIx64 " %" PRIx64 "\n", text, a, b);

    mir_hash_update(hash, mir_span(line, (size_t)len));
}

void bundle_record_of_plan(const struct bundle_plan *plan, uint64_t volume_bytes,
                           struct bundle_record *out)
{
    auto_hash *hash = mir_hash_new(MIR_HASH_SHA256);

    *out = (struct bundle_record){
        .bytes = plan->bytes, .volume_bytes = volume_bytes, .count = plan->blob_count};
    out->places = mir_alloc_array(plan->blob_count, sizeof(*out->places));
    add_line(hash, "set", plan->bytes, volume_bytes);
    for (size_t i = 0; i < plan->blob_count; i++) {
        const struct bundle_blob *blob = &plan->blobs[i];

        out->places[i] = (struct bundle_place){.key = bundle_record_key(&blob->digest),
                                               .offset = plan->blob_offsets[i]};
        add_line(hash, blob->digest.text, blob->size, plan->blob_offsets[i]);
    }
    mir_hash_final(hash, out->plan);
}

void bundle_record_release(struct bundle_record *record)
{
    free(record->places);
    record->places = NULL;
    record->count = 0;
}

uint64_t bundle_record_reached(const struct bundle_record *record)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < record->count; i++)
        if (__builtin_add_overflow(sum, record->places[i].reached, &sum))
            return UINT64_MAX; /* places that overlap: nonsense, but harmless */
    return sum;
}

/* ---- text ---- */

static void format_header(const struct bundle_record *record, unsigned width,
                          char text[HEADER_BYTES + 1])
{
    int len =
        snprintf(text, HEADER_BYTES + 1, MAGIC "%s %016" PRIx64 " %016" PRIx64 " %08zx %02u %s\n",
                 state_texts[record->state], record->bytes, record->volume_bytes, record->count,
                 width, record->plan);

    assert((size_t)len == HEADER_BYTES);
}

static bool parse_state(struct mir_span *text, enum bundle_journal_state *out)
{
    for (size_t i = 0; i < STATES; i++)
        if (take_text(text, state_texts[i])) {
            *out = (enum bundle_journal_state)i;
            return true;
        }
    return false;
}

/* Could there be such a set? What takes a record from here relies on it. */
static bool is_possible(const struct bundle_record *record, uint64_t width)
{
    if (width < 1 || width > WIDTH_MAX || width < width_of(record->bytes))
        return false;
    if (record->bytes > INT64_MAX || record->volume_bytes > INT64_MAX ||
        record->count > BUNDLE_ENTRIES_MAX)
        return false;
    if (record->volume_bytes == 0) /* one file has its name with one rename */
        return record->state != BUNDLE_JOURNAL_COMMITTING;
    return record->volume_bytes % BUNDLE_VOLUME_UNIT == 0 &&
           record->volume_bytes >= BUNDLE_VOLUME_MIN &&
           bundle_volumes_needed(record->bytes, record->volume_bytes) <= BUNDLE_VOLUMES_MAX;
}

static bool parse_header(struct mir_span *text, struct bundle_record *out, unsigned *width)
{
    uint64_t count = 0, tens = 0, ones = 0, ignored;
    struct mir_span plan;

    if (!take_text(text, MAGIC) || !parse_state(text, &out->state) || !take_text(text, " ") ||
        !take_hex(text, 16, &out->bytes) || !take_text(text, " ") ||
        !take_hex(text, 16, &out->volume_bytes) || !take_text(text, " ") ||
        !take_hex(text, 8, &count) || !take_text(text, " ") || !take_hex(text, 1, &tens) ||
        !take_hex(text, 1, &ones) || tens > 9 || ones > 9 || !take_text(text, " "))
        return false;
    plan = *text;
    for (size_t i = 0; i < HASH_HEX; i += 16)
        if (!take_hex(text, 16, &ignored))
            return false;
    memcpy(out->plan, plan.ptr, HASH_HEX);
    out->plan[HASH_HEX] = '\0';
    out->count = (size_t)count;
    *width = (unsigned)(10 * tens + ones);
    return take_text(text, "\n") && is_possible(out, *width);
}

static bool parse_place(struct mir_span *text, unsigned width, uint64_t bytes,
                        struct bundle_place *out)
{
    return take_hex(text, KEY_DIGITS, &out->key) && take_text(text, " ") &&
           take_hex(text, width, &out->offset) && take_text(text, " ") &&
           take_hex(text, width, &out->reached) && take_text(text, "\n") &&
           (out->reached == 0 || /* perhaps of a set that became shorter */
            (out->offset <= bytes && out->reached <= bytes - out->offset));
}

static bool parse(struct mir_span text, struct bundle_record *out, unsigned *width,
                  struct mir_error *err)
{
    auto_record record = {.count = 0};

    if (!parse_header(&text, &record, width)) {
        record.count = 0;
        return mir_fail(err, MIR_E_FORMAT, "not the head of a journal");
    }
    if (text.len != record.count * line_bytes(*width))
        return mir_fail(err, MIR_E_FORMAT, "a journal of another length than it says");
    record.places = mir_alloc_array(record.count, sizeof(*record.places));
    for (size_t i = 0; i < record.count; i++)
        if (!parse_place(&text, *width, record.bytes, &record.places[i]))
            return mir_fail(err, MIR_E_FORMAT, "line %zu of the journal makes no sense", i + 2);
    *out = record;
    record.places = NULL;
    return true;
}

bool bundle_record_parse(struct mir_span text, struct bundle_record *out, struct mir_error *err)
{
    unsigned width;

    return parse(text, out, &width, err);
}

/* ---- the file ---- */

static struct bundle_journal *new_journal(const char *path, int *fd,
                                          const struct bundle_record *record, unsigned width)
{
    struct bundle_journal *journal = mir_alloc(sizeof(*journal));

    *journal = (struct bundle_journal){
        .path = mir_strdup(path), .fd = mir_steal_fd(fd), .head = *record, .width = width};
    journal->head.places = NULL;
    return journal;
}

static bool write_all(int fd, const struct bundle_record *record, unsigned width,
                      struct mir_error *err)
{
    char header[HEADER_BYTES + 1];
    auto_buf text;

    mir_buf_init(&text, CHUNK_BYTES + LINE_MAX);
    format_header(record, width, header);
    mir_buf_text(&text, header);
    for (size_t i = 0; i < record->count; i++) {
        const struct bundle_place *place = &record->places[i];

        mir_buf_printf(&text, "%0*" PRIx64 " %0*" PRIx64 " %0*" PRIx64 "\n", KEY_DIGITS, place->key,
                       (int)width, place->offset, (int)width, place->reached);
        if (text.len < CHUNK_BYTES)
            continue;
        if (!mir_write_full(fd, mir_buf_span(&text), err))
            return false;
        mir_buf_clear(&text);
    }
    return mir_write_full(fd, mir_buf_span(&text), err);
}

bool bundle_journal_create(const char *path, const struct bundle_record *record,
                           struct bundle_journal **out, struct mir_error *err)
{
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    unsigned width = width_of(record->bytes);

    if (fd < 0 && errno == EEXIST)
        return mir_fail(err, MIR_E_CONFLICT, "%s is in the way, or another process writes there",
                        path);
    if (fd < 0)
        return mir_fail_errno(err, "create %s", path);
    if (!write_all(fd, record, width, err)) {
        (void)unlink(path); /* the error that led here is the one to report */
        return mir_context(err, "write %s", path);
    }
    *out = new_journal(path, &fd, record, width);
    return true;
}

static bool read_text(int fd, char **out, size_t *len, struct mir_error *err)
{
    auto_free char *text = NULL;
    struct stat info;

    if (fstat(fd, &info) != 0)
        return mir_fail_errno(err, "look at it");
    if (!S_ISREG(info.st_mode) || (uint64_t)info.st_size > FILE_MAX)
        return mir_fail(err, MIR_E_FORMAT, "no journal");
    text = mir_alloc((size_t)info.st_size);
    if (!mir_pread_full(fd, text, (size_t)info.st_size, 0, err))
        return false;
    *len = (size_t)info.st_size;
    *out = mir_steal(&text);
    return true;
}

bool bundle_journal_open(const char *path, struct bundle_journal **out,
                         struct bundle_record *record, struct mir_error *err)
{
    auto_close int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    auto_free char *text = NULL;
    size_t len = 0;
    unsigned width = 0;

    if (fd < 0)
        return mir_fail_errno(err, "open %s", path);
    if (!read_text(fd, &text, &len, err) || !parse(mir_span(text, len), record, &width, err))
        return mir_context(err, "read %s", path);
    *out = new_journal(path, &fd, record, width);
    return true;
}

bool bundle_journal_is_useless(const struct mir_error *err)
{
    switch (err->sys) {
    case 0: /* what it is, or what it says, is wrong */
    case ENOENT:
    case ELOOP: /* a link */
    case EISDIR:
    case ENXIO: /* a socket */
        return true;
    default:
        return false;
    }
}

void bundle_journal_close(struct bundle_journal *journal)
{
    if (!journal)
        return;
    (void)close(journal->fd);
    free(journal->path);
    free(journal);
}

static bool overwrite(const struct bundle_journal *journal, const char *text, size_t len,
                      uint64_t offset, struct mir_error *err)
{
    return mir_pwrite_full(journal->fd, mir_span(text, len), offset, err) ||
           mir_context(err, "update %s", journal->path);
}

static uint64_t line_offset(const struct bundle_journal *journal, size_t place)
{
    assert(place < journal->head.count);
    return HEADER_BYTES + (uint64_t)place * line_bytes(journal->width);
}

bool bundle_journal_note(const struct bundle_journal *journal, size_t place, uint64_t reached,
                         struct mir_error *err)
{
    char text[WIDTH_MAX + 1];

    (void)snprintf(text, sizeof(text), "%0*" PRIx64, (int)journal->width, reached);
    return overwrite(journal, text, journal->width,
                     line_offset(journal, place) + KEY_DIGITS + 1 + journal->width + 1, err);
}

void bundle_journal_try_note(const struct bundle_journal *journal, size_t place, uint64_t reached)
{
    struct mir_error ignored = MIR_ERROR_INIT;
    bool noted = bundle_journal_note(journal, place, reached, &ignored);

    (void)noted;
}

bool bundle_journal_move(const struct bundle_journal *journal, size_t place, uint64_t offset,
                         uint64_t reached, struct mir_error *err)
{
    char text[2 * WIDTH_MAX + 2];

    (void)snprintf(text, sizeof(text), "%0*" PRIx64 " %0*" PRIx64, (int)journal->width, offset,
                   (int)journal->width, reached);
    return overwrite(journal, text, 2 * journal->width + 1,
                     line_offset(journal, place) + KEY_DIGITS + 1, err);
}

bool bundle_journal_enter(struct bundle_journal *journal, enum bundle_journal_state state,
                          uint64_t bytes, struct mir_error *err)
{
    char header[HEADER_BYTES + 1];

    assert(bytes <= journal->head.bytes);
    journal->head.state = state;
    journal->head.bytes = bytes;
    format_header(&journal->head, journal->width, header);
    if (!overwrite(journal, header, HEADER_BYTES, 0, err))
        return false;
    if (state == BUNDLE_JOURNAL_COMMITTING && fsync(journal->fd) != 0)
        return mir_fail_errno(err, "sync %s", journal->path);
    return true;
}
