/*
 * Options that several commands share: how registries are reached.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "cli/cli.h"
#include "registry/registry.h"

/* Ids from here on belong to this file. */
enum cli_access_option {
    CLI_OPT_AUTHFILE = 1000,
    CLI_OPT_SRC_AUTHFILE,
    CLI_OPT_DEST_AUTHFILE,
    CLI_OPT_SRC_CREDS,
    CLI_OPT_DEST_CREDS,
    CLI_OPT_SRC_NO_CREDS,
    CLI_OPT_DEST_NO_CREDS,
    CLI_OPT_SRC_TLS_VERIFY,
    CLI_OPT_DEST_TLS_VERIFY,
    CLI_OPT_SRC_CERT_DIR,
    CLI_OPT_DEST_CERT_DIR,
    CLI_OPT_RETRY_TIMES,
    CLI_OPT_CREDS,
    CLI_OPT_NO_CREDS,
    CLI_OPT_TLS_VERIFY,
    CLI_OPT_CERT_DIR,
    CLI_OPT_STALL_TIMEOUT,
    CLI_OPT_LIMIT_RATE,
};

/* For commands with a source and a destination. */
#define CLI_ACCESS_OPTIONS                                                                         \
    {"authfile", 0, "FILE",                                                                        \
     "credentials for both sides (default: $REGISTRY_AUTH_FILE, then the "                         \
     "files podman and docker keep)",                                                              \
     CLI_OPT_AUTHFILE},                                                                            \
        {"src-authfile", 0, "FILE", "credentials for the sources", CLI_OPT_SRC_AUTHFILE},          \
        {"dest-authfile", 0, "FILE", "credentials for the destination", CLI_OPT_DEST_AUTHFILE},    \
        {"src-creds", 0, "USER[:PASS]",                                                            \
         "log in to the sources with these; without PASS, or \"-\" alone: from the "               \
         "terminal or standard input",                                                             \
         CLI_OPT_SRC_CREDS},                                                                       \
        {"dest-creds", 0, "USER[:PASS]", "the same for the destination", CLI_OPT_DEST_CREDS},      \
        {"src-no-creds", 0, NULL, "ask the sources as nobody", CLI_OPT_SRC_NO_CREDS},              \
        {"dest-no-creds", 0, NULL, "ask the destination as nobody", CLI_OPT_DEST_NO_CREDS},        \
        {"src-tls-verify", 0, "BOOL", "verify the sources' certificates (see above)",              \
         CLI_OPT_SRC_TLS_VERIFY},                                                                  \
        {"dest-tls-verify", 0, "BOOL", "verify the destination's certificate (see above)",         \
         CLI_OPT_DEST_TLS_VERIFY},                                                                 \
        {"src-cert-dir", 0, "DIR", "*.crt and client *.cert, *.key for the sources",               \
         CLI_OPT_SRC_CERT_DIR},                                                                    \
        {"dest-cert-dir", 0, "DIR", "*.crt and client *.cert, *.key for the destination",          \
         CLI_OPT_DEST_CERT_DIR},                                                                   \
        {"retry-times", 0, "N", "try a failed request N more times (default 3)",                   \
         CLI_OPT_RETRY_TIMES},                                                                     \
        {"limit-rate", 0, "RATE",                                                                  \
         "move at most RATE bytes a second from the sources, and to the "                          \
         "destination (500K, 2M, 1GiB: powers of 1024)",                                           \
         CLI_OPT_LIMIT_RATE},                                                                      \
    {                                                                                              \
        "stall-timeout", 0, "SECONDS",                                                             \
            "cut a transfer that all but stands still for so long, and go on with "                \
            "it (default 60)",                                                                     \
            CLI_OPT_STALL_TIMEOUT                                                                  \
    }

/* For commands that only read. */
#define CLI_READ_OPTIONS                                                                           \
    {"authfile", 0, "FILE",                                                                        \
     "credentials (default: $REGISTRY_AUTH_FILE, then the files podman "                           \
     "and docker keep)",                                                                           \
     CLI_OPT_AUTHFILE},                                                                            \
        {"creds", 0, "USER[:PASS]",                                                                \
         "log in with these; without PASS, or \"-\" alone: from the terminal or "                  \
         "standard input",                                                                         \
         CLI_OPT_CREDS},                                                                           \
        {"no-creds", 0, NULL, "ask as nobody", CLI_OPT_NO_CREDS},                                  \
        {"tls-verify", 0, "BOOL", "verify certificates (default: true, except on loopback)",       \
         CLI_OPT_TLS_VERIFY},                                                                      \
        {"cert-dir", 0, "DIR", "*.crt and client *.cert, *.key", CLI_OPT_CERT_DIR},                \
        {"retry-times", 0, "N", "try a failed request N more times (default 3)",                   \
         CLI_OPT_RETRY_TIMES},                                                                     \
    {                                                                                              \
        "stall-timeout", 0, "SECONDS",                                                             \
            "cut a transfer that all but stands still for so long, and go on with "                \
            "it (default 60)",                                                                     \
            CLI_OPT_STALL_TIMEOUT                                                                  \
    }

/* What an option says of credentials. */
struct cli_creds {
    const char *option; /* "--src-creds"; NULL: it was not given */
    char *text;         /* secret, owned */
};

struct cli_access {
    const char *authfile;
    struct reg_options source, destination;
    struct cli_creds source_creds, destination_creds;
    unsigned retry_times;
    int64_t stall_timeout_ms; /* 0: as src/http has it */
    uint64_t limit_rate;      /* bytes a second; 0: any */
};

void cli_access_init(struct cli_access *access);
void cli_access_release(struct cli_access *access);
/** Take one of the options above; id is theirs (asserted). A password on the command line is made
 * unreadable there. err: MIR_E_USAGE. */
MIR_MUST_CHECK bool cli_access_take(struct cli *cli, struct cli_access *access, int id,
                                    const char *value, struct mir_error *err);
/** What the two sides come to; either may be NULL. Asks for passwords that are missing, so whatever
 * else reads standard input has to have claimed it (cli_claim_stdin()). Strings are borrowed from
 * argv and from access. */
MIR_MUST_CHECK bool cli_access_sides(struct cli *cli, struct cli_access *access,
                                     struct reg_options *source, struct reg_options *destination,
                                     struct mir_error *err);

/** Where a source is a bundle on standard input: claim that. Whether it is a source at all is for
 * copy_add() to say. err: MIR_E_USAGE. */
MIR_MUST_CHECK bool cli_claim_source(struct cli *cli, const char *source, struct mir_error *err);

#endif
