#include "bundle/library.h"

#include <archive.h>

const char *bundle_library_version(void)
{
    return archive_version_string();
}
