/*
 * Allocation that cannot fail for the caller: when memory is exhausted the program ends. What is on
 * disk survives that as it survives a kill.
 */
#include "base/mem.h"

#include <openssl/crypto.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void *must(void *ptr)
{
    static const char text[] = "mirror: out of memory\n";

    if (ptr)
        return ptr;
    /* Nothing useful can be done if even this write fails. */
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        abort();
    abort();
}

void *mir_alloc(size_t bytes)
{
    return must(calloc(1, bytes > 0 ? bytes : 1));
}

void *mir_alloc_array(size_t count, size_t size)
{
    return must(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *mir_realloc_array(void *ptr, size_t count, size_t size)
{
    return must(reallocarray(ptr, count > 0 ? count : 1, size > 0 ? size : 1));
}

void mir_grow(void *ptr_to_array, size_t count, size_t *capacity, size_t size)
{
    void **array = ptr_to_array;

    if (count < *capacity)
        return;
    *capacity = *capacity < 8 ? 8 : *capacity + *capacity / 2;
    *array = mir_realloc_array(*array, *capacity, size);
}

char *mir_strdup(const char *text)
{
    return text ? must(strdup(text)) : NULL;
}

char *mir_strndup(const char *text, size_t len)
{
    char *copy = mir_alloc(len + 1);

    if (len > 0)
        memcpy(copy, text, len);
    return copy;
}

char *mir_format(const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    int len;

    va_start(args, fmt);
    len = vasprintf(&text, fmt, args);
    va_end(args);
    return must(len < 0 ? NULL : text);
}

void mir_wipe(void *ptr, size_t len)
{
    if (ptr)
        OPENSSL_cleanse(ptr, len);
}

void mir_free_secret(char *secret)
{
    if (secret)
        mir_wipe(secret, strlen(secret));
    free(secret);
}

void mir_auto_close(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}
