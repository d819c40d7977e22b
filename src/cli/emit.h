/*
 * Writing cluster objects and node files from a mapping: shared by emit-icsp and `copy --emit-dir`;
 * and writing node files, shared with node-config.
 */
#ifndef CLI_EMIT_H
#define CLI_EMIT_H

#include "cli/cli.h"
#include "copy/copy.h"
#include "icsp/icsp.h"
#include "image/ref.h"

/* Images and where their copies are. */
struct emit_mapping {
    struct img_ref *sources, *mirrors; /* owned; side by side */
    size_t count, source_capacity, mirror_capacity;
};

/** Both are copied. */
void emit_mapping_add(struct emit_mapping *mapping, const struct img_ref *source,
                      const struct img_ref *mirror);
void emit_mapping_release(struct emit_mapping *mapping);
#define auto_mapping __attribute__((cleanup(emit_mapping_release))) struct emit_mapping

/* Where the files go. */
struct emit_output {
    const char *dir;  /* NULL: standard output */
    const char *only; /* one of them, by name or by the end of its path; NULL: all */
    bool strict;      /* a warning is a failure, and nothing is written */
};

/** Print what was found: warnings, notes and details to the log. Errors are left to the caller.
 * With strict, MIR_E_FORMAT when there was a warning. */
MIR_MUST_CHECK bool emit_findings(struct cli *cli, const struct icsp_findings *findings,
                                  bool strict, struct mir_error *err);

/** Print all of them, errors too, to standard output as one JSON object. strict: as above.
 * changes becomes a member of that name; NULL: none. */
MIR_MUST_CHECK bool emit_findings_json(const struct icsp_findings *findings, json_t *changes,
                                       bool strict, struct mir_error *err);

/* Named texts that are written together. */
struct emit_files {
    struct icsp_file *items;
    size_t count, capacity;
};

/** Both are copied. */
void emit_files_add(struct emit_files *files, const char *path, struct mir_span data);
void emit_files_release(struct emit_files *files);
#define auto_emit_files __attribute__((cleanup(emit_files_release))) struct emit_files

/** Read --ocp. MIR_E_USAGE, naming all that are known. */
MIR_MUST_CHECK bool emit_take_generation(struct cli *cli, const char *value,
                                         const struct icsp_generation **out, struct mir_error *err);

/** Into the folder, each file whole; or to standard output, each under a "# PATH" line, or the one
 * asked for alone as it is. */
MIR_MUST_CHECK bool emit_write(const struct emit_files *files, const struct emit_output *output,
                               struct mir_error *err);

/**
 * The objects for the mapping, and under node/ what they put on a node.
 *
 * with  files and folders of objects that the cluster has already; they count for the node files.
 * node  how the node files are compiled; NULL: as for a cluster of today that is not known.
 */
MIR_MUST_CHECK bool emit_objects(struct cli *cli, const struct emit_mapping *mapping,
                                 struct icsp_emit_options *options, const struct icsp_texts *with,
                                 const struct icsp_options *node, const struct emit_output *output,
                                 struct mir_error *err);

/** After a copy into a registry: what `emit-icsp` would write, with its defaults, into dir. The
 * mapping is that of the copy (images that are at the destination). Warnings go to the log. */
MIR_MUST_CHECK bool cli_emit_copy(struct cli *cli, const struct copy *copy, const char *dir,
                                  struct mir_error *err);

#endif
