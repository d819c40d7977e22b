/*
 * mirror version: which program this is, and which libraries it runs with.
 */
#include <jansson.h>

#include "base/library.h"
#include "bundle/library.h"
#include "cli/cli.h"
#include "http/library.h"
#include "serve/library.h"

static bool take_nothing(struct cli *cli, int id, const char *value, void *into,
                         struct mir_error *err)
{
    (void)id;
    (void)into;
    return cli_usage(cli, err, "version takes no arguments, not %s", value);
}

static bool run(struct cli *cli, struct mir_error *err)
{
    bool go;

    if (!cli_read(cli, take_nothing, NULL, &go, err) || !go)
        return err->code == MIR_OK;
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
