/*
 * Writing cluster objects and node files from a mapping: shared by emit-icsp and `copy --emit-dir`.
 */
#ifndef CLI_EMIT_H
#define CLI_EMIT_H

#include "cli/cli.h"
#include "copy/copy.h"

/** After a copy into a registry: what `emit-icsp` would write, with its defaults, into dir. The
 * mapping is that of the copy (images that are at the destination). Warnings go to the log. */
MIR_MUST_CHECK bool cli_emit_copy(struct cli *cli, const struct copy *copy, const char *dir,
                                  struct mir_error *err);

#endif
