#include "base/library.h"

#include <openssl/crypto.h>
#include <yaml.h>

const char *mir_openssl_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}

const char *mir_libyaml_version(void)
{
    return yaml_get_version_string();
}
