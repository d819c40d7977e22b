/*
 * TOML 1.0.0, read: registries.conf and whatever else comes as TOML. The whole of the language,
 * with the line and column of every key and value kept, so that a reader on top (and a lint) can
 * say where something stands.
 *
 * A document owns everything in it: one mir_toml_free() ends it, and every pointer and string below
 * is borrowed from it until then.
 *
 * Limits: MIR_TOML_BYTES_MAX, MIR_TOML_VALUES_MAX values (tables, arrays and what is in them
 * alike), MIR_TOML_DEPTH_MAX tables and arrays inside each other. Time grows with the length of the
 * text alone. Errors are MIR_E_FORMAT or MIR_E_LIMIT and begin with "NAME:LINE:COLUMN: ".
 *
 * Where the specification leaves a choice: newlines in multi-line strings stay as they are (CR LF
 * too); digits of a second behind the ninth are dropped; second 60 is taken; a float whose value is
 * beyond 64 bits is refused (as registries.conf's own reader does), one too small becomes 0.
 *
 * Threads: no shared state; a document that nobody frees may be read by many.
 */
#ifndef BASE_TOML_H
#define BASE_TOML_H

#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

#define MIR_TOML_BYTES_MAX  (32u << 20)
#define MIR_TOML_VALUES_MAX 1000000
#define MIR_TOML_DEPTH_MAX  64 /* the document's own table is level 1 */

enum mir_toml_kind {
    MIR_TOML_STRING,
    MIR_TOML_INTEGER,
    MIR_TOML_FLOAT,
    MIR_TOML_BOOLEAN,
    MIR_TOML_OFFSET_DATETIME, /* 1979-05-27T07:32:00Z, 1979-05-27 00:32:00.5-07:00 */
    MIR_TOML_LOCAL_DATETIME,  /* 1979-05-27T07:32:00 */
    MIR_TOML_LOCAL_DATE,      /* 1979-05-27 */
    MIR_TOML_LOCAL_TIME,      /* 07:32:00 */
    MIR_TOML_ARRAY,
    MIR_TOML_TABLE,
};

/* Where something begins. Both count from 1; columns are characters, not bytes. */
struct mir_toml_place {
    uint32_t line;
    uint32_t column;
};

/* Fields that a kind does not have are 0. */
struct mir_toml_time {
    uint16_t year;
    uint8_t month; /* 1..12 */
    uint8_t day;   /* 1..31, within the month */
    uint8_t hour;
    uint8_t minute;
    uint8_t second; /* 0..60 */
    uint32_t nanosecond;
    int16_t offset_minutes; /* east of UTC */
};

struct mir_toml_array;
struct mir_toml_table;

struct mir_toml_value {
    enum mir_toml_kind kind;
    struct mir_toml_place at;
    union {
        struct mir_span string; /* UTF-8; a NUL follows it, others may be in it */
        int64_t integer;
        double number;
        bool boolean;
        struct mir_toml_time time; /* the four kinds of dates and times */
        struct mir_toml_array *array;
        struct mir_toml_table *table;
    };
};

struct mir_toml_array {
    struct mir_toml_value *items; /* in the order of the document */
    size_t count;
    size_t capacity;  /* the reader's own */
    bool has_headers; /* made by [[headers]], not written as [ ... ] */
};

/* How a table came to be, which decides what may still be said about it. */
enum mir_toml_origin {
    MIR_TOML_IMPLIED, /* only the [header] of a table inside it was seen */
    MIR_TOML_HEADER,  /* [header] or [[header]]; the document itself */
    MIR_TOML_DOTTED,  /* a part of a dotted key */
    MIR_TOML_INLINE,  /* { ... } */
};

struct mir_toml_entry {
    struct mir_span key; /* as mir_toml_value.string */
    struct mir_toml_place key_at;
    struct mir_toml_value value;
};

struct mir_map;

struct mir_toml_table {
    struct mir_toml_entry **entries; /* in the order in which the document names them first */
    size_t count;
    enum mir_toml_origin origin;
    struct mir_toml_place at; /* its header, brace or key; 1:1 for the document */
    size_t capacity;          /* the reader's own */
    struct mir_map *index;    /* the reader's own */
};

struct mir_toml;

/** Read a document. name is what errors call it (a path); it is copied. Nothing of text is needed
 * afterwards. A byte order mark at the start is passed over. *out: mir_toml_free(). */
MIR_MUST_CHECK bool mir_toml_parse(struct mir_span text, const char *name, struct mir_toml **out,
                                   struct mir_error *err);

void mir_toml_free(struct mir_toml *doc);
void mir_toml_auto_free(struct mir_toml **doc);
#define auto_toml __attribute__((cleanup(mir_toml_auto_free))) struct mir_toml

const struct mir_toml_table *mir_toml_root(const struct mir_toml *doc);
const char *mir_toml_name(const struct mir_toml *doc);

/** The entry of a key, or NULL. The key is one name: dots in it are dots. */
const struct mir_toml_entry *mir_toml_find_entry(const struct mir_toml_table *table,
                                                 struct mir_span key);
/** Its value, or NULL. */
const struct mir_toml_value *mir_toml_find(const struct mir_toml_table *table, const char *key);

/** "a string", "an array", "a local date": for messages. */
const char *mir_toml_kind_text(enum mir_toml_kind kind);

/*
 * Getters for a reader on top: the value of a key, if the key is there. Absence is no error and
 * leaves *out as it was, which is the caller's default. Another type than the one asked for is
 * MIR_E_FORMAT: "NAME:LINE:COLUMN: key: expected a string, found an integer".
 */

/** A string without NUL; one with a NUL in it is refused too. */
MIR_MUST_CHECK bool mir_toml_get_string(const struct mir_toml *doc,
                                        const struct mir_toml_table *table, const char *key,
                                        const char **out, struct mir_error *err);
MIR_MUST_CHECK bool mir_toml_get_integer(const struct mir_toml *doc,
                                         const struct mir_toml_table *table, const char *key,
                                         int64_t *out, struct mir_error *err);
MIR_MUST_CHECK bool mir_toml_get_float(const struct mir_toml *doc,
                                       const struct mir_toml_table *table, const char *key,
                                       double *out, struct mir_error *err);
MIR_MUST_CHECK bool mir_toml_get_boolean(const struct mir_toml *doc,
                                         const struct mir_toml_table *table, const char *key,
                                         bool *out, struct mir_error *err);
MIR_MUST_CHECK bool mir_toml_get_table(const struct mir_toml *doc,
                                       const struct mir_toml_table *table, const char *key,
                                       const struct mir_toml_table **out, struct mir_error *err);
/** An array whose every item is of one kind (strings without NUL, as above): [[tables]] and arrays
 * of inline tables come out alike. */
MIR_MUST_CHECK bool mir_toml_get_array_of(const struct mir_toml *doc,
                                          const struct mir_toml_table *table, const char *key,
                                          enum mir_toml_kind kind,
                                          const struct mir_toml_array **out, struct mir_error *err);

/** The key has to be in the table; if not, MIR_E_FORMAT at the place of the table. */
MIR_MUST_CHECK bool mir_toml_require(const struct mir_toml *doc, const struct mir_toml_table *table,
                                     const char *key, struct mir_error *err);

/** MIR_E_FORMAT, "NAME:LINE:COLUMN: " and the text: for rules of the reader on top. */
bool mir_toml_fail(const struct mir_toml *doc, struct mir_toml_place at, struct mir_error *err,
                   const char *fmt, ...) MIR_PRINTF(4, 5);

#endif
