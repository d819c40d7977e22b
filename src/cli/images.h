/*
 * Which images are meant: by a bundle, a list, a mapping, or the report of a copy.
 */
#ifndef CLI_IMAGES_H
#define CLI_IMAGES_H

#include "cli/cli.h"

struct cli_images {
    char **names; /* references without transport, as they were written */
    size_t count, capacity;
};

void cli_images_add(struct cli_images *images, const char *name);
void cli_images_release(struct cli_images *images);
#define auto_images __attribute__((cleanup(cli_images_release))) struct cli_images

/**
 * Add the images that WHAT holds, by the names they have at their sources: bundle:FILE, oci:DIR, a
 * list of images, a mapping, or a report of mirror copy ("-" is standard input). Images without
 * such a name, and those whose copy failed, are left out, with a warning.
 */
MIR_MUST_CHECK bool cli_images_read(struct cli *cli, const char *what, struct cli_images *images,
                                    struct mir_error *err);

#endif
