/*
 * Platforms: reading "os/arch[/variant]" and deciding whether an image serves one. Names differ
 * between tools (aarch64 and arm64, arm64 and arm64/v8); comparison normalises, the text is kept.
 */
#include "image/platform.h"

#include <assert.h>
#include <stdio.h>

#include "image/text_priv.h"

static bool is_part_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

static bool is_part(struct mir_span part)
{
    if (part.len == 0 || part.len >= IMG_PLATFORM_PART_MAX)
        return false;
    for (size_t i = 0; i < part.len; i++) {
        if (!is_part_char(part.ptr[i]))
            return false;
    }
    return true;
}

bool img_platform_parse(struct mir_span text, struct img_platform *out, struct mir_error *err)
{
    struct img_platform platform = {.os = ""};
    char *parts[] = {platform.os, platform.arch, platform.variant};
    struct mir_span rest = text, part;
    size_t count = 0;

    while (mir_span_next(&rest, '/', &part)) {
        if (count == 3 || !is_part(part))
            return mir_fail(err, MIR_E_FORMAT, "'%s' is not a platform: os/arch[/variant] wanted",
                            img_show(text).text);
        memcpy(parts[count++], part.ptr, part.len);
    }
    if (count < 2 || text.ptr[text.len - 1] == '/')
        return mir_fail(err, MIR_E_FORMAT, "'%s' is not a platform: os/arch[/variant] wanted",
                        img_show(text).text);
    *out = platform;
    return true;
}

const char *img_platform_format(const struct img_platform *platform,
                                char text[IMG_PLATFORM_TEXT_MAX])
{
    (void)snprintf(text, IMG_PLATFORM_TEXT_MAX, "%s/%s%s%s", platform->os, platform->arch,
                   platform->variant[0] ? "/" : "", platform->variant);
    return text;
}

/* Other names of architectures, and variants that go without saying, as containerd has them. */
struct alias {
    const char *arch;
    const char *variant; /* NULL: any */
    const char *to_arch;
    const char *to_variant; /* NULL: stays */
};

static const struct alias names[] = {
    {"x86_64", NULL, "amd64", NULL},  {"x86-64", NULL, "amd64", NULL}, {"i386", NULL, "386", NULL},
    {"aarch64", NULL, "arm64", NULL}, {"armhf", NULL, "arm", "v7"},    {"armel", NULL, "arm", "v6"},
};
#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

static const struct alias variants[] = {
    {"amd64", "", "amd64", "v1"}, {"arm64", "", "arm64", "v8"}, {"arm64", "8", "arm64", "v8"},
    {"arm", "", "arm", "v7"},     {"arm", "5", "arm", "v5"},    {"arm", "6", "arm", "v6"},
    {"arm", "7", "arm", "v7"},    {"arm", "8", "arm", "v8"},
};
#define VARIANT_COUNT (sizeof(variants) / sizeof(variants[0]))

/* Borrowed or static strings. */
struct machine {
    const char *arch;
    const char *variant;
};

static void machine_apply(const struct alias *table, size_t count, struct machine *machine)
{
    for (size_t i = 0; i < count; i++) {
        const struct alias *a = &table[i];

        if (strcmp(machine->arch, a->arch) != 0)
            continue;
        if (a->variant && strcmp(machine->variant, a->variant) != 0)
            continue;
        machine->arch = a->to_arch;
        if (a->to_variant)
            machine->variant = a->to_variant;
        return;
    }
}

bool img_platform_matches(const struct img_platform *want, const struct img_platform *have)
{
    struct machine wanted = {want->arch, want->variant};
    struct machine had = {have->arch, have->variant};

    machine_apply(names, NAME_COUNT, &wanted);
    machine_apply(names, NAME_COUNT, &had);
    if (strcmp(want->os, have->os) != 0 || strcmp(wanted.arch, had.arch) != 0)
        return false;
    if (wanted.variant[0] == '\0')
        return true;
    machine_apply(variants, VARIANT_COUNT, &wanted);
    machine_apply(variants, VARIANT_COUNT, &had);
    return strcmp(wanted.variant, had.variant) == 0;
}
