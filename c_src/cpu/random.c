/* random.c: Philox 4x64-10, uniform and normal numbers, and dropout.
   Reference: packages/etude/src/etude/ops/random.py.

   Philox (Salmon et al. 2011, section 3.3) maps (key, counter) to four 64-bit words by ten rounds
   of two multiplications 64 x 64 -> 128. Element i depends on i alone, so any split gives the same
   bits; they are those of numpy.random.Philox, whose first block has counter 1. A word makes one
   double, or two floats, low half first.

   Plan. Words are made a chunk at a time into L1; a second, vectorised loop turns them into
   numbers. In a block each round waits for the one before, but no block waits for another: the
   processor overlaps them better than several blocks interleaved by hand, which run out of
   registers. About 3 cycles a float.

   Normal numbers take a radius and an angle from each word. Both have 24 bits, so every possible
   result was compared with the reference's: rounded to float they are the same bits, on every
   instruction set. The logarithm is the C library's, as good as the reference's. */
#include <math.h>
#include <string.h>

#include "kernel.h"
#include "trig.h"
#include "wide.h"

typedef unsigned __int128 wide;

enum { WORDS = 4, ROUNDS = 10, CHUNK_BLOCKS = 64, CHUNK_WORDS = CHUNK_BLOCKS * WORDS };

static inline void philox(uint64_t key0, uint64_t key1, uint64_t counter, uint64_t word[WORDS])
{
    uint64_t a = counter, b = 0, c = 0, d = 0;
    for (int round = 0; round < ROUNDS; round++) {
        wide ab = (wide)0xD2E7470EE14C6C93u * a, cd = (wide)0xCA5A826395121157u * c;
        a = (uint64_t)(cd >> 64) ^ b ^ key0;
        b = (uint64_t)cd;
        c = (uint64_t)(ab >> 64) ^ d ^ key1;
        d = (uint64_t)ab;
        key0 += 0x9E3779B97F4A7C15u; /* the golden ratio */
        key1 += 0xBB67AE8584CAA73Bu; /* sqrt 3 - 1 */
    }
    word[0] = a, word[1] = b, word[2] = c, word[3] = d;
}

typedef struct {
    uint64_t key0, key1;
    const real *x;
    real *y;
    int64_t n;
    float p; /* an element is dropped where its uniform number is below it */
    real scale;
} random_call;

static void chunk_of_words(const random_call *call, int64_t chunk, uint64_t *word)
{
    uint64_t counter = (uint64_t)(chunk * CHUNK_BLOCKS) + 1;
    for (int b = 0; b < CHUNK_BLOCKS; b++)
        philox(call->key0, call->key1, counter + (uint64_t)b, word + b * WORDS);
}

static void chunk_of_floats(const random_call *call, int64_t chunk, float *u)
{
    uint64_t word[CHUNK_WORDS];
    uint32_t half[2 * CHUNK_WORDS];
    chunk_of_words(call, chunk, word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (int i = 0; i < CHUNK_WORDS; i++)
        half[2 * i] = (uint32_t)word[i], half[2 * i + 1] = (uint32_t)(word[i] >> 32);
#else
    memcpy(half, word, sizeof half);
#endif
    ETUDE_SIMD for (int i = 0; i < 2 * CHUNK_WORDS; i++) u[i] =
        (float)(int32_t)(half[i] >> 8) * 0x1p-24f;
}

static void rand_chunks(void *arg, int64_t begin, int64_t end)
{
    const random_call *call = arg;
    for (int64_t chunk = begin; chunk < end; chunk++) {
#if ETUDE_REAL == 64
        uint64_t word[CHUNK_WORDS];
        int64_t from = chunk * CHUNK_WORDS, n = ETUDE_MIN(CHUNK_WORDS, call->n - from);
        chunk_of_words(call, chunk, word);
        ETUDE_SIMD for (int64_t i = 0; i < n; i++) call->y[from + i] =
            (double)(int64_t)(word[i] >> 11) * 0x1p-53;
#else
        float u[2 * CHUNK_WORDS];
        int64_t from = chunk * 2 * CHUNK_WORDS, n = ETUDE_MIN(2 * CHUNK_WORDS, call->n - from);
        chunk_of_floats(call, chunk, u);
        memcpy(call->y + from, u, (size_t)n * sizeof *u);
#endif
    }
}

ETUDE_KERNEL(rand, rand)(etude_context *ctx, const int64_t *key, real *y, int64_t n)
{
    const int64_t per_chunk = sizeof(real) == 8 ? CHUNK_WORDS : 2 * CHUNK_WORDS;
    random_call call = {.key0 = (uint64_t)key[0], .key1 = (uint64_t)key[1], .y = y, .n = n};
    etude_parallel_for(ctx, rand_chunks, &call, (n + per_chunk - 1) / per_chunk,
                       ETUDE_GRAIN_MATH / per_chunk);
    return ETUDE_OK;
}

/* Box and Muller 1958: elements 2i and 2i + 1 are radius cos angle and radius sin angle. */
static void randn_chunks(void *arg, int64_t begin, int64_t end)
{
    const random_call *call = arg;
    uint64_t word[CHUNK_WORDS];
    double radius[CHUNK_WORDS];
    real z[2 * CHUNK_WORDS];
    for (int64_t chunk = begin; chunk < end; chunk++) {
        int64_t from = chunk * 2 * CHUNK_WORDS, n = ETUDE_MIN(2 * CHUNK_WORDS, call->n - from);
        int words = (int)((n + 1) / 2);
        chunk_of_words(call, chunk, word);
        ETUDE_SIMD for (int i = 0; i < words; i++) radius[i] =
            wide_log(((double)(int64_t)((word[i] & 0xffffffffu) >> 8) + 1) * 0x1p-24);
        ETUDE_SIMD for (int i = 0; i < words; i++)
        {
            double angle = (double)(int64_t)(word[i] >> 40) * (0x1p-24 * 0x1.921fb54442d18p+2);
            real size = (real)(float)sqrt(-2 * radius[i]);
            z[2 * i] = size * (real)(float)v_cos(angle);
            z[2 * i + 1] = size * (real)(float)v_sin(angle);
        }
        memcpy(call->y + from, z, (size_t)n * sizeof *z);
    }
}

ETUDE_KERNEL(rand, randn)(etude_context *ctx, const int64_t *key, real *y, int64_t n)
{
    random_call call = {.key0 = (uint64_t)key[0], .key1 = (uint64_t)key[1], .y = y, .n = n};
    etude_parallel_for(ctx, randn_chunks, &call, (n + 2 * CHUNK_WORDS - 1) / (2 * CHUNK_WORDS),
                       ETUDE_GRAIN_MATH / (2 * CHUNK_WORDS));
    return ETUDE_OK;
}

/* The uniform numbers are floats whatever the dtype, so that the mask is the same. */
static void dropout_chunks(void *arg, int64_t begin, int64_t end)
{
    const random_call *call = arg;
    float u[2 * CHUNK_WORDS];
    for (int64_t chunk = begin; chunk < end; chunk++) {
        int64_t from = chunk * 2 * CHUNK_WORDS, n = ETUDE_MIN(2 * CHUNK_WORDS, call->n - from);
        const real *x = call->x + from;
        real *y = call->y + from;
        chunk_of_floats(call, chunk, u);
        ETUDE_SIMD for (int64_t i = 0; i < n; i++)
        {
            real scaled = x[i] * call->scale; /* whether kept or not: no branch */
            y[i] = u[i] >= call->p ? scaled : 0;
        }
    }
}

ETUDE_KERNEL(dropout, dropout)(etude_context *ctx, const real *x, const int64_t *key, real *y,
                               int64_t n, double p)
{
    random_call call = {.key0 = (uint64_t)key[0], .key1 = (uint64_t)key[1], .x = x, .y = y, .n = n,
                        .p = (float)p, .scale = (real)(1 / (1 - p))};
    etude_parallel_for(ctx, dropout_chunks, &call, (n + 2 * CHUNK_WORDS - 1) / (2 * CHUNK_WORDS),
                       ETUDE_GRAIN_MATH / (2 * CHUNK_WORDS));
    return ETUDE_OK;
}
