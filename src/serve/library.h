/*
 * Which libmicrohttpd this program runs with, for `mirror version`.
 */
#ifndef SERVE_LIBRARY_H
#define SERVE_LIBRARY_H

/** Like "0.9.75"; static storage. */
const char *serve_library_version(void);

#endif
