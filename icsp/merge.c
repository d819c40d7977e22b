/*
 * Merging: several objects may name mirrors for one source, each in an order of its own. The orders
 * become edges of a graph, mirror to next mirror and last mirror to source, and the graph is walked
 * breadth first with byte order among equals, so that every list's order is kept and the order of
 * the objects does not matter. A cycle (two lists that disagree) is broken at the first node in
 * byte order that was not put out.
 *
 * Reference: "Merging mirrors". Called by icsp_compile() once for all digest sets and once for all
 * tag sets, and by the release guard.
 */
#include "icsp/merge_priv.h"

#include "base/mem.h"

/* An edge between two nodes, by their number. */
struct edge {
    size_t from, to;
};

/* The graph of one source. */
struct graph {
    const char **names; /* nodes in byte order, each once */
    size_t count;
    struct edge *edges; /* sorted by from, then to; each once */
    size_t edge_count;
    size_t *first_edge; /* of each node; count + 1 entries */
    size_t *incoming;   /* edges that still stand */
    bool *is_out;
    size_t *queue;
    size_t queue_head, queue_tail;
    size_t *order; /* the result */
    size_t order_count;
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_edges(const void *a, const void *b)
{
    const struct edge *left = a;
    const struct edge *right = b;

    if (left->from != right->from)
        return left->from < right->from ? -1 : 1;
    return (left->to > right->to) - (left->to < right->to);
}

/* By source, then as they came. */
static int compare_sets(const void *a, const void *b)
{
    const struct icsp_set *left = *(const struct icsp_set *const *)a;
    const struct icsp_set *right = *(const struct icsp_set *const *)b;

    return strcmp(left->source, right->source);
}

bool icsp_set_has_real_mirror(const struct icsp_set *set)
{
    for (size_t i = 0; i < set->mirrors.count; i++)
        if (strcmp(set->mirrors.items[i], set->source) != 0)
            return true;
    return false;
}

/* ---- the graph ---- */

static size_t node_of(const struct graph *graph, const char *name)
{
    const char **found =
        bsearch(&name, graph->names, graph->count, sizeof(*graph->names), compare_names);

    return (size_t)(found - graph->names);
}

static void collect_nodes(struct graph *graph, const struct icsp_set *const *sets, size_t count)
{
    size_t total = 1;
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        total += sets[i]->mirrors.count;
    graph->names = mir_alloc_array(total, sizeof(*graph->names));
    graph->names[graph->count++] = sets[0]->source;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < sets[i]->mirrors.count; k++)
            graph->names[graph->count++] = sets[i]->mirrors.items[k];
    qsort(graph->names, graph->count, sizeof(*graph->names), compare_names);
    for (size_t i = 0; i < graph->count; i++)
        if (i == 0 || strcmp(graph->names[i], graph->names[kept - 1]) != 0)
            graph->names[kept++] = graph->names[i];
    graph->count = kept;
    graph->edges = mir_alloc_array(total, sizeof(*graph->edges));
}

static void add_edge(struct graph *graph, const char *from, const char *to)
{
    graph->edges[graph->edge_count++] =
        (struct edge){.from = node_of(graph, from), .to = node_of(graph, to)};
}

static void collect_edges(struct graph *graph, const struct icsp_set *const *sets, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        const struct icsp_list *mirrors = &sets[i]->mirrors;
        bool has_source = false;

        for (size_t k = 0; k < mirrors->count; k++) {
            has_source = has_source || strcmp(mirrors->items[k], sets[i]->source) == 0;
            if (k + 1 < mirrors->count)
                add_edge(graph, mirrors->items[k], mirrors->items[k + 1]);
        }
        if (!has_source)
            add_edge(graph, mirrors->items[mirrors->count - 1], sets[i]->source);
    }
    qsort(graph->edges, graph->edge_count, sizeof(*graph->edges), compare_edges);
    for (size_t i = 0; i < graph->edge_count; i++)
        if (i == 0 || compare_edges(&graph->edges[i], &graph->edges[kept - 1]) != 0)
            graph->edges[kept++] = graph->edges[i];
    graph->edge_count = kept;
}

static void index_edges(struct graph *graph)
{
    graph->first_edge = mir_alloc_array(graph->count + 1, sizeof(*graph->first_edge));
    graph->incoming = mir_alloc_array(graph->count, sizeof(*graph->incoming));
    for (size_t i = 0; i < graph->edge_count; i++) {
        graph->first_edge[graph->edges[i].from + 1]++;
        graph->incoming[graph->edges[i].to]++;
    }
    for (size_t i = 0; i < graph->count; i++)
        graph->first_edge[i + 1] += graph->first_edge[i];
}

static void graph_init(struct graph *graph, const struct icsp_set *const *sets, size_t count)
{
    *graph = (struct graph){0};
    collect_nodes(graph, sets, count);
    collect_edges(graph, sets, count);
    index_edges(graph);
    graph->is_out = mir_alloc_array(graph->count, sizeof(*graph->is_out));
    graph->queue = mir_alloc_array(graph->count, sizeof(*graph->queue));
    graph->order = mir_alloc_array(graph->count, sizeof(*graph->order));
}

static void graph_release(struct graph *graph)
{
    free(graph->names);
    free(graph->edges);
    free(graph->first_edge);
    free(graph->incoming);
    free(graph->is_out);
    free(graph->queue);
    free(graph->order);
}

/* Put a node out and queue what only it stood before; the targets are in byte order. */
static void put_out(struct graph *graph, size_t node)
{
    graph->is_out[node] = true;
    graph->order[graph->order_count++] = node;
    for (size_t i = graph->first_edge[node]; i < graph->first_edge[node + 1]; i++) {
        size_t to = graph->edges[i].to;

        graph->incoming[to]--;
        if (graph->incoming[to] == 0 && !graph->is_out[to])
            graph->queue[graph->queue_tail++] = to;
    }
}

static void graph_walk(struct graph *graph)
{
    size_t next = 0;

    for (size_t i = 0; i < graph->count; i++)
        if (graph->incoming[i] == 0)
            graph->queue[graph->queue_tail++] = i;
    while (graph->queue_head < graph->queue_tail || next < graph->count) {
        if (graph->queue_head < graph->queue_tail)
            put_out(graph, graph->queue[graph->queue_head++]);
        else if (graph->is_out[next])
            next++;
        else
            put_out(graph, next++);
    }
}

/* ---- the sets ---- */

/* All sets of one source; every one has a mirror that is not the source. */
static void merge_source(const struct icsp_set *const *sets, size_t count,
                         struct icsp_merged_set *out)
{
    struct graph graph;
    size_t source;

    *out = (struct icsp_merged_set){.source = sets[0]->source};
    for (size_t i = 0; i < count; i++)
        out->never = out->never || sets[i]->never;
    graph_init(&graph, sets, count);
    graph_walk(&graph);
    source = node_of(&graph, out->source);
    /* At its usual place the source needs no mention; anywhere else it is a mirror. */
    if (graph.order[graph.order_count - 1] == source)
        graph.order_count--;
    for (size_t i = 0; i < graph.order_count; i++)
        icsp_list_add(&out->mirrors, graph.names[graph.order[i]]);
    graph_release(&graph);
}

void icsp_merge(const struct icsp_set *const *sets, size_t count, struct icsp_merged *out)
{
    auto_free const struct icsp_set **real = mir_alloc_array(count, sizeof(*real));
    size_t real_count = 0;

    *out = (struct icsp_merged){0};
    for (size_t i = 0; i < count; i++)
        if (icsp_set_has_real_mirror(sets[i]))
            real[real_count++] = sets[i];
    qsort(real, real_count, sizeof(*real), compare_sets);
    for (size_t from = 0; from < real_count;) {
        size_t to = from + 1;

        while (to < real_count && strcmp(real[to]->source, real[from]->source) == 0)
            to++;
        mir_grow(&out->items, out->count, &out->capacity, sizeof(*out->items));
        merge_source(real + from, to - from, &out->items[out->count++]);
        from = to;
    }
}

void icsp_merged_release(struct icsp_merged *merged)
{
    for (size_t i = 0; i < merged->count; i++)
        icsp_list_release(&merged->items[i].mirrors);
    free(merged->items);
    *merged = (struct icsp_merged){0};
}
