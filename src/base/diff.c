/*
 * Differences between two texts. Lines become numbers, equal lines equal ones; what both texts
 * begin and end with is set aside; in between, the middle of a shortest path through the edit graph
 * is looked for from both ends at once (E. W. Myers, "An O(ND) Difference Algorithm and Its
 * Variations", 1986), and the two halves are done the same way. Only whether a line is kept or not
 * is noted; writing the hunks is a walk over that.
 */
#include "base/diff.h"

#include <stdint.h>

#include "base/map.h"
#include "base/mem.h"

#define COST_MIN      256         /* steps after which any split will do, for texts of few lines */
#define NOWHERE_FORTH (-1)        /* no path has come to a diagonal yet */
#define NOWHERE_BACK  PTRDIFF_MAX /* the same, from the other end */

/* One text in lines, each with its newline if it has one. */
struct side {
    struct mir_span *lines;
    size_t *ids; /* of the lines; equal lines have equal ones */
    bool *keep;  /* the line stands in both texts */
    size_t count, capacity;
};

struct script {
    struct side before, after;
    ptrdiff_t *forth, *back; /* furthest x on each diagonal, from both ends; from -max to max */
    ptrdiff_t cost_max;
};

static void script_release(struct script *script)
{
    struct side *const sides[] = {&script->before, &script->after};

    for (size_t i = 0; i < 2; i++) {
        free(sides[i]->lines);
        free(sides[i]->ids);
        free(sides[i]->keep);
    }
    free(script->forth);
    free(script->back);
}
#define auto_script __attribute__((cleanup(script_release))) struct script

/* ---- lines ---- */

static void split(struct mir_span text, struct side *side)
{
    while (text.len > 0) {
        size_t at;
        size_t len = mir_span_find(text, '\n', &at) ? at + 1 : text.len;

        mir_grow(&side->lines, side->count, &side->capacity, sizeof(*side->lines));
        side->lines[side->count++] = mir_span_first(text, len);
        text = mir_span_from(text, len);
    }
    side->ids = mir_alloc_array(side->count, sizeof(*side->ids));
    side->keep = mir_alloc_array(side->count, sizeof(*side->keep));
}

/* numbers holds for each line an element of some array; its place there is the number. */
static void number(struct side *side, struct mir_map *numbers, char *array)
{
    for (size_t i = 0; i < side->count; i++) {
        const char *found = mir_map_find(numbers, side->lines[i]);

        if (!found) {
            char *next = array + mir_map_count(numbers);

            mir_map_set(numbers, side->lines[i], next);
            found = next;
        }
        side->ids[i] = (size_t)(found - array);
    }
}

/* ---- the script ---- */

/* A part of both texts: lines from x0 to x1 before, from y0 to y1 after. */
struct box {
    ptrdiff_t x0, x1, y0, y1;
};

static bool same(const struct script *s, ptrdiff_t x, ptrdiff_t y)
{
    return s->before.ids[x] == s->after.ids[y];
}

static void keep(struct script *s, ptrdiff_t x, ptrdiff_t y)
{
    s->before.keep[x] = true;
    s->after.keep[y] = true;
}

static void trim(struct script *s, struct box *box)
{
    for (; box->x0 < box->x1 && box->y0 < box->y1 && same(s, box->x0, box->y0);
         box->x0++, box->y0++)
        keep(s, box->x0, box->y0);
    for (; box->x0 < box->x1 && box->y0 < box->y1 && same(s, box->x1 - 1, box->y1 - 1);
         box->x1--, box->y1--)
        keep(s, box->x1 - 1, box->y1 - 1);
}

/* Diagonals are told apart by x - y. */
struct point {
    ptrdiff_t x, y;
};

/* Every second diagonal: where a search of d steps that began on one has come, inside the box. Of
 * less than no step, none. */
struct range {
    ptrdiff_t low, high;
};

static struct range range_of(const struct box *box, ptrdiff_t from, ptrdiff_t d)
{
    ptrdiff_t least = box->x0 - box->y1;
    ptrdiff_t most = box->x1 - box->y0;
    struct range range = {.low = from - d, .high = from + d};

    if (d < 0)
        return range;
    if (range.low < least)
        range.low = least + ((least - range.low) & 1);
    if (range.high > most)
        range.high = most - ((range.high - most) & 1);
    return range;
}

/* Where diagonal k is reached from its neighbours with one more line taken from one text; NOWHERE
 * when that would leave the box. */
static ptrdiff_t reach_forth(const struct script *s, const struct box *box, ptrdiff_t k,
                             struct range before)
{
    ptrdiff_t down = k + 1 <= before.high ? s->forth[k + 1] : NOWHERE_FORTH;
    ptrdiff_t across = k - 1 >= before.low ? s->forth[k - 1] : NOWHERE_FORTH;

    if (down - k > box->y1)
        down = NOWHERE_FORTH;
    across = across == NOWHERE_FORTH || across == box->x1 ? NOWHERE_FORTH : across + 1;
    return down > across ? down : across;
}

static ptrdiff_t reach_back(const struct script *s, const struct box *box, ptrdiff_t k,
                            struct range before)
{
    ptrdiff_t up = k - 1 >= before.low ? s->back[k - 1] : NOWHERE_BACK;
    ptrdiff_t across = k + 1 <= before.high ? s->back[k + 1] : NOWHERE_BACK;

    if (up != NOWHERE_BACK && up - k < box->y0)
        up = NOWHERE_BACK;
    across = across == NOWHERE_BACK || across == box->x0 ? NOWHERE_BACK : across - 1;
    return up < across ? up : across;
}

/* One step further from the upper left end. True when it meets what came from the other one. */
static bool step_forth(struct script *s, const struct box *box, ptrdiff_t d, struct range other,
                       bool may_meet, struct point *split_at)
{
    ptrdiff_t from = box->x0 - box->y0;
    struct range range = range_of(box, from, d);
    struct range before = range_of(box, from, d - 1);

    for (ptrdiff_t k = range.low; k <= range.high; k += 2) {
        ptrdiff_t x = d == 0 ? box->x0 : reach_forth(s, box, k, before);

        while (x != NOWHERE_FORTH && x < box->x1 && x - k < box->y1 && same(s, x, x - k))
            x++;
        s->forth[k] = x;
        if (may_meet && k >= other.low && k <= other.high && x >= s->back[k]) {
            *split_at = (struct point){.x = x, .y = x - k};
            return true;
        }
    }
    return false;
}

static bool step_back(struct script *s, const struct box *box, ptrdiff_t d, struct range other,
                      bool may_meet, struct point *split_at)
{
    ptrdiff_t from = box->x1 - box->y1;
    struct range range = range_of(box, from, d);
    struct range before = range_of(box, from, d - 1);

    for (ptrdiff_t k = range.low; k <= range.high; k += 2) {
        ptrdiff_t x = d == 0 ? box->x1 : reach_back(s, box, k, before);

        while (x != NOWHERE_BACK && x > box->x0 && x - k > box->y0 && same(s, x - 1, x - 1 - k))
            x--;
        s->back[k] = x;
        if (may_meet && k >= other.low && k <= other.high && s->forth[k] >= x) {
            *split_at = (struct point){.x = x, .y = x - k};
            return true;
        }
    }
    return false;
}

/* It has taken too long: the point that came furthest from the upper left end. */
static struct point furthest(const struct script *s, const struct box *box, ptrdiff_t d)
{
    struct range range = range_of(box, box->x0 - box->y0, d);
    struct point best = {.x = box->x0, .y = box->y0};

    for (ptrdiff_t k = range.low; k <= range.high; k += 2) {
        ptrdiff_t x = s->forth[k];

        if (x != NOWHERE_FORTH && x + x - k > best.x + best.y)
            best = (struct point){.x = x, .y = x - k};
    }
    return best;
}

/* Where a good path through the box passes. Neither text's part is empty, and both their first and
 * their last lines differ. */
static struct point middle(struct script *s, const struct box *box)
{
    ptrdiff_t forth_at = box->x0 - box->y0;
    ptrdiff_t back_at = box->x1 - box->y1;
    bool odd = ((forth_at - back_at) & 1) != 0;
    struct point found;

    for (ptrdiff_t d = 0;; d++) {
        struct range back = range_of(box, back_at, d - 1);
        struct range forth = range_of(box, forth_at, d);

        if (step_forth(s, box, d, back, odd && d > 0, &found) ||
            step_back(s, box, d, forth, !odd, &found))
            return found;
        if (d >= s->cost_max)
            return furthest(s, box, d);
    }
}

/* Parts that wait: one half is done at once, the other remembered. */
struct boxes {
    struct box *items;
    size_t count, capacity;
};

static void push(struct boxes *boxes, struct box box)
{
    mir_grow(&boxes->items, boxes->count, &boxes->capacity, sizeof(*boxes->items));
    boxes->items[boxes->count++] = box;
}

static void compare(struct script *s)
{
    struct boxes boxes = {0};

    push(&boxes, (struct box){.x1 = (ptrdiff_t)s->before.count, .y1 = (ptrdiff_t)s->after.count});
    while (boxes.count > 0) {
        struct box box = boxes.items[--boxes.count];
        struct point at;

        trim(s, &box);
        if (box.x0 == box.x1 || box.y0 == box.y1)
            continue;
        at = middle(s, &box);
        push(&boxes, (struct box){.x0 = at.x, .x1 = box.x1, .y0 = at.y, .y1 = box.y1});
        push(&boxes, (struct box){.x0 = box.x0, .x1 = at.x, .y0 = box.y0, .y1 = at.y});
    }
    free(boxes.items);
}

/* ---- hunks ---- */

/* Where a walk along both texts stands. */
struct walk {
    size_t x, y;
};

static bool at_change(const struct script *s, const struct walk *walk)
{
    return (walk->x < s->before.count && !s->before.keep[walk->x]) ||
           (walk->y < s->after.count && !s->after.keep[walk->y]);
}

static void skip_change(const struct script *s, struct walk *walk)
{
    while (walk->x < s->before.count && !s->before.keep[walk->x])
        walk->x++;
    while (walk->y < s->after.count && !s->after.keep[walk->y])
        walk->y++;
}

/* Behind the last change of a hunk that begins with the change here: changes with fewer equal lines
 * between them than both their contexts have belong together. */
static struct walk hunk_end(const struct script *s, struct walk walk)
{
    for (;;) {
        struct walk next;
        size_t gap = 0;

        skip_change(s, &walk);
        next = walk;
        while (next.x < s->before.count && gap <= 2 * (size_t)MIR_DIFF_CONTEXT &&
               !at_change(s, &next)) {
            next.x++;
            next.y++;
            gap++;
        }
        if (!at_change(s, &next) || gap > 2 * (size_t)MIR_DIFF_CONTEXT)
            return walk;
        walk = next;
    }
}

static void write_line(char sign, struct mir_span line, struct mir_buf *out)
{
    mir_buf_char(out, sign);
    mir_buf_add(out, line);
    if (!mir_span_ends_with(line, "\n"))
        mir_buf_text(out, "\n\\ No newline at end of file\n");
}

/* "12,3"; of no line, the one before it. */
static void write_range(char sign, size_t from, size_t count, struct mir_buf *out)
{
    mir_buf_printf(out, "%c%zu", sign, count == 0 ? from : from + 1);
    if (count != 1)
        mir_buf_printf(out, ",%zu", count);
}

static void write_hunk(const struct script *s, struct walk from, struct walk to,
                       struct mir_buf *out)
{
    mir_buf_text(out, "@@ ");
    write_range('-', from.x, to.x - from.x, out);
    mir_buf_char(out, ' ');
    write_range('+', from.y, to.y - from.y, out);
    mir_buf_text(out, " @@\n");
    while (from.x < to.x || from.y < to.y) {
        for (; from.x < to.x && !s->before.keep[from.x]; from.x++)
            write_line('-', s->before.lines[from.x], out);
        for (; from.y < to.y && !s->after.keep[from.y]; from.y++)
            write_line('+', s->after.lines[from.y], out);
        for (; from.x < to.x && s->before.keep[from.x] && s->after.keep[from.y]; from.x++, from.y++)
            write_line(' ', s->before.lines[from.x], out);
    }
}

static void write_hunks(const struct script *s, struct mir_buf *out)
{
    struct walk walk = {0};

    while (walk.x < s->before.count || walk.y < s->after.count) {
        struct walk from = walk;
        struct walk to;
        size_t lead;
        size_t tail;

        if (!at_change(s, &walk)) {
            walk.x++;
            walk.y++;
            continue;
        }
        lead = from.x < MIR_DIFF_CONTEXT ? from.x : MIR_DIFF_CONTEXT;
        from = (struct walk){.x = from.x - lead, .y = from.y - lead};
        walk = hunk_end(s, walk);
        tail = s->before.count - walk.x;
        tail = tail < MIR_DIFF_CONTEXT ? tail : MIR_DIFF_CONTEXT;
        to = (struct walk){.x = walk.x + tail, .y = walk.y + tail};
        write_hunk(s, from, to, out);
    }
}

/* ---- the whole ---- */

static void prepare(struct script *s, struct mir_span before, struct mir_span after)
{
    auto_map *numbers = mir_map_new_borrowing();
    auto_free char *array = NULL;
    size_t total;

    split(before, &s->before);
    split(after, &s->after);
    total = s->before.count + s->after.count;
    array = mir_alloc_array(total + 1, 1);
    number(&s->before, numbers, array);
    number(&s->after, numbers, array);
    /* About the square root: a bound on a step, not on what is found in texts that are alike. */
    s->cost_max = COST_MIN;
    while (s->cost_max * s->cost_max < (ptrdiff_t)total)
        s->cost_max *= 2;
}

void mir_diff_format(struct mir_span before, struct mir_span after, struct mir_buf *out)
{
    auto_script s = {0};
    size_t total;
    ptrdiff_t *forth;
    ptrdiff_t *back;

    if (mir_span_equal(before, after))
        return;
    prepare(&s, before, after);
    total = s.before.count + s.after.count;
    s.forth = mir_alloc_array(total + 3, sizeof(*s.forth));
    s.back = mir_alloc_array(total + 3, sizeof(*s.back));
    /* Diagonals run from minus the one count to the other. */
    forth = s.forth;
    back = s.back;
    s.forth += s.after.count + 1;
    s.back += s.after.count + 1;
    compare(&s);
    s.forth = forth;
    s.back = back;
    write_hunks(&s, out);
}
