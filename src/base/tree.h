/*
 * YAML and JSON as trees of jansson values. json_t is the one value type of the program: YAML is
 * read into it and written from it, so that objects have one code path.
 *
 * Limits: TREE_DEPTH_MAX levels, TREE_NODES_MAX nodes counting what aliases repeat, no anchors that
 * contain themselves, no duplicate keys, no NUL in strings, valid UTF-8. Errors are MIR_E_FORMAT or
 * MIR_E_LIMIT and begin with "NAME:LINE:COLUMN: ".
 *
 * Threads: no shared state; json_object_seed() must have run before threads start.
 */
#ifndef BASE_TREE_H
#define BASE_TREE_H

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"

#define TREE_DEPTH_MAX 64
#define TREE_NODES_MAX 4000000

/** Parse one JSON value. name is what errors call the text. The caller owns *out. */
MIR_MUST_CHECK bool mir_json_parse(struct mir_span text, const char *name, json_t **out,
                                   struct mir_error *err);

/** Parse a stream of YAML documents (JSON is YAML too). *out is an array with one element per
 * document; empty documents are left out. Plain scalars resolve by the YAML 1.1 rules of
 * Kubernetes' reader for null, booleans true/false (any usual case), integers and floats; all else
 * is a string. The caller owns *out. */
MIR_MUST_CHECK bool mir_yaml_parse(struct mir_span text, const char *name, json_t **out,
                                   struct mir_error *err);

/** Append value as one block-style YAML document, keys in the order of the object, two blanks per
 * level, without "---". Strings that a reader would take for something else are quoted. */
void mir_yaml_format(const json_t *value, struct mir_buf *out);

#endif
