/* topk.c: the k largest or smallest numbers along an axis, in order, and where they stand.
   Reference: `topk` in packages/etude/src/etude/ops/index.py.
   x: outer x n x inner; y and index: outer x k x inner.

   Plan. A number becomes a key, a whole number of its size: the better a number, the larger its
   key, and equal numbers have one key. Of these the first wins. Then two roads along a row:

   Few of many. A heap of k holds the best so far, the worst of them on top. A block of numbers is
   compared with that one by vectors, and nearly always none is better: the row is read once, at the
   speed of memory. In a row of n numbers in random order some k ln(n/k) enter the heap.

   Many. Digit by digit from the highest, counts say which key the worst one has; the better ones
   and the first of its equals are taken as they stand, and sorted by digits from the lowest.

   Columns (inner > 1) are copied into rows first, COLUMNS at a time. Threads share rows. Compiled
   for ETUDE_INT too, for int64. */
#include <stdatomic.h>
#include <string.h>

#include "kernel.h"

#if !defined(ETUDE_INT) || ETUDE_INT == 64

enum {
    BLOCK = 64,      /* numbers compared by vectors with the worst of the heap */
    SHORT = 256,     /* a row up to which the heap is always the shorter road */
    FEW = 64,        /* one of so many is few */
    COLUMNS = 16,    /* of floats, a cache line */
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

enum { KEY_BITS = 8 * (int)sizeof(key_type), HIGHEST = (KEY_BITS - 1) / DIGIT_BITS * DIGIT_BITS };

typedef struct {
    key_type key;
    int64_t at; /* in the row */
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

/* ---- Few of many: a heap --------------------------------------------------------------------- */

static inline int worse(item a, item b)
{
    return a.key < b.key || (a.key == b.key && a.at > b.at);
}

/* heap[i] moves down until nothing below it is worse. */
static void sink(item *heap, int64_t n, int64_t i)
{
    item moved = heap[i];
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && worse(heap[child + 1], heap[child]))
            child++;
        if (!worse(heap[child], moved))
            break;
        heap[i] = heap[child];
    }
    heap[i] = moved;
}

static int any_better(const real *x, int64_t n, key_type worst, key_type turn)
{
    int found = 0;
    ETUDE_PRAGMA(omp simd reduction(| : found)) for (int64_t j = 0; j < n; j++)
        found |= key_of(x[j], turn) > worst;
    return found;
}

/* heap: the k best of the row, best first. */
static void best_by_heap(const topk_call *c, const real *x, item *heap)
{
    int64_t n = c->n, k = c->k;
    for (int64_t j = 0; j < k; j++)
        heap[j] = (item){key_of(x[j], c->turn), j};
    for (int64_t i = k / 2; i-- > 0;)
        sink(heap, k, i);
    for (int64_t from = k; from < n; from += BLOCK) {
        int64_t to = ETUDE_MIN(from + BLOCK, n);
        if (!any_better(x + from, to - from, heap[0].key, c->turn))
            continue;
        for (int64_t j = from; j < to; j++) {
            key_type key = key_of(x[j], c->turn);
            if (key > heap[0].key) {
                heap[0] = (item){key, j};
                sink(heap, k, 0);
            }
        }
    }
    for (int64_t end = k - 1; end > 0; end--) { /* the worst goes behind the others */
        item worst = heap[0];
        heap[0] = heap[end];
        heap[end] = worst;
        sink(heap, end, 0);
    }
}

/* ---- Many: by digits ------------------------------------------------------------------------- */

/* The better the key, the smaller its digits. */
static inline digits_type digits_of(key_type key)
{
    return (digits_type)key ^ (digits_type)KEY_MOST;
}

static inline int64_t digit_at(digits_type digits, int shift)
{
    return (int64_t)(digits >> shift) & (DIGITS - 1);
}

/* The digits of number k of the row, the best being number 1. *equal: how many with these digits
   are among the k best. */
static digits_type worst_taken(const topk_call *c, const real *x, int64_t *equal)
{
    digits_type found = 0, known = 0; /* the bits of `found` that are known */
    int64_t left = c->k;
    for (int shift = HIGHEST; shift >= 0; shift -= DIGIT_BITS) {
        int64_t count[DIGITS] = {0}, digit = 0;
        for (int64_t j = 0; j < c->n; j++) {
            digits_type digits = digits_of(key_of(x[j], c->turn));
            count[digit_at(digits, shift)] += (digits & known) == found;
        }
        for (; count[digit] < left; digit++)
            left -= count[digit];
        found |= (digits_type)digit << shift;
        known |= (digits_type)(DIGITS - 1) << shift;
    }
    *equal = left;
    return found;
}

/* Sorts k items, best first, by way of `other`; those of one key stay in order. Returns the array
   that has them then. */
static item *sorted_by_digits(item *items, item *other, int64_t k)
{
    for (int shift = 0; shift < KEY_BITS; shift += DIGIT_BITS) {
        int64_t place[DIGITS] = {0}, total = 0;
        for (int64_t j = 0; j < k; j++)
            place[digit_at(digits_of(items[j].key), shift)]++;
        if (place[digit_at(digits_of(items[0].key), shift)] == k)
            continue; /* they all have this digit */
        for (int64_t digit = 0; digit < DIGITS; digit++) {
            int64_t count = place[digit];
            place[digit] = total;
            total += count;
        }
        for (int64_t j = 0; j < k; j++)
            other[place[digit_at(digits_of(items[j].key), shift)]++] = items[j];
        item *swapped = items;
        items = other;
        other = swapped;
    }
    return items;
}

static item *best_by_digits(const topk_call *c, const real *x, item *items)
{
    int64_t equal, taken = 0;
    digits_type worst = worst_taken(c, x, &equal);
    for (int64_t j = 0; j < c->n; j++) {
        key_type key = key_of(x[j], c->turn);
        digits_type digits = digits_of(key);
        if (digits < worst || (digits == worst && equal-- > 0))
            items[taken++] = (item){key, j};
    }
    return sorted_by_digits(items, items + c->k, c->k);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* One row, which lies together in x; y and index are `inner` apart. */
static void topk_row(const topk_call *c, const real *x, real *y, int64_t *index, item *items)
{
    if (c->n <= SHORT || c->k <= c->n / FEW)
        best_by_heap(c, x, items);
    else
        items = best_by_digits(c, x, items);
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
    size_t items = 2 * (size_t)c->k * sizeof(item);
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
