/*
 * An open-addressing hash map. The hash is keyed with random bytes, because keys come from
 * registries and bundles.
 */
#include "base/map.h"

#include <stdint.h>
#include <sys/random.h>

#include "base/mem.h"

struct slot {
    union {
        const char *key; /* NULL: free */
        char *own_key;   /* the same, where it is ours */
    };
    size_t len;
    uint64_t hash;
    void *value;
};

struct mir_map {
    struct slot *slots;
    size_t capacity; /* a power of two */
    size_t count;
    uint64_t seed;
    bool borrows; /* keys are not ours */
};

/* FNV-1a from a random start with a final mix; collisions can be found only by someone who knows
 * the seed. */
static uint64_t hash_of(const struct mir_map *map, struct mir_span key)
{
    uint64_t h = map->seed ^ 0xcbf29ce484222325u;

    for (size_t i = 0; i < key.len; i++) {
        h ^= (unsigned char)key.ptr[i];
        h *= 0x100000001b3u;
        h ^= h >> 29;
    }
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

struct mir_map *mir_map_new(void)
{
    struct mir_map *map = mir_alloc(sizeof(*map));

    map->capacity = 16;
    map->slots = mir_alloc_array(map->capacity, sizeof(*map->slots));
    /* Without random bytes (very early boot) the map works, only predictably. */
    if (getrandom(&map->seed, sizeof(map->seed), GRND_NONBLOCK) < 0)
        map->seed = (uintptr_t)map;
    return map;
}

struct mir_map *mir_map_new_borrowing(void)
{
    struct mir_map *map = mir_map_new();

    map->borrows = true;
    return map;
}

void mir_map_free(struct mir_map *map)
{
    if (!map)
        return;
    for (size_t i = 0; i < map->capacity && !map->borrows; i++)
        free(map->slots[i].own_key);
    free(map->slots);
    free(map);
}

void mir_auto_map_free(struct mir_map **map)
{
    mir_map_free(*map);
}

size_t mir_map_count(const struct mir_map *map)
{
    return map->count;
}

/* The slot of a key, or the free one where it belongs. */
static struct slot *slot_for(const struct mir_map *map, struct mir_span key, uint64_t hash)
{
    size_t i = hash & (map->capacity - 1);

    for (;;) {
        struct slot *slot = &map->slots[i];

        if (!slot->key)
            return slot;
        if (slot->hash == hash && slot->len == key.len &&
            (key.len == 0 || memcmp(slot->key, key.ptr, key.len) == 0))
            return slot;
        i = (i + 1) & (map->capacity - 1);
    }
}

static void double_capacity(struct mir_map *map)
{
    struct slot *old = map->slots;
    size_t old_capacity = map->capacity;

    map->capacity *= 2;
    map->slots = mir_alloc_array(map->capacity, sizeof(*map->slots));
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].key)
            *slot_for(map, mir_span(old[i].key, old[i].len), old[i].hash) = old[i];
    free(old);
}

void *mir_map_find(const struct mir_map *map, struct mir_span key)
{
    const struct slot *slot = slot_for(map, key, hash_of(map, key));

    return slot->key ? slot->value : NULL;
}

void mir_map_set(struct mir_map *map, struct mir_span key, void *value)
{
    uint64_t hash = hash_of(map, key);
    struct slot *slot = slot_for(map, key, hash);

    if (slot->key) {
        slot->value = value;
        return;
    }
    *slot = (struct slot){.len = key.len, .hash = hash, .value = value};
    if (map->borrows)
        slot->key = key.ptr;
    else
        slot->own_key = mir_strndup(key.ptr, key.len);
    map->count++;
    if (map->count * 4 > map->capacity * 3)
        double_capacity(map);
}
