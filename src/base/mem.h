/*
 * Memory: allocation that ends the program when memory is exhausted, and release by scope.
 *
 * A size from a network, a file or a user is checked against a named limit before it comes here.
 * Declare an auto_ variable initialised; mir_steal() is the only way out of its scope.
 *
 * Threads: no shared state.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

#include <jansson.h>

/** At least one byte, zeroed. Never NULL. */
void *mir_alloc(size_t bytes);

/** count * size bytes, zeroed; ends the program if the product overflows. Never NULL. */
void *mir_alloc_array(size_t count, size_t size);

/** Resize to count * size bytes; what is new is not initialised. Never NULL. */
void *mir_realloc_array(void *ptr, size_t count, size_t size);

/** Make room for one more element: grows *ptr (elements of size bytes) when count == *capacity. */
void mir_grow(void *ptr_to_array, size_t count, size_t *capacity, size_t size);

/** Copies; the caller frees. mir_strdup(NULL) is NULL. */
char *mir_strdup(const char *text);
char *mir_strndup(const char *text, size_t len);

/** A formatted string; the caller frees. */
char *mir_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** Overwrite before release, in a way the compiler keeps. For secrets. ptr may be NULL. */
void mir_wipe(void *ptr, size_t len);
/** Wipe a NUL-terminated secret and free it. NULL is fine. */
void mir_free_secret(char *secret);

static inline void mir_auto_free(void *ptr_to_ptr)
{
    free(*(void **)ptr_to_ptr);
}
static inline void mir_auto_free_secret(char **ptr)
{
    mir_free_secret(*ptr);
}
void mir_auto_close(const int *fd);

#define auto_free        __attribute__((cleanup(mir_auto_free)))
#define auto_free_secret __attribute__((cleanup(mir_auto_free_secret)))
#define auto_close       __attribute__((cleanup(mir_auto_close)))
#define auto_json        json_auto_t

/* The value of a pointer variable, which becomes NULL. */
#define mir_steal(ptr)                                                                             \
    __extension__({                                                                                \
        __typeof__(*(ptr)) stolen_ = *(ptr);                                                       \
        *(ptr) = NULL;                                                                             \
        stolen_;                                                                                   \
    })

/** The fd of a variable, which becomes -1. */
static inline int mir_steal_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

#endif
