/*
 * The version of libmicrohttpd at run time.
 */
#include "serve/library.h"

#include <microhttpd.h>

const char *serve_library_version(void)
{
    return MHD_get_version();
}
