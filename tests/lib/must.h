/*
 * An assertion that shows the error behind it.
 */
#ifndef TESTS_LIB_MUST_H
#define TESTS_LIB_MUST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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

#endif
