/*
 * mirror version: which program this is, and which libraries it runs with.
 */
#include <jansson.h>

#include "base/library.h"
#include "bundle/library.h"
#include "cli/cli.h"
#include "http/library.h"
#include "serve/library.h"

static bool run(struct cli *cli, struct mir_error *err)
{
    const char *value;

    switch (cli_next(cli, &value, err)) {
    case CLI_END:
        break;
    case CLI_HELP:
        return true;
    case CLI_BAD:
        return false;
    default:
        return cli_usage(cli, err, "version takes no arguments");
    }
    (void)printf("mirror %s\n%s\n%s\n%s\njansson %s\nlibyaml %s\nlibmicrohttpd %s\n",
                 MIRROR_VERSION, http_library_version(), bundle_library_version(),
                 mir_openssl_version(), jansson_version_str(), mir_libyaml_version(),
                 serve_library_version());
    return true;
}

const struct cli_command cli_version = {
    .name = "version",
    .synopsis = "",
    .summary = "show the versions of mirror and of its libraries",
    .run = run,
};
