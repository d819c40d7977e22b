/*
 * Any bytes as a bundle in volumes, cut anywhere, with volumes swapped, missing, cut short or
 * added. The first five bytes say which: the size of a volume (two bytes, in steps of 16), what is
 * done, and to which two volumes. Opening never crashes and always says what is wrong; what opens
 * unharmed opens as one file too, and holds the same.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "bundle/bundle.h"
#include "bundle/volumes_priv.h"

#define INPUT_MAX (1u << 18)
#define STEP      16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct cut {
    size_t volume; /* bytes */
    unsigned char what, a, b;
};

static void ignore(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

/* How many blobs, or SIZE_MAX when it is refused. */
static size_t count_blobs(const char *path)
{
    struct bundle_verify_sink sink = {.problem = ignore};
    struct bundle_verify_totals totals = {.blobs = 0};
    struct bundle_reader *reader = NULL;
    struct mir_error err = MIR_ERROR_INIT;

    if (!bundle_reader_open(path, BUNDLE_FORM_TAR, &reader, &err)) {
        if (err.code == MIR_OK || err.text[0] == '\0')
            abort();
        return SIZE_MAX;
    }
    if (!bundle_verify(reader, 1, &sink, &totals, &err))
        abort();
    bundle_reader_close(reader);
    return totals.blobs;
}

static void write_file(const char *path, struct mir_span bytes)
{
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct mir_error err = MIR_ERROR_INIT;

    if (fd < 0 || !mir_write_full(fd, bytes, &err))
        abort();
}

static void clean_up(const char *dir, const char *whole, const char *base, size_t count)
{
    for (size_t number = 1; number <= count + 1; number++) {
        auto_free char *name = bundle_volume_name(base, number, "");

        (void)unlink(name);
    }
    if (unlink(whole) != 0 || rmdir(dir) != 0)
        abort();
}

static size_t write_volumes(const char *base, const char *bytes, size_t size, size_t volume)
{
    size_t count = 0;

    for (size_t at = 0; at < size; at += volume) {
        size_t len = size - at < volume ? size - at : volume;
        auto_free char *name = bundle_volume_name(base, ++count, "");

        write_file(name, mir_span(bytes + at, len));
    }
    return count;
}

/* Returns whether anything was done. */
static bool harm(const char *base, size_t count, const struct cut *cut)
{
    size_t first = cut->a % count + 1, second = cut->b % count + 1;
    auto_free char *a = bundle_volume_name(base, first, "");
    auto_free char *b = bundle_volume_name(base, second, "");
    auto_free char *next = bundle_volume_name(base, count + 1, "");
    auto_free char *between = mir_format("%s.between", base);

    switch (cut->what % 5) {
    case 0:
        return false;
    case 1:
        return rename(a, between) == 0 && (first == second || rename(b, a) == 0) &&
               rename(between, b) == 0 && first != second;
    case 2:
        return unlink(a) == 0;
    case 3:
        return truncate(a, cut->b) == 0;
    default:
        return link(a, next) == 0;
    }
}

static void try(const char *dir, const struct cut *cut, const char *bytes, size_t size)
{
    auto_free char *whole = mir_format("%s/whole", dir);
    auto_free char *base = mir_format("%s/v", dir);
    size_t count, blobs;
    bool harmed;

    write_file(whole, mir_span(bytes, size));
    count = write_volumes(base, bytes, size, cut->volume);
    harmed = harm(base, count, cut);
    blobs = count_blobs(base);
    if (!harmed && blobs != SIZE_MAX && blobs != count_blobs(whole))
        abort();
    clean_up(dir, whole, base, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *parent = getenv("TMPDIR"); /* a tmpfs makes this many times faster */
    auto_free char *dir = mir_format("%s/mirror-fuzz-XXXXXX", parent ? parent : "/tmp");
    struct cut cut;

    if (size < 6 || size > INPUT_MAX)
        return 0;
    cut = (struct cut){.volume = (data[0] + 256u * data[1] + 1u) * STEP,
                       .what = data[2],
                       .a = data[3],
                       .b = data[4]};
    if (bundle_volumes_needed(size - 5, cut.volume) > BUNDLE_VOLUMES_MAX)
        return 0;
    if (!mkdtemp(dir))
        abort();
    try(dir, &cut, (const char *)data + 5, size - 5);
    return 0;
}
