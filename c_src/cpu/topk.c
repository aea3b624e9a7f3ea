/* topk.c: the k largest or smallest numbers along an axis, in order, and where they stand.
   Reference: `topk` in packages/etude/src/etude/ops/index.py.
   x: outer x n x inner; y and index: outer x k x inner.

   Plan. A number becomes a key, a whole number of its size: the better a number, the larger its
   key, and equal numbers have one key. Of these the first wins. A block of numbers is compared by
   vectors with the worst of the k best so far, and in a long row nearly always none is better: the
   row is read once, at the speed of memory. Of n numbers in random order some k ln(n/k) are better
   when they come. They are kept in one of two ways:

   Few: in a list in order, into which each is inserted.
   Many: in a list of more than twice k, behind the best; when it is full, quickselect parts the k
   best from the others, so that each number costs a few steps in any order of x. At the end they
   are sorted: by merging, or, many thousands, by digits from the lowest.

   Columns (inner > 1) are copied into rows first, COLUMNS at a time. Threads share rows. Compiled
   for ETUDE_INT too, for int64. */
#include <stdatomic.h>
#include <string.h>

#include "kernel.h"

#if !defined(ETUDE_INT) || ETUDE_INT == 64

enum {
    BLOCK = 32,       /* numbers compared by vectors with the worst of the best */
    FEW = 16,         /* the most that are kept in order */
    ROOM = 2 * BLOCK, /* of the list of many, besides twice k */
    RUN = 16,         /* items sorted by insertion before they are merged, or parted no more */
    MANY = 4096,      /* items that are sorted by digits */
    MOST_ROUNDS = 96, /* of quickselect; a row that is made to defeat it is merged instead */
    COLUMNS = 16,     /* of floats, a cache line */
    DIGIT_BITS = 11,
    DIGITS = 1 << DIGIT_BITS
};

#if !defined(ETUDE_INT) && ETUDE_REAL == 32
typedef int32_t key_type;
typedef uint32_t digits_type;
#else
typedef int64_t key_type;
typedef uint64_t digits_type;
#endif

#define KEY_MOST (key_type)(~(digits_type)0 >> 1)

enum { KEY_BITS = 8 * (int)sizeof(key_type) };

typedef struct {
    int64_t key; /* as wide as `at`, for float too, so that an item is copied as one */
    int64_t at;  /* in the row */
} item;

typedef struct {
    const real *x;
    real *y;
    int64_t *index;
    int64_t n, inner, k, parts;
    key_type turn; /* 0, or all bits: the smallest are wanted */
    etude_context *ctx;
    atomic_int *failed;
} topk_call;

static inline __attribute__((always_inline)) key_type key_of(real v, key_type turn)
{
#if defined(ETUDE_INT)
    key_type key = v;
#else
    real zero = v + 0; /* -0 becomes 0 */
    key_type key;
    memcpy(&key, &zero, sizeof key);
    key ^= (key >> (KEY_BITS - 1)) & KEY_MOST; /* the bits of negative numbers run backwards */
    key = v != v ? KEY_MOST : key;
#endif
    return key ^ turn;
}

/* Whether a comes before b. */
static inline int better(item a, item b)
{
    return (a.key > b.key) | ((a.key == b.key) & (a.at < b.at));
}

/* The keys of n <= BLOCK numbers, and whether one is better than `worst`. */
static int keys_of(const real *x, int64_t n, key_type worst, key_type turn, key_type *keys)
{
    int found = 0;
    ETUDE_PRAGMA(omp simd reduction(| : found)) for (int64_t j = 0; j < n; j++)
    {
        keys[j] = key_of(x[j], turn);
        found |= keys[j] > worst;
    }
    return found;
}

/* ---- Few: a list in order -------------------------------------------------------------------- */

/* best: the k best of the row, best first. */
static void best_few(const topk_call *c, const real *x, item *best)
{
    int64_t k = c->k, kept = 0;
    key_type keys[BLOCK];
    for (int64_t from = 0; from < c->n; from += BLOCK) {
        int64_t n = ETUDE_MIN(BLOCK, c->n - from);
        key_type worst = kept == k ? (key_type)best[k - 1].key : 0;
        if (!keys_of(x + from, n, worst, c->turn, keys) && kept == k)
            continue;
        for (int64_t j = 0; j < n; j++) {
            item v = {keys[j], from + j};
            if (kept == k && v.key <= best[k - 1].key)
                continue;
            kept += kept < k;
            int64_t i = kept - 1;
            for (; i > 0 && best[i - 1].key < v.key; i--)
                best[i] = best[i - 1];
            best[i] = v;
        }
    }
}

/* ---- Sorting items --------------------------------------------------------------------------- */

static void sort_run(item *items, int64_t n)
{
    for (int64_t j = 1; j < n; j++) {
        item v = items[j];
        int64_t i = j;
        for (; i > 0 && better(v, items[i - 1]); i--)
            items[i] = items[i - 1];
        items[i] = v;
    }
}

/* to = the sorted `a` and `b` in one order. No branch depends on items, which none foretells. */
static void merge(const item *a, int64_t as, const item *b, int64_t bs, item *to)
{
    const item *a_end = a + as, *b_end = b + bs;
    while (a < a_end && b < b_end) {
        int second = better(*b, *a);
        *to++ = second ? *b : *a;
        a += !second;
        b += second;
    }
    memcpy(to, a, (size_t)(a_end - a) * sizeof(item));
    memcpy(to + (a_end - a), b, (size_t)(b_end - b) * sizeof(item));
}

/* Sorts n items, best first, by way of `other`. Returns the array that has them then. */
static item *sorted_by_merging(item *items, item *other, int64_t n)
{
    for (int64_t from = 0; from < n; from += RUN)
        sort_run(items + from, ETUDE_MIN(RUN, n - from));
    for (int64_t run = RUN; run < n; run *= 2) {
        for (int64_t from = 0; from < n; from += 2 * run) {
            int64_t as = ETUDE_MIN(run, n - from), bs = ETUDE_MIN(run, n - from - as);
            merge(items + from, as, items + from + as, bs, other + from);
        }
        item *swapped = items;
        items = other;
        other = swapped;
    }
    return items;
}

/* The better the key, the smaller its digits. */
static inline int64_t digit_at(int64_t key, int shift)
{
    digits_type digits = (digits_type)(key_type)key ^ (digits_type)KEY_MOST;
    return (int64_t)(digits >> shift) & (DIGITS - 1);
}

/* The same, of items in the order of the row. */
static item *sorted_by_digits(item *items, item *other, int64_t n)
{
    for (int shift = 0; shift < KEY_BITS; shift += DIGIT_BITS) {
        int64_t place[DIGITS] = {0}, total = 0;
        for (int64_t j = 0; j < n; j++)
            place[digit_at(items[j].key, shift)]++;
        if (place[digit_at(items[0].key, shift)] == n)
            continue; /* they all have this digit */
        for (int64_t digit = 0; digit < DIGITS; digit++) {
            int64_t count = place[digit];
            place[digit] = total;
            total += count;
        }
        for (int64_t j = 0; j < n; j++)
            other[place[digit_at(items[j].key, shift)]++] = items[j];
        item *swapped = items;
        items = other;
        other = swapped;
    }
    return items;
}

/* ---- Many: a list of more than twice k ------------------------------------------------------- */

static inline void swap(item *a, item *b)
{
    item held = *a;
    *a = *b;
    *b = held;
}

/* Puts the items from .. to that are better than one of them, which is returned, before it. */
static int64_t parted(item *items, int64_t from, int64_t to)
{
    item *first = items + from, *middle = items + (from + to) / 2, *last = items + to - 1;
    if (better(*first, *middle))
        swap(first, middle);
    if (better(*last, *middle)) /* the middle one is the best of the three; the next is wanted */
        swap(last, middle);
    if (better(*first, *last))
        swap(first, last);
    item pivot = *last;
    int64_t place = from;
    for (int64_t j = from; j < to - 1; j++) {
        item v = items[j];
        items[j] = items[place];
        items[place] = v;
        place += better(v, pivot);
    }
    swap(items + place, last);
    return place;
}

/* Puts the k best of n items first, in any order. */
static void select_best(item *items, item *other, int64_t n, int64_t k)
{
    int64_t from = 0, to = n; /* the k best begin with those before `from`, and end before `to` */
    for (int round = 0; to - from > RUN && round < MOST_ROUNDS; round++) {
        int64_t place = parted(items, from, to);
        if (place == k || place + 1 == k)
            return;
        if (place < k)
            from = place + 1;
        else
            to = place;
    }
    item *sorted = sorted_by_merging(items + from, other, to - from);
    if (sorted != items + from)
        memcpy(items + from, sorted, (size_t)(to - from) * sizeof(item));
}

static item worst_of(const item *items, int64_t k)
{
    item worst = items[0];
    for (int64_t j = 1; j < k; j++)
        worst = better(worst, items[j]) ? items[j] : worst;
    return worst;
}

/* Of which numbers of the row the k best consist: `worst` and the better ones, in its order. */
static void collect(const topk_call *c, const real *x, item worst, item *items)
{
    int64_t taken = 0;
    for (int64_t j = 0; taken < c->k; j++) {
        item v = {key_of(x[j], c->turn), j};
        items[taken] = v;
        taken += !better(worst, v);
    }
}

static inline int64_t room_for(const topk_call *c)
{
    return ETUDE_MIN(c->n, 2 * c->k + ROOM);
}

/* The k best, best first. Both arrays have room_for(c) items. */
static item *best_many(const topk_call *c, const real *x, item *items, item *other)
{
    int64_t k = c->k, room = room_for(c), taken = room;
    key_type worst = 0, keys[BLOCK];
    for (int64_t j = 0; j < room; j++)
        items[j] = (item){key_of(x[j], c->turn), j};
    for (int64_t from = room; from < c->n; from += BLOCK) {
        int64_t n = ETUDE_MIN(BLOCK, c->n - from);
        if (taken + BLOCK > room) {
            select_best(items, other, taken, k);
            worst = (key_type)worst_of(items, k).key;
            taken = k;
        }
        if (!keys_of(x + from, n, worst, c->turn, keys))
            continue;
        for (int64_t j = 0; j < n; j++) {
            items[taken] = (item){keys[j], from + j};
            taken += keys[j] > worst;
        }
    }
    if (taken > k)
        select_best(items, other, taken, k);
    if (k < MANY)
        return sorted_by_merging(items, other, k);
    if (k < c->n)
        collect(c, x, worst_of(items, k), items);
    return sorted_by_digits(items, other, k);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* One row, which lies together in x; y and index are `inner` apart. */
static void topk_row(const topk_call *c, const real *x, real *y, int64_t *index, item *items)
{
    if (c->k <= FEW)
        best_few(c, x, items);
    else
        items = best_many(c, x, items, items + room_for(c));
    for (int64_t j = 0; j < c->k; j++) {
        index[j * c->inner] = items[j].at;
        y[j * c->inner] = x[items[j].at];
    }
}

/* An item of work is a row, or COLUMNS columns, which `room` takes as rows. */
static void topk_columns(const topk_call *c, int64_t work, item *items, real *room)
{
    int64_t inner = c->inner, o = work / c->parts, from = work % c->parts * COLUMNS;
    int64_t cols = ETUDE_MIN(COLUMNS, inner - from);
    const real *x = c->x + o * c->n * inner + from;
    for (int64_t j = 0; inner > 1 && j < c->n; j++)
        for (int64_t i = 0; i < cols; i++)
            room[i * c->n + j] = x[j * inner + i];
    for (int64_t i = 0; i < cols; i++) {
        int64_t at = o * c->k * inner + from + i;
        topk_row(c, inner > 1 ? room + i * c->n : x, c->y + at, c->index + at, items);
    }
}

static void topk_body(void *arg, int64_t begin, int64_t end)
{
    const topk_call *c = arg;
    size_t items = 2 * (size_t)room_for(c) * sizeof(item);
    size_t room = c->inner > 1 ? (size_t)(c->n * COLUMNS) * sizeof(real) : 0;
    char *scratch = etude_scratch(c->ctx, items + room);
    if (!scratch) {
        atomic_store(c->failed, 1);
        return;
    }
    for (int64_t work = begin; work < end; work++)
        topk_columns(c, work, (item *)scratch, (real *)(scratch + items));
}

ETUDE_KERNEL(topk, topk)(etude_context *ctx, const real *x, real *y, int64_t *index, int64_t outer,
                         int64_t n, int64_t inner, int64_t k, double largest)
{
    atomic_int failed = 0;
    int64_t parts = (inner + COLUMNS - 1) / COLUMNS;
    topk_call c = {x, y, index, n, inner, k, parts, largest != 0 ? 0 : -1, ctx, &failed};
    if (k > 0)
        etude_parallel_for(ctx, topk_body, &c, outer * parts,
                           ETUDE_GRAIN_MATH / (n * ETUDE_MIN(COLUMNS, inner)) + 1);
    return failed ? ETUDE_NO_MEMORY : ETUDE_OK;
}

#endif
