/*
 * Which libraries of this floor the program runs with, for `mirror version`.
 */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

/** Like "OpenSSL 3.0.15 3 Sep 2024"; static storage. */
const char *mir_openssl_version(void);
/** Like "0.2.5"; static storage. */
const char *mir_libyaml_version(void);

#endif
