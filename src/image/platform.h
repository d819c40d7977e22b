/*
 * Platforms: os/arch[/variant].
 *
 * Spec: OCI image-spec 1.1, image-index.md "platform". Threads: plain values.
 */
#ifndef IMAGE_PLATFORM_H
#define IMAGE_PLATFORM_H

#include "base/error.h"
#include "base/span.h"

#define IMG_PLATFORM_PART_MAX 32

struct img_platform {
    char os[IMG_PLATFORM_PART_MAX];
    char arch[IMG_PLATFORM_PART_MAX];
    char variant[IMG_PLATFORM_PART_MAX]; /* empty: none named */
};

#define IMG_PLATFORM_TEXT_MAX (3 * IMG_PLATFORM_PART_MAX)

/** "linux/arm64/v8". err: MIR_E_FORMAT. */
MIR_MUST_CHECK bool img_platform_parse(struct mir_span text, struct img_platform *out,
                                       struct mir_error *err);
/** Returns text. */
const char *img_platform_format(const struct img_platform *platform,
                                char text[IMG_PLATFORM_TEXT_MAX]);

/** Does have serve someone who asks for want? A want without variant takes any variant; arm64 and
 * arm64/v8 are the same, arm and arm/v7 too (containerd's normalisation). */
bool img_platform_matches(const struct img_platform *want, const struct img_platform *have);

#endif
