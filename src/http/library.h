/*
 * Which libcurl this program runs with, for `mirror version`.
 */
#ifndef HTTP_LIBRARY_H
#define HTTP_LIBRARY_H

/** Like "libcurl/8.1.2 OpenSSL/3.0.15 zlib/1.2.13"; static storage. */
const char *http_library_version(void);

#endif
