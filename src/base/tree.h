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
/** The same for a text with secrets in it: errors say what is wrong where, and repeat nothing. */
MIR_MUST_CHECK bool mir_json_parse_secret(struct mir_span text, const char *name, json_t **out,
                                          struct mir_error *err);

/**
 * Parse a stream of YAML documents (JSON is YAML too; JSON values may also stand one after the
 * other). *out is an array with one element per document; empty documents are left out. The caller
 * owns it.
 *
 * Plain scalars resolve as in Kubernetes' reader (sigs.k8s.io/yaml), which is YAML 1.1 with habits:
 * null words; booleans y/yes/true/on and n/no/false/off, also Capitalised and in CAPITALS; integers
 * (0x, 0o, 0b, 0 for octal, underscores); decimal floats; all else, dates and base 60 among it, is
 * a string. Keys that are numbers or booleans become strings. "<<" merges a mapping or a list of
 * mappings: the mapping's own keys win, wherever they stand, then the earlier of several. Only the
 * tags of the core schema are known.
 *
 * What an alias repeats is shared: a tree that was read is for reading, build a new one to change
 * it.
 */
MIR_MUST_CHECK bool mir_yaml_parse(struct mir_span text, const char *name, json_t **out,
                                   struct mir_error *err);

/* ---- where values stood ---- */

/* For every object and array that was read, the lines of what is in it. */
struct mir_lines;

struct mir_lines *mir_lines_new(void);
void mir_lines_free(struct mir_lines *lines);
void mir_auto_lines_free(struct mir_lines **lines);
#define auto_lines __attribute__((cleanup(mir_auto_lines_free))) struct mir_lines

/** mir_yaml_parse() that also notes where every value began: ask for the children of *out, of its
 * documents and so on. One table serves any number of texts; it borrows the trees, and what it says
 * about one holds as long as that tree lives. An alias stands where it is written, what is in it
 * where its anchor is. lines may be NULL. */
MIR_MUST_CHECK bool mir_yaml_parse_lines(struct mir_span text, const char *name,
                                         struct mir_lines *lines, json_t **out,
                                         struct mir_error *err);

/** The line, from 1, on which a child began; 0 when that is not known. lines may be NULL. */
unsigned mir_lines_item(const struct mir_lines *lines, const json_t *array, size_t index);
unsigned mir_lines_member(const struct mir_lines *lines, json_t *object, const char *key);

/* ---- writing ---- */

/** Append value as one YAML document the way Kubernetes tools write it, without "---": block style,
 * keys in the order of the object, two blanks per level, lists at the indent of their key. Strings
 * that a YAML 1.1 reader would take for something else get double quotes; several lines become a
 * literal block where that is exact. mir_yaml_parse() reads the same value back, except that null
 * at the top is an empty document. */
void mir_yaml_format(json_t *value, struct mir_buf *out);

#endif
