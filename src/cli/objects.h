/*
 * Cluster objects as they lie on the disk: files of YAML or JSON, and folders of them.
 */
#ifndef CLI_OBJECTS_H
#define CLI_OBJECTS_H

#include "icsp/icsp.h"

/** Take in what path names: a file of several documents, "-" for standard input, or a folder, of
 * which the .yaml, .yml and .json files are read in byte order of their names. err: also
 * MIR_E_NOT_FOUND for a folder without any. */
MIR_MUST_CHECK bool cli_objects_read(struct icsp_objects *objects, const char *path,
                                     struct icsp_findings *findings, struct mir_error *err);

#endif
