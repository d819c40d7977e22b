/*
 * Assertions that show what is behind them.
 */
#ifndef TESTS_LIB_MUST_H
#define TESTS_LIB_MUST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static inline void must_at(const char *file, int line, bool done, const struct mir_error *err)
{
    if (done)
        return;
    print_error("%s\n", err->text);
    _fail(file, line);
}
/** It has to succeed; else the test fails here and prints what err says. */
#define must(done, err) must_at(__FILE__, __LINE__, done, err)

static inline void must_have_at(const char *file, int line, const char *text, const char *part)
{
    if (strstr(text, part))
        return;
    print_error("\"%s\" does not contain \"%s\"\n", text, part);
    _fail(file, line);
}
/** part has to stand in text; else the test fails here and prints both. */
#define must_have(text, part) must_have_at(__FILE__, __LINE__, text, part)

#endif
