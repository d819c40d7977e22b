/*
 * Long lists, a page at a time: ?n= and ?last=. Pure.
 *
 * Spec: OCI distribution 1.1, "Listing Tags".
 */
#ifndef SERVE_PAGE_PRIV_H
#define SERVE_PAGE_PRIV_H

#include "serve/catalog_priv.h"
#include "serve/route_priv.h"

#define SERVE_PAGE_MAX 10000 /* names in one answer, whatever was asked for */

struct serve_page {
    size_t start, count;
    bool has_more; /* a Link header names the next page */
};

/** The names after route->last, at most route->count of them. */
struct serve_page serve_page_of(const struct serve_names *names, const struct serve_route *route);

/** The answer's body: {"repositories": [...]} of the page, or with a tag list's name in front. The
 * caller frees. */
char *serve_page_catalog(const struct serve_names *names, struct serve_page page);
char *serve_page_tags(const char *repo, const struct serve_names *names, struct serve_page page);

/** The body of a list of referrers: an index of those of one artifact type (empty: all). list may
 * be NULL. *complete is false when some did not fit into what clients read of a manifest. The
 * caller frees. */
char *serve_page_referrers(const struct serve_referrers *list, const char *artifact_type,
                           bool *complete);

/** The value of the Link header: <PATH?last=NAME&n=N>; rel="next". The caller frees. */
char *serve_page_link(const char *path, const struct serve_names *names, struct serve_page page);

#endif
