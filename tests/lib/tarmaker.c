/*
 * tar archives byte by byte: POSIX ustar headers as IEEE 1003.1 lays them out, with every field at
 * the test's mercy.
 */
#include "lib/tarmaker.h"

#include <inttypes.h>

#include "base/mem.h"
#include "lib/scratch.h"

#define BLOCK   512
#define TAR_MAX (1u << 31)

void tarmaker_init(struct tarmaker *maker)
{
    mir_buf_init(&maker->bytes, TAR_MAX);
}

void tarmaker_release(struct tarmaker *maker)
{
    mir_buf_release(&maker->bytes);
}

static void put_text(char *header, size_t at, size_t max, const char *text)
{
    size_t len = strlen(text);

    memcpy(header + at, text, len < max ? len : max);
}

static void put_octal(char *header, size_t at, size_t width, uint64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%0*" PRIo64, (int)(width - 1), value);
    put_text(header, at, width, text);
}

static void put_base256(char *header, size_t at, size_t width, uint64_t value)
{
    for (size_t i = 0; i < width; i++)
        header[at + width - 1 - i] = (char)(i < 8 ? value >> (8 * i) & 0xff : 0);
    header[at] = (char)(header[at] | (char)0x80);
}

static void put_magic(char *header, const struct tarmaker_entry *entry)
{
    if (entry->gnu)
        memcpy(header + 257, "ustar  ", 8);
    else if (!entry->v7)
        memcpy(header + 257, "ustar\00000", 8);
}

static void put_checksum(char *header, bool bad)
{
    unsigned sum = 0;

    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += (unsigned char)header[i];
    (void)snprintf(header + 148, 8, "%06o", sum + (bad ? 1 : 0));
    header[155] = ' ';
}

static void put_zeros(struct tarmaker *maker, size_t count)
{
    static const char zeros[2 * BLOCK];

    mir_buf_add(&maker->bytes, mir_span(zeros, count));
}

void tarmaker_add_entry(struct tarmaker *maker, const struct tarmaker_entry *entry)
{
    char header[BLOCK] = "";
    uint64_t size = entry->has_size ? entry->size : entry->data.len;

    put_text(header, 0, 100, entry->name);
    put_octal(header, 100, 8, 0644);
    put_octal(header, 108, 8, 0);
    put_octal(header, 116, 8, 0);
    if (entry->base256)
        put_base256(header, 124, 12, size);
    else
        put_octal(header, 124, 12, size);
    put_octal(header, 136, 12, 0);
    header[156] = entry->type ? entry->type : '0';
    if (entry->link)
        put_text(header, 157, 100, entry->link);
    put_magic(header, entry);
    put_checksum(header, entry->bad_checksum);
    mir_buf_add(&maker->bytes, mir_span(header, sizeof(header)));
    mir_buf_add(&maker->bytes, entry->data);
    if (!entry->unpadded)
        put_zeros(maker, (BLOCK - entry->data.len % BLOCK) % BLOCK);
}

void tarmaker_file(struct tarmaker *maker, const char *name, const char *text)
{
    tarmaker_add(maker, .name = name, .data = mir_span_of(text));
}

/* "LENGTH RECORD\n", where LENGTH counts its own digits. */
static void add_record(struct mir_buf *out, const char *record)
{
    size_t len = strlen(record) + 2, total = len + 1;
    char digits[24];

    while (total != len + (size_t)snprintf(digits, sizeof(digits), "%zu", total))
        total = len + strlen(digits);
    mir_buf_printf(out, "%s %s\n", digits, record);
}

void tarmaker_pax(struct tarmaker *maker, const char *const *records, size_t count)
{
    auto_buf text;

    mir_buf_init(&text, TAR_MAX);
    for (size_t i = 0; i < count; i++)
        add_record(&text, records[i]);
    tarmaker_add(maker, .name = "PaxHeaders/x", .type = 'x', .data = mir_buf_span(&text));
}

void tarmaker_layout(struct tarmaker *maker)
{
    tarmaker_file(maker, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
    tarmaker_file(maker, "index.json", "{\"schemaVersion\":2,\"manifests\":[]}");
}

void tarmaker_end(struct tarmaker *maker)
{
    put_zeros(maker, 2 * BLOCK);
}

void tarmaker_write(const struct tarmaker *maker, const char *path)
{
    struct mir_error err = MIR_ERROR_INIT;

    if (!mir_buf_check(&maker->bytes, "tar", &err))
        scratch_die("%s", err.text);
    scratch_write(path, mir_buf_span(&maker->bytes));
}
