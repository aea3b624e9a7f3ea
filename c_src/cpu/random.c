/* random.c: Philox 4x64-10, uniform numbers and dropout.
   Reference: packages/etude/src/etude/ops/random.py.

   Philox (Salmon et al. 2011, section 3.3) maps (key, counter) to four 64-bit words by ten rounds
   of two multiplications 64 x 64 -> 128. Element i depends on i alone, so any split gives the same
   bits; they are those of numpy.random.Philox, whose first block has counter 1. A word makes one
   double, or two floats, low half first. */
#include "kernel.h"

typedef unsigned __int128 wide;

enum { WORDS = 4, HALVES = 8, ROUNDS = 10 };

static inline void philox(uint64_t key0, uint64_t key1, uint64_t counter, uint64_t word[WORDS])
{
    uint64_t a = counter, b = 0, c = 0, d = 0;
    for (int round = 0; round < ROUNDS; round++) {
        wide ab = (wide)0xD2E7470EE14C6C93u * a, cd = (wide)0xCA5A826395121157u * c;
        a = (uint64_t)(cd >> 64) ^ b ^ key0;
        b = (uint64_t)cd;
        c = (uint64_t)(ab >> 64) ^ d ^ key1;
        d = (uint64_t)ab;
        key0 += 0x9E3779B97F4A7C15u; /* golden ratio */
        key1 += 0xBB67AE8584CAA73Bu; /* sqrt 3 - 1 */
    }
    word[0] = a, word[1] = b, word[2] = c, word[3] = d;
}

typedef struct {
    uint64_t key0, key1;
    const real *x;
    real *y;
    int64_t n;
    float p;    /* drop below */
    real scale;
} random_call;

static inline float uniform_float(const uint64_t word[WORDS], int half)
{
    uint32_t h = (uint32_t)(word[half / 2] >> (half % 2 * 32));
    return (float)(h >> 8) * 0x1p-24f;
}

/* Blocks are what Philox makes at once: 8 floats, or 4 doubles. */
static void rand_blocks(void *arg, int64_t begin, int64_t end)
{
    const random_call *call = arg;
    const int per_block = sizeof(real) == 8 ? WORDS : HALVES;
    uint64_t word[WORDS];
    for (int64_t b = begin; b < end; b++) {
        int64_t i = b * per_block;
        int64_t count = ETUDE_MIN(per_block, call->n - i);
        philox(call->key0, call->key1, (uint64_t)b + 1, word);
        for (int k = 0; k < count; k++)
            call->y[i + k] = sizeof(real) == 8 ? (real)(word[k % WORDS] >> 11) * (real)0x1p-53
                                               : (real)uniform_float(word, k);
    }
}

int ETUDE_NAME(rand)(etude_context *ctx, const int64_t *key, real *y, int64_t n)
{
    const int per_block = sizeof(real) == 8 ? WORDS : HALVES;
    random_call call = {.key0 = (uint64_t)key[0], .key1 = (uint64_t)key[1], .y = y, .n = n};
    etude_parallel_for(ctx, rand_blocks, &call, (n + per_block - 1) / per_block,
                       ETUDE_GRAIN_MATH / per_block);
    return ETUDE_OK;
}

/* The float rule for every dtype, so that the mask is the same. */
static void dropout_blocks(void *arg, int64_t begin, int64_t end)
{
    const random_call *call = arg;
    uint64_t word[WORDS];
    for (int64_t b = begin; b < end; b++) {
        int64_t i = b * HALVES;
        int64_t count = ETUDE_MIN(HALVES, call->n - i);
        philox(call->key0, call->key1, (uint64_t)b + 1, word);
        for (int k = 0; k < count; k++) {
            real scaled = call->x[i + k] * call->scale;
            call->y[i + k] = uniform_float(word, k) >= call->p ? scaled : 0;
        }
    }
}

int ETUDE_NAME(dropout)(etude_context *ctx, const real *x, const int64_t *key, real *y, int64_t n,
                        double p)
{
    random_call call = {.key0 = (uint64_t)key[0], .key1 = (uint64_t)key[1], .x = x, .y = y, .n = n,
                        .p = (float)p, .scale = (real)(1 / (1 - p))};
    etude_parallel_for(ctx, dropout_blocks, &call, (n + HALVES - 1) / HALVES,
                       ETUDE_GRAIN_MATH / HALVES);
    return ETUDE_OK;
}
