/*
 * registries.conf as a value: entries that a node looks up by prefix. Built from lists and merged
 * sets, written as TOML.
 */
#ifndef ICSP_REGISTRIES_PRIV_H
#define ICSP_REGISTRIES_PRIV_H

#include "base/buf.h"
#include "base/map.h"
#include "base/toml.h"
#include "icsp/generation_priv.h"
#include "icsp/merge_priv.h"
#include "icsp/reference_priv.h"

enum icsp_pull {
    ICSP_PULL_ALL,
    ICSP_PULL_DIGEST, /* "digest-only" */
    ICSP_PULL_TAG,    /* "tag-only" */
};

struct icsp_mirror {
    char *location;
    bool insecure;
    enum icsp_pull pull;
    bool says_all; /* ICSP_PULL_ALL was spelled out, and stays so */
    unsigned line; /* of the file it was read from; 0: built */
};

struct icsp_registry {
    char *prefix;   /* "" if none */
    char *location; /* "" if none */
    bool insecure;
    bool blocked;
    bool digest_only; /* "mirror-by-digest-only": the mirrors are for pulls by digest */
    bool says_pull;   /* "pull-from-mirror", which only a mirror may have */
    const char *file; /* that the entry was read from; borrowed; NULL: not known */
    unsigned line;    /* in that file; 0: built */
    struct icsp_mirror *mirrors;
    size_t mirror_count, mirror_capacity;
};

/* Owned texts. Absent and empty differ. */
struct icsp_strings {
    char **items;
    size_t count, capacity;
    bool given;
};

/* A short name and what it stands for; owned. */
struct icsp_alias {
    char *name, *target;
};

struct icsp_registries {
    const struct icsp_generation *generation; /* by whose rules it is built and written */
    struct icsp_strings search;               /* unqualified-search-registries */
    struct icsp_strings helpers;              /* credential-helpers */
    char *mode;                               /* short-name-mode; "" if none */
    char *layer_helper;                       /* additional-layer-store-auth-helper; "" if none */
    struct icsp_alias *aliases;               /* in byte order of the names */
    size_t alias_count, alias_capacity;
    bool has_aliases;             /* the table is there, empty or not */
    struct icsp_registry **items; /* in the order of the file */
    size_t count, capacity;
    struct mir_map *by_scope; /* scope, as the generation has it -> the first entry with it */
};

void icsp_strings_add(struct icsp_strings *strings, struct mir_span text);

/* The bytes of the file that every node has. */
extern const char icsp_base_registries[];

/** That file, read. */
void icsp_registries_init_base(struct icsp_registries *registries,
                               const struct icsp_generation *generation);
/** Nothing at all. */
void icsp_registries_init(struct icsp_registries *registries,
                          const struct icsp_generation *generation);
void icsp_registries_release(struct icsp_registries *registries);
#define auto_registries __attribute__((cleanup(icsp_registries_release))) struct icsp_registries

/** Add what a file holds to registries, which are as icsp_registries_init() left them. Unknown keys
 * get a warning. err: "NAME:LINE:COLUMN: ...". */
MIR_MUST_CHECK bool icsp_registries_read(struct icsp_registries *registries, struct mir_span text,
                                         const char *name, struct icsp_findings *findings,
                                         struct mir_error *err);

/** What the container library takes from a file: version 1 as well, unless it is a drop-in. After
 * that everything is checked as the library does and in its form: prefixes are set, no '/' at the
 * end. err: "NAME:LINE...". */
MIR_MUST_CHECK bool icsp_registries_read_runtime(struct icsp_registries *registries,
                                                 struct mir_span text, const char *name,
                                                 bool is_drop_in, struct icsp_findings *findings,
                                                 struct mir_error *err);
/** The second half of that: check and bring into form. */
MIR_MUST_CHECK bool icsp_registries_settle(struct icsp_registries *registries, const char *name,
                                           struct mir_error *err);

/** Is there a list of version 1 ([registries.search] and its like), be it empty, in the document?
 */
MIR_MUST_CHECK bool icsp_registries_find_v1(const struct mir_toml *doc, bool *some,
                                            struct mir_error *err);
/** Take it: search, insecure, block. */
MIR_MUST_CHECK bool icsp_registries_read_v1(struct icsp_registries *registries,
                                            const struct mir_toml *doc, struct mir_error *err);
/** The key of a table, however its letters are cased, as the library's reader takes it; the given
 * word when there is none. Borrowed. */
const char *icsp_registries_key(const struct mir_toml_table *table, const char *key);

/** A new entry at the end, all empty, for a reader to fill; icsp_registries_index() when its
 * scope is known. */
struct icsp_registry *icsp_registries_append(struct icsp_registries *registries);
void icsp_registries_index(struct icsp_registries *registries, struct icsp_registry *registry);

/** The prefix, or else the location. */
struct mir_span icsp_registry_scope(const struct icsp_registry *registry);

/* What goes into registries.conf. All borrowed. */
struct icsp_registries_input {
    const struct icsp_merged *digest;
    const struct icsp_merged *tag;
    const struct icsp_list *blocked;
    const struct icsp_list *insecure;
};

/**
 * Add to the entries that are there. False when a nested scope would have to inherit the mirrors of
 * a wildcard source: *wildcard and *nested (borrowed from registries) say which.
 */
MIR_MUST_CHECK bool icsp_registries_build(struct icsp_registries *registries,
                                          const struct icsp_registries_input *input,
                                          const char **wildcard, const char **nested);

/** The bytes of the file. */
void icsp_registries_format(const struct icsp_registries *registries, struct mir_buf *out);
/** The drop-in with the search list alone. */
void icsp_search_format(const struct icsp_list *search, const struct icsp_generation *generation,
                        struct mir_buf *out);

/* ---- looking up, as the container library does ---- */

/** The entry with the longest matching prefix; NULL when none matches. *matched is the length of
 * what its prefix matches. */
const struct icsp_registry *icsp_registries_find(const struct icsp_registries *registries,
                                                 struct mir_span ref, size_t *matched);

/** What a pull of ref asks for at location: the matched part replaced. False when that is no
 * canonical reference. The caller frees *text, which *out borrows from. */
bool icsp_rewrite(struct mir_span ref, size_t matched, const char *location, char **text,
                  struct icsp_reference *out);

/** Is this mirror of the entry asked for such a reference? */
bool icsp_mirror_applies(const struct icsp_registry *registry, const struct icsp_mirror *mirror,
                         const struct icsp_reference *ref);

#endif
