/*
 * Showing how far a copy has come: a bar on a terminal, plain lines elsewhere, JSON on request.
 *
 * Threads: begin and end from the main thread; a thread of its own looks at the counters ten times
 * a second at most. hide() is called with the log's lock held.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli/cli.h"
#include "copy/copy.h"

enum cli_progress_kind {
    CLI_PROGRESS_AUTO, /* a bar if stderr is a terminal, else plain */
    CLI_PROGRESS_BAR,
    CLI_PROGRESS_PLAIN,
    CLI_PROGRESS_JSON,
    CLI_PROGRESS_NONE,
};

/** "bar", "plain", "json" or "none". err: MIR_E_USAGE. */
MIR_MUST_CHECK bool cli_progress_parse(const char *text, enum cli_progress_kind *out,
                                       struct mir_error *err);

/** Start showing counters, which must outlive the call to cli_progress_end(). Never NULL. */
struct cli_progress *cli_progress_begin(struct cli *cli, enum cli_progress_kind kind,
                                        const struct copy_progress *counters);
/** Stop, leaving the terminal's line clean. Frees; NULL is fine. */
void cli_progress_end(struct cli_progress *progress);
/** Take a bar off the line, because something else is printed now. NULL is fine. */
void cli_progress_hide(struct cli_progress *progress);

#endif
