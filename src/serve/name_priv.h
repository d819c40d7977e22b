/*
 * What an image of a bundle is called in the registry. Pure.
 */
#ifndef SERVE_NAME_PRIV_H
#define SERVE_NAME_PRIV_H

struct serve_name {
    char *full; /* "quay.io/a/b"; NULL when the name has no host */
    char *repo; /* "a/b"; never NULL */
    char *tag;  /* NULL: by digest alone */
};

/**
 * name  as the bundle has it; NULL: none.
 * path  of the bundle; names what has no repository of its own.
 * out   follows the grammar of repositories and tags, whatever came in; empty it with
 *       serve_name_release().
 */
void serve_name_init(const char *name, const char *path, struct serve_name *out);
void serve_name_release(struct serve_name *name);

#endif
