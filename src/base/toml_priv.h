/*
 * What the files of the TOML reader share: the position in the text (toml_text.c), the small
 * readers for strings (toml_string.c), numbers (toml_number.c) and dates (toml_time.c), and the
 * rules of tables (toml_table.c). toml_parse.c puts them together; toml.c is for who uses the
 * result.
 *
 * Before anything is read the whole text has been checked to be UTF-8 without control characters
 * other than tab, LF, and CR in front of LF. So CR always means a newline here, a raw character in
 * a string or comment is always allowed, and NUL means the end.
 */
#ifndef BASE_TOML_PRIV_H
#define BASE_TOML_PRIV_H

#include "base/buf.h"
#include "base/toml.h"

struct mir_toml_reader {
    struct mir_span text;
    const char *name; /* for errors */
    size_t at;        /* offset of the next byte */
    struct {
        size_t offset;
        struct mir_toml_place place;
    } mark;                 /* the place asked for last; the next is counted from there */
    size_t values;          /* made so far */
    struct mir_buf scratch; /* a string with escapes, until it is copied */
    struct mir_error *err;
};

/* A table, and how many tables and arrays it is inside of, itself included. */
struct mir_toml_spot {
    struct mir_toml_table *table;
    unsigned depth;
};

/* One part of a key. The text is borrowed from the document or from scratch: use it before the next
 * part or string is read. */
struct mir_toml_part {
    struct mir_span text;
    struct mir_toml_place at;
};

/* ---- toml_text.c ---- */

/** Check size, encoding and control characters; move behind a byte order mark. */
MIR_MUST_CHECK bool mir_toml_begin_text(struct mir_toml_reader *r);
/** The byte ahead bytes further on; '\0' at the end. */
char mir_toml_peek(const struct mir_toml_reader *r, size_t ahead);
/** The place of the next byte. Calls move forward through the text only. */
struct mir_toml_place mir_toml_here(struct mir_toml_reader *r);
bool mir_toml_at_newline(const struct mir_toml_reader *r);
void mir_toml_skip_blanks(struct mir_toml_reader *r);
/** Blanks, comments and newlines. */
void mir_toml_skip_lines(struct mir_toml_reader *r);
/** Blanks and a comment, then a newline or the end; after is what stood before. */
MIR_MUST_CHECK bool mir_toml_end_line(struct mir_toml_reader *r, const char *after);

bool mir_toml_fail_at(struct mir_toml_reader *r, struct mir_toml_place at, enum mir_code code,
                      const char *fmt, ...) MIR_PRINTF(4, 5);
/** "expected WHAT, found ..." at the next byte. */
bool mir_toml_fail_expected(struct mir_toml_reader *r, const char *what);
/** At most MIR_TOML_SHOWN bytes of a text for a message, cut between characters. */
#define MIR_TOML_SHOWN 60
struct mir_span mir_toml_shown(struct mir_span text);

/* ---- toml_string.c ---- */

/** A string of one of the four kinds; the next byte is its quote. *out as mir_toml_part.text. */
MIR_MUST_CHECK bool mir_toml_read_string(struct mir_toml_reader *r, struct mir_span *out);
/** The same, of one line: what a key may be. */
MIR_MUST_CHECK bool mir_toml_read_quoted_key(struct mir_toml_reader *r, struct mir_span *out);

/* ---- toml_number.c, toml_time.c ---- */

/** Does it begin as a date or a time of day does? */
bool mir_toml_is_time_like(struct mir_span token);
/** The whole token, which starts at value->at, as a date or time; kind and time are written. */
MIR_MUST_CHECK bool mir_toml_read_time(struct mir_toml_reader *r, struct mir_span token,
                                       struct mir_toml_value *value);
/** The same for integers and floats, and for words that are no value at all. */
MIR_MUST_CHECK bool mir_toml_read_number(struct mir_toml_reader *r, struct mir_span token,
                                         struct mir_toml_value *value);

/* ---- toml_table.c ---- */

struct mir_toml_table *mir_toml_table_new(enum mir_toml_origin origin, struct mir_toml_place at);
void mir_toml_table_free(struct mir_toml_table *table);
void mir_toml_array_free(struct mir_toml_array *array);

/** May a table or array at this place be on level depth? */
MIR_MUST_CHECK bool mir_toml_check_depth(struct mir_toml_reader *r, struct mir_toml_place at,
                                         unsigned depth);

/** Move *spot into the table that a part of a dotted key names, which may be a new one. */
MIR_MUST_CHECK bool mir_toml_enter_dotted(struct mir_toml_reader *r, struct mir_toml_spot *spot,
                                          const struct mir_toml_part *part);
/** The same for a part of a [header] that is not the last one. */
MIR_MUST_CHECK bool mir_toml_enter_header(struct mir_toml_reader *r, struct mir_toml_spot *spot,
                                          const struct mir_toml_part *part);
/** Move *spot into the table that [header] defines; at is the place of the bracket. */
MIR_MUST_CHECK bool mir_toml_define_table(struct mir_toml_reader *r, struct mir_toml_spot *spot,
                                          const struct mir_toml_part *part,
                                          struct mir_toml_place at);
/** Move *spot into the new table that [[header]] appends. */
MIR_MUST_CHECK bool mir_toml_append_table(struct mir_toml_reader *r, struct mir_toml_spot *spot,
                                          const struct mir_toml_part *part,
                                          struct mir_toml_place at);
/** A new key; its value is to be filled in. */
MIR_MUST_CHECK bool mir_toml_add_key(struct mir_toml_reader *r, struct mir_toml_table *table,
                                     const struct mir_toml_part *part,
                                     struct mir_toml_value **value);
/** A new item at the end of an array; its value is to be filled in. */
MIR_MUST_CHECK bool mir_toml_add_item(struct mir_toml_reader *r, struct mir_toml_array *array,
                                      struct mir_toml_place at, struct mir_toml_value **value);

/* ---- toml_parse.c ---- */

/** Read a whole document into an empty table; what was read before an error is left in it. */
MIR_MUST_CHECK bool mir_toml_read(struct mir_span text, const char *name,
                                  struct mir_toml_table *root, struct mir_error *err);

#endif
