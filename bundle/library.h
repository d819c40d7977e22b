/*
 * Which libarchive this program runs with, for `mirror version`.
 */
#ifndef BUNDLE_LIBRARY_H
#define BUNDLE_LIBRARY_H

/** Like "libarchive 3.6.2"; static storage. */
const char *bundle_library_version(void);

#endif
