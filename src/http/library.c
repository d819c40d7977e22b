#include "http/library.h"

#include <curl/curl.h>

const char *http_library_version(void)
{
    return curl_version();
}
