/*
 * Any bytes as a bundle: open, select every image, load what it points to, verify all of it. Then
 * the same bytes as they come through a pipe, which has to come to the same result, or to say that
 * their order does not allow it. Done twice, as the bytes are and with the header checksums put
 * right, or no mutation would get past the first header.
 */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "bundle/pipe.h"
#include "image/manifest.h"

#define BLOCK     512
#define INPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *ctx, const char *text)
{
    (void)ctx;
    if (text[strcspn(text, "\n\x1b")] != '\0')
        abort(); /* a problem is one line, fit for a terminal */
}

static void use(const struct bundle_reader *reader, struct bundle_verify_totals *totals)
{
    struct bundle_verify_sink sink = {.problem = ignore};
    struct mir_error err = MIR_ERROR_INIT;

    for (size_t i = 0; i < bundle_reader_image_count(reader); i++) {
        const struct bundle_image *image = bundle_reader_image(reader, i), *same = NULL;
        auto_free char *bytes = NULL;
        struct mir_error ignored = MIR_ERROR_INIT;
        size_t len;

        if (image->name && bundle_reader_select(reader, image->name, &same, &ignored) &&
            strcmp(same->name, image->name) != 0)
            abort();
        mir_error_clear(&ignored);
        (void)!bundle_reader_load(reader, &image->digest, IMG_MANIFEST_BYTES_MAX, &bytes, &len,
                                  &ignored);
    }
    if (!bundle_verify(reader, 1, &sink, totals, &err))
        abort();
}

/* A file from which something was read already is taken as it comes, like a pipe. */
static bool pass(const char *bytes, size_t len, struct bundle_verify_totals *totals,
                 struct mir_error *err)
{
    static const char front[BLOCK];
    struct bundle_verify_sink sink = {.problem = ignore};
    auto_close int fd = memfd_create("pipe", MFD_CLOEXEC);
    struct bundle_reader *reader = NULL;
    bool passed;

    if (fd < 0 || !mir_write_full(fd, mir_span(front, BLOCK), err) ||
        !mir_write_full(fd, mir_span(bytes, len), err) || lseek(fd, BLOCK, SEEK_SET) != BLOCK)
        abort();
    passed = bundle_reader_open_pipe(fd, "pipe", NULL, &reader, err) &&
             bundle_verify_pipe(reader, NULL, 0, 1, &sink, totals, err);
    bundle_reader_close(reader);
    return passed;
}

static void compare(const char *bytes, size_t len, bool opened,
                    const struct bundle_verify_totals *totals)
{
    struct bundle_verify_totals piped = {0};
    struct mir_error err = MIR_ERROR_INIT;

    if (pass(bytes, len, &piped, &err)) {
        if (!opened || piped.problems != totals->problems || piped.blobs != totals->blobs ||
            piped.bytes != totals->bytes)
            abort();
    } else if (opened && err.code != MIR_E_UNSUPPORTED) {
        abort();
    }
}

static void open_bytes(const char *bytes, size_t len)
{
    auto_close int fd = memfd_create("bundle", MFD_CLOEXEC);
    auto_free char *path = mir_format("/proc/self/fd/%d", fd);
    struct bundle_reader *reader = NULL;
    struct bundle_verify_totals totals = {0};
    struct mir_error err = MIR_ERROR_INIT;

    if (fd < 0 || !mir_write_full(fd, mir_span(bytes, len), &err))
        abort();
    if (bundle_reader_open(path, BUNDLE_FORM_TAR, &reader, &err))
        use(reader, &totals);
    else if (err.code == MIR_OK || err.text[0] == '\0')
        abort();
    compare(bytes, len, reader != NULL, &totals);
    bundle_reader_close(reader);
}

static void mend_checksum(char *header)
{
    unsigned sum = 0;

    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += (unsigned char)header[i];
    (void)snprintf(header + 148, 8, "%06o", sum);
    header[155] = ' ';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *copy = NULL;

    if (size > INPUT_MAX)
        return 0;
    copy = mir_strndup((const char *)data, size);
    open_bytes(copy, size);
    for (size_t at = 0; at + BLOCK <= size; at += BLOCK)
        if (memcmp(copy + at + 257, "ustar", 5) == 0)
            mend_checksum(copy + at);
    open_bytes(copy, size);
    return 0;
}
