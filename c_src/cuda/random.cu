/* random.cu: Philox 4x64-10, uniform and normal numbers, and dropout.
   Reference: packages/etude/src/etude/ops/random.py. On the CPU: c_src/cpu/random.c.

   Philox (Salmon et al. 2011, section 3.3) maps (key, counter) to four 64-bit words by ten rounds
   of two multiplications 64 x 64 -> 128. Element i depends on i alone, so any split gives the same
   bits; they are those of numpy.random.Philox, whose first block has counter 1. A word makes one
   double, or two floats, low half first.

   Plan. A thread makes the four words of one counter in registers, and from them 8 numbers, or 4
   doubles. It would store 32 bytes of its own, and a warp every other 16 bytes with one
   instruction; so two lanes swap halves, and each of their stores fills 32 bytes. A multiplication
   of 64 bits is some dozen instructions on a card, so uniform numbers take about as long as their
   stores. The key is memory of the device.

   Normal numbers take a radius and an angle from each word, in double, and round each to float: so
   any decent mathematics library gives the same bits. ETUDE_REAL is 32 or 64. */
#include "kernel.cuh"

enum { WORDS = 4, ROUNDS = 10, FLOATS = 2 * WORDS };

struct words {
    uint64_t at[WORDS];
};

ETUDE_DEVICE words philox(const int64_t *key, uint64_t counter)
{
    uint64_t key0 = (uint64_t)key[0], key1 = (uint64_t)key[1];
    uint64_t a = counter, b = 0, c = 0, d = 0;
#pragma unroll
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t ab = __umul64hi(0xD2E7470EE14C6C93u, a), cd = __umul64hi(0xCA5A826395121157u, c);
        uint64_t ab_low = 0xD2E7470EE14C6C93u * a, cd_low = 0xCA5A826395121157u * c;
        a = cd ^ b ^ key0;
        b = cd_low;
        c = ab ^ d ^ key1;
        d = ab_low;
        key0 += 0x9E3779B97F4A7C15u; /* the golden ratio */
        key1 += 0xBB67AE8584CAA73Bu; /* sqrt 3 - 1 */
    }
    return {{a, b, c, d}};
}

/* Half number h of the words, low halves first, as 24 bits. */
ETUDE_DEVICE uint32_t bits_of_half(const words &w, int h)
{
    return (uint32_t)(w.at[h / 2] >> (h % 2 * 32)) >> 8;
}

ETUDE_DEVICE float uniform(const words &w, int h)
{
    return (float)(int)bits_of_half(w, h) * 0x1p-24f;
}

/* ---- Sine and cosine of an angle from 0 to 2 pi, as in c_src/cpu/trig.h ---------------------- */

/* sin(x + quarters pi/2). x = n pi/2 + r with |r| <= pi/4: pi/2 comes in three parts, of which the
   first two have 33 bits, so that their products with n are exact (Cody and Waite 1980, chapter 8).
   On r the polynomials of fdlibm's k_sin.c and k_cos.c. CUDA's own sin and cos would do, but keep
   local memory for angles that do not occur here. */
ETUDE_DEVICE double turned_sine(double x, int quarters)
{
    double n = rint(x * 0x1.45f306dc9c883p-1);
    double first = x - n * 0x1.921fb54400000p+0, second = n * 0x1.0b4611a600000p-34;
    double r = first - second; /* exact but for what goes into rest */
    double rest = n * 0x1.3198a2e037073p-69 - ((first - r) - second);
    double y = r - rest, low = (r - y) - rest, z = y * y;
    double s = 1.58969099521155010221e-10;
    s = s * z - 2.50507602534068634195e-08;
    s = s * z + 2.75573137070700676789e-06;
    s = s * z - 1.98412698298579493134e-04;
    s = s * z + 8.33333333332248946124e-03;
    double cube = z * y;
    double sine = y - ((z * (0.5 * low - cube * s) - low) + cube * 1.66666666666666324348e-01);
    double c = -1.13596475577881948265e-11;
    c = c * z + 2.08757232129817482790e-09;
    c = c * z - 2.75573143513906633035e-07;
    c = c * z + 2.48015872894767294178e-05;
    c = c * z - 1.38888888888741095749e-03;
    c = c * z + 4.16666666666666019037e-02;
    double half = 0.5 * z, one = 1.0 - half;
    double cosine = one + (((1.0 - one) - half) + (z * (z * c) - y * low));
    quarters += (int)n;
    double chosen = quarters & 1 ? cosine : sine;
    return quarters & 2 ? -chosen : chosen;
}

/* ---- What four words become ---------------------------------------------------------------------

   COUNT numbers each, which `make` works out from the words and `finished` turns into elements `at`
   and so on of the result, N at a time. */

namespace {

struct rand_numbers {
    enum { COUNT = sizeof(real) == 8 ? (int)WORDS : (int)FLOATS };
    typedef real number;

    ETUDE_METHOD void make(const words &w, number *u) const
    {
#pragma unroll
        for (int i = 0; i < COUNT; i++)
            u[i] = sizeof(real) == 8 ? (real)((double)(int64_t)(w.at[i % WORDS] >> 11) * 0x1p-53)
                                     : (real)uniform(w, i);
    }
    template <int N> ETUDE_METHOD pack<N> finished(int64_t, const number *u) const
    {
        pack<N> y;
#pragma unroll
        for (int e = 0; e < N; e++)
            y.at[e] = u[e];
        return y;
    }
};

/* Box and Muller 1958: elements 2i and 2i + 1 are radius cos angle and radius sin angle. */
struct randn_numbers : rand_numbers {
    enum { COUNT = FLOATS };

    ETUDE_METHOD void make(const words &w, number *u) const
    {
        const double step = 0x1p-24 * 0x1.921fb54442d18p+2; /* 2 pi / 2^24 */
#pragma unroll
        for (int i = 0; i < WORDS; i++) {
            double size = ((double)(int)bits_of_half(w, 2 * i) + 1) * 0x1p-24;
            double angle = (double)(int)bits_of_half(w, 2 * i + 1) * step;
            real radius = (real)(float)sqrt(-2 * log(size));
            u[2 * i] = radius * (real)(float)turned_sine(angle, 1);
            u[2 * i + 1] = radius * (real)(float)turned_sine(angle, 0);
        }
    }
};

/* The uniform numbers are floats whatever the dtype, so that the mask is the same. */
struct dropped_numbers {
    enum { COUNT = FLOATS };
    typedef float number;
    const real *x;
    float p; /* an element is dropped where its uniform number is below it */
    real scale;

    ETUDE_METHOD void make(const words &w, number *u) const
    {
#pragma unroll
        for (int i = 0; i < COUNT; i++)
            u[i] = uniform(w, i);
    }
    template <int N> ETUDE_METHOD pack<N> finished(int64_t at, const number *u) const
    {
        pack<N> y = load<N>(x + at);
#pragma unroll
        for (int e = 0; e < N; e++)
            y.at[e] = u[e] >= p ? y.at[e] * scale : (real)0;
        return y;
    }
};

} // namespace

/* Neighbouring lanes have the numbers a and b, of one block of words each. They swap halves: the
   even lane has the first half of a and that of b then, the odd lane the second ones. */
template <int HALF, class T> ETUDE_DEVICE void swap_halves(T *u, bool odd)
{
#pragma unroll
    for (int e = 0; e < HALF; e++) {
        T got = __shfl_xor_sync(EVERY_LANE, odd ? u[e] : u[HALF + e], 1);
        u[e] = odd ? got : u[e];
        u[HALF + e] = odd ? u[HALF + e] : got;
    }
}

/* HALF elements of the result, from number `at` on. */
template <int HALF, class Numbers>
ETUDE_DEVICE void finish(const Numbers &numbers, const typename Numbers::number *u, int64_t at,
                         real *y, int64_t n, bool even)
{
    if (even && at + HALF <= n) {
#pragma unroll
        for (int e = 0; e < HALF; e += PACK)
            store<PACK>(y + at + e, numbers.template finished<PACK>(at + e, u + e));
        return;
    }
#pragma unroll
    for (int e = 0; e < HALF; e++)
        if (at + e < n)
            store<1>(y + at + e, numbers.template finished<1>(at + e, u + e));
}

/* A warp takes 32 blocks of words at a time. All lanes stay to the end, for the swaps. */
template <class Numbers>
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    random_kernel(Numbers numbers, const int64_t *key, real *y, int64_t n, bool even)
{
    constexpr int COUNT = Numbers::COUNT, HALF = COUNT / 2;
    int lane = lane_of_warp();
    bool odd = lane % 2;
    for (int64_t warp = first_item() - lane; warp * COUNT < n; warp += all_threads()) {
        typename Numbers::number u[COUNT];
        numbers.make(philox(key, (uint64_t)(warp + lane) + 1), u);
        swap_halves<HALF>(u, odd);
        int64_t at = (warp + lane - odd) * COUNT + odd * HALF;
        finish<HALF>(numbers, u, at, y, n, even);
        finish<HALF>(numbers, u + HALF, at + COUNT, y, n, even);
    }
}

template <class Numbers>
static int drawn(etude_context *ctx, const char *op, Numbers numbers, const int64_t *key, real *y,
                 int64_t n, bool even)
{
    if (n == 0)
        return ETUDE_OK;
    int64_t blocks = pieces(n, Numbers::COUNT);
    random_kernel<<<blocks_for(blocks), threads_for(blocks), 0, stream_of(ctx)>>>(numbers, key, y,
                                                                                  n, even);
    return launched(ctx, op);
}

ETUDE_KERNEL(rand, rand)(etude_context *ctx, const int64_t *key, real *y, int64_t n)
{
    return drawn(ctx, "rand", rand_numbers{}, key, y, n, aligned(y));
}

ETUDE_KERNEL(rand, randn)(etude_context *ctx, const int64_t *key, real *y, int64_t n)
{
    return drawn(ctx, "randn", randn_numbers{}, key, y, n, aligned(y));
}

ETUDE_KERNEL(dropout, dropout)(etude_context *ctx, const real *x, const int64_t *key, real *y,
                               int64_t n, double p)
{
    dropped_numbers numbers = {x, (float)p, (real)(1 / (1 - p))};
    return drawn(ctx, "dropout", numbers, key, y, n, aligned(x) && aligned(y));
}
