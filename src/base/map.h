/*
 * A map from byte strings to pointers. Keys are copied, unless the map borrows; values are
 * borrowed.
 *
 * Threads: one at a time; concurrent readers are fine while nobody writes.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/span.h"

struct mir_map;

struct mir_map *mir_map_new(void);
/** One whose keys are borrowed: they stay where they are, unchanged, as long as the map. For maps
 * of tens of thousands, whose values hold their keys anyway. */
struct mir_map *mir_map_new_borrowing(void);
void mir_map_free(struct mir_map *map);
void mir_auto_map_free(struct mir_map **map);
#define auto_map __attribute__((cleanup(mir_auto_map_free))) struct mir_map

size_t mir_map_count(const struct mir_map *map);
/** NULL when the key is not there. */
void *mir_map_find(const struct mir_map *map, struct mir_span key);
/** Insert or replace; value is not NULL. */
void mir_map_set(struct mir_map *map, struct mir_span key, void *value);

#endif
