/*
 * image/platform: the text form, and which image serves whom.
 */
#include "image/platform.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#define LONGEST  "a234567890123456789012345678901" /* 31 bytes */
#define TOO_LONG LONGEST "2"

struct parse_row {
    const char *label;
    const char *text;
    bool ok;
};

static const struct parse_row parse_rows[] = {
    {"two parts", "linux/amd64", true},
    {"three parts", "linux/arm/v7", true},
    {"nobody's platform", "unknown/unknown", true},
    {"longest part", "linux/" LONGEST, true},
    {"empty", "", false},
    {"one part", "linux", false},
    {"four parts", "linux/arm/v7/x", false},
    {"only slashes", "//", false},
    {"empty os", "/amd64", false},
    {"empty architecture", "linux/", false},
    {"empty part in the middle", "linux//v7", false},
    {"empty variant", "linux/arm/", false},
    {"blank", "linux/ amd64", false},
    {"control byte", "linux/amd64\n", false},
    {"part too long", "linux/" TOO_LONG, false},
    {"other separator", "linux:amd64", false},
};

static void platform_parse_wants_two_or_three_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(parse_rows) / sizeof(parse_rows[0]); i++) {
        const struct parse_row *row = &parse_rows[i];
        struct img_platform platform;
        struct mir_error err = MIR_ERROR_INIT;
        char text[IMG_PLATFORM_TEXT_MAX];
        bool ok = img_platform_parse(mir_span_of(row->text), &platform, &err);

        if (ok != row->ok || (!ok && err.code != MIR_E_FORMAT))
            fail_msg("%s: %d, code %d", row->label, ok, err.code);
        if (ok && strcmp(img_platform_format(&platform, text), row->text) != 0)
            fail_msg("%s: came back as %s", row->label, text);
    }
}

struct match_row {
    const char *want;
    const char *have;
    bool match;
};

static const struct match_row match_rows[] = {
    {"linux/amd64", "linux/amd64", true},      {"linux/amd64", "linux/arm64", false},
    {"linux/amd64", "windows/amd64", false},   {"linux/arm64", "linux/arm64/v8", true},
    {"linux/arm64/v8", "linux/arm64", true},   {"linux/arm64/v9", "linux/arm64", false},
    {"linux/arm/v7", "linux/arm", true},       {"linux/arm", "linux/arm/v7", true},
    {"linux/arm", "linux/arm/v6", true}, /* no variant wanted: any */
    {"linux/arm/v6", "linux/arm", false},      {"linux/arm/v7", "linux/arm/v6", false},
    {"linux/arm/7", "linux/arm/v7", true},     {"linux/armhf", "linux/arm/v7", true},
    {"linux/armhf", "linux/arm/v6", false},    {"linux/armel", "linux/arm/v6", true},
    {"linux/aarch64", "linux/arm64/v8", true}, {"linux/x86_64", "linux/amd64", true},
    {"linux/amd64/v1", "linux/amd64", true},   {"linux/amd64/v3", "linux/amd64", false},
    {"linux/amd64", "linux/amd64/v3", true},   {"linux/i386", "linux/386", true},
    {"linux/amd64", "unknown/unknown", false},
};

static void platform_matches_normalises_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(match_rows) / sizeof(match_rows[0]); i++) {
        const struct match_row *row = &match_rows[i];
        struct img_platform want, have;
        struct mir_error err = MIR_ERROR_INIT;

        assert_true(img_platform_parse(mir_span_of(row->want), &want, &err));
        assert_true(img_platform_parse(mir_span_of(row->have), &have, &err));
        if (img_platform_matches(&want, &have) != row->match)
            fail_msg("want %s, have %s: expected %d", row->want, row->have, row->match);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(platform_parse_wants_two_or_three_parts),
        cmocka_unit_test(platform_matches_normalises_names),
    };

    return cmocka_run_group_tests_name("image/platform", tests, NULL, NULL);
}
