/* binary.c: arithmetic on two broadcast operands.
   Reference: packages/etude/src/etude/ops/binary.py. The walk over rows is pointwise.h's.

   Plan. One loop for each pattern: along a row an operand runs, or is one value for all of it. All
   ops but pow, floor_divide and remainder are bound by memory. Those three are computed in double
   where real is float, which settles their roundings, and by the C library where it is double.
   int64 has all but div, and wraps around where a result is too large, as in NumPy. */
#include "pointwise.h"

/* `value` is z[i], computed from v, which is x[i], and from w, which is y[i]. */
#define BINARY(op, value)                                                                         \
    static inline __attribute__((always_inline)) void op##_steps(                                 \
        const real *x, const real *y, real *z, int64_t xs, int64_t ys, int64_t n)                 \
    {                                                                                             \
        ETUDE_SIMD for (int64_t i = 0; i < n; i++)                                                \
        {                                                                                         \
            real v = x[i * xs], w = y[i * ys];                                                    \
            z[i] = value;                                                                         \
        }                                                                                         \
    }                                                                                             \
    static void op##_run(char *const *p, const int64_t *step, int64_t n)                          \
    {                                                                                             \
        const real *x = (const real *)p[0], *y = (const real *)p[1];                              \
        real *z = (real *)p[2];                                                                   \
        if (step[0] && step[1])                                                                   \
            op##_steps(x, y, z, 1, 1, n);                                                         \
        else if (step[0])                                                                         \
            op##_steps(x, y, z, 1, 0, n);                                                         \
        else if (step[1])                                                                         \
            op##_steps(x, y, z, 0, 1, n);                                                         \
        else                                                                                      \
            op##_steps(x, y, z, 0, 0, n);                                                         \
    }                                                                                             \
    ENTRY(op)

#define ENTRY(op)                                                                                 \
    ETUDE_KERNEL(binary, op)(etude_context *ctx, const real *x, const real *y, real *z,           \
                             const int64_t size[3], const int64_t xs[3], const int64_t ys[3])     \
    {                                                                                             \
        pointwise c = {op##_run, 3, {(char *)x, (char *)y, (char *)z},                            \
                       {sizeof *x, sizeof *y, sizeof *z}, {xs, ys}, size};                        \
        return pointwise_all(ctx, &c);                                                            \
    }

#if !defined(ETUDE_INT)
#include <math.h>
#include <string.h>

BINARY(add, v + w)
BINARY(sub, v - w)
BINARY(mul, v *w)
BINARY(div, v / w)
BINARY(maximum, v >= w || v != v ? v : w) /* NaN if either is */
BINARY(minimum, v <= w || v != v ? v : w)

/* The three ops below have one loop each, over blocks. An operand that is one value for the row is
   written out for them: where the compiler sees that it does not change, it finds branches in the
   formulas, and no vectors. */
enum { BLOCK = 256 };

static const real *operand(const char *given, int64_t step, int64_t from, real *room)
{
    const real *x = (const real *)given;
    if (step)
        return x + from;
    for (int i = 0; from == 0 && i < BLOCK; i++)
        room[i] = x[0];
    return room;
}

/* ---- pow ------------------------------------------------------------------------------------- */

#if ETUDE_REAL == 64

static void power_block(const real *x, const real *y, real *z, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        z[i] = pow(x[i], y[i]);
}

#else
#include "wide.h"

/* e^t, whose range a float's leaves far behind. */
static inline __attribute__((always_inline)) real power_of_e(double t)
{
    return (real)short_exp(t > 600 ? 600 : t < -600 ? -600 : t);
}

/* x^y from z = |x|^y. A negative x asks whether y is a whole number, and an odd one. */
static inline __attribute__((always_inline)) real with_sign(real z, real x, real y)
{
    real half = y * 0.5f;
    int whole = rintf(y) == y;
    real sign = (whole & (rintf(half) != half)) ? x : 1;
    return ((x < 0) & (x > -INFINITY) & !whole) ? NAN : copysignf(z, sign);
}

/* |x|^y = e^(y ln |x|) in double. ln 0 and ln infinity are taken as -2^1000 and 2^1000, and an
   infinite y as 2^200, so that times 0 they are 0, and all else overflows. */
static inline __attribute__((always_inline)) real power(real x, real y)
{
    double a = fabs((double)x), b = y, log = short_log(a);
    log = a == 0 ? -0x1p1000 : a == INFINITY ? 0x1p1000 : a != a ? a : log;
    b = b > 0x1p200 ? 0x1p200 : b < -0x1p200 ? -0x1p200 : b;
    return ((x == 1) | (y == 0)) ? 1 : with_sign(power_of_e(b * log), x, y);
}

/* The same bits where x is not 0, and neither is infinite or NaN. */
static inline __attribute__((always_inline)) real ordinary_power(real x, real y)
{
    return with_sign(power_of_e(y * short_log(fabs((double)x))), x, y);
}

/* Numbers that are not ordinary are rare, and looked for before: two thirds of the time without. */
static void power_block(const real *x, const real *y, real *z, int64_t n)
{
    int rare = 0;
    ETUDE_PRAGMA(omp simd reduction(| : rare)) for (int64_t i = 0; i < n; i++)
        rare |= !((x[i] != 0) & (fabsf(x[i]) < INFINITY) & (fabsf(y[i]) < INFINITY));
    if (rare)
        ETUDE_SIMD for (int64_t i = 0; i < n; i++) z[i] = power(x[i], y[i]);
    else
        ETUDE_SIMD for (int64_t i = 0; i < n; i++) z[i] = ordinary_power(x[i], y[i]);
}

#endif

static real root(real x) /* x^(1/2) as pow defines it: +0 at -0, infinity at -infinity */
{
    real y = (sizeof(real) == 8 ? (real)sqrt(x) : (real)sqrtf((float)x)) + 0;
    return x == -INFINITY ? INFINITY : y;
}

static void powers_run(char *const *p, const int64_t *step, int64_t n)
{
    real x_room[BLOCK], y_room[BLOCK];
    for (int64_t from = 0; from < n; from += BLOCK) {
        int64_t count = ETUDE_MIN(n - from, BLOCK);
        const real *x = operand(p[0], step[0], from, x_room);
        const real *y = operand(p[1], step[1], from, y_room);
        power_block(x, y, (real *)p[2] + from, count);
    }
}

/* Where a row has one exponent, some exponents are fast and exact. */
static void pow_run(char *const *p, const int64_t *step, int64_t n)
{
    const real *x = (const real *)p[0], *y = (const real *)p[1];
    real *z = (real *)p[2];
    int64_t xs = step[0], ys = step[1];
    if (ys == 0 && y[0] == 2) {
        ETUDE_SIMD for (int64_t i = 0; i < n; i++) z[i] = x[i * xs] * x[i * xs];
    } else if (ys == 0 && y[0] == (real)0.5) {
        ETUDE_SIMD for (int64_t i = 0; i < n; i++) z[i] = root(x[i * xs]);
    } else if (ys == 0 && y[0] == 3) {
        ETUDE_SIMD for (int64_t i = 0; i < n; i++) z[i] = x[i * xs] * x[i * xs] * x[i * xs];
    } else if (ys == 0 && y[0] == -1) {
        ETUDE_SIMD for (int64_t i = 0; i < n; i++) z[i] = 1 / x[i * xs];
    } else if (ys == 0 && y[0] == (real)-0.5) {
        ETUDE_SIMD for (int64_t i = 0; i < n; i++) z[i] = 1 / root(x[i * xs]);
    } else {
        powers_run(p, step, n);
    }
}

ENTRY(pow)

/* ---- floor_divide and remainder: Python's // and %, in which the rest has the sign of y ------- */

static inline real truncated(real x, real y) /* the rest with the sign of x */
{
    return sizeof(real) == 8 ? (real)fmod(x, y) : (real)fmodf((float)x, (float)y);
}

static inline real floored(real x, real y)
{
    if (y == 0)
        return x / y;
    real m = truncated(x, y), z = (x - m) / y; /* whole, but for rounding */
    if (m != 0 && (y < 0) != (m < 0))
        z -= 1;
    if (z == 0)
        return (real)copysign(0, x / y);
    real low = (real)floor(z);
    return z - low > (real)0.5 ? low + 1 : low;
}

static inline real remaining(real x, real y)
{
    real m = truncated(x, y);
    if (m == 0)
        return (real)copysign(0, y);
    return (y < 0) != (m < 0) ? m + y : m;
}

/* Floats whose quotient is below 2^29 are divided in double: then n y is exact, and so is the rest
   x - n y. Rounding x / y may have made n too large by 1, which the sign of the rest tells. Returns
   whether there were others among the n numbers, which are computed wrongly. */
static inline __attribute__((always_inline)) int
divided(int wants_rest, const real *x, const real *y, real *z, int64_t n)
{
    int rare = 0;
    ETUDE_PRAGMA(omp simd reduction(| : rare)) for (int64_t i = 0; i < n; i++)
    {
        double v = x[i], w = y[i], q = v / w, whole = floor(q), rest = v - whole * w;
        int above = (rest != 0) & ((rest < 0) != (w < 0));
        rare |= !((fabs(q) < 0x1p29) & (fabs(w) < INFINITY));
        rest = rest == 0 ? copysign(0, w) : above ? rest + w : rest;
        z[i] = (real)(wants_rest ? rest : above ? whole - 1 : whole);
    }
    return rare;
}

static inline __attribute__((always_inline)) void
divided_run(int wants_rest, char *const *p, const int64_t *step, int64_t n)
{
    real x_room[BLOCK], y_room[BLOCK], z[BLOCK];
    for (int64_t from = 0; from < n; from += BLOCK) {
        int64_t count = ETUDE_MIN(n - from, BLOCK);
        const real *x = operand(p[0], step[0], from, x_room);
        const real *y = operand(p[1], step[1], from, y_room);
        int rare = sizeof(real) == 8 || divided(wants_rest, x, y, z, count);
        for (int64_t i = 0; rare && i < count; i++)
            z[i] = wants_rest ? remaining(x[i], y[i]) : floored(x[i], y[i]);
        memcpy((real *)p[2] + from, z, (size_t)count * sizeof(real));
    }
}

static void floor_divide_run(char *const *p, const int64_t *step, int64_t n)
{
    divided_run(0, p, step, n);
}

static void remainder_run(char *const *p, const int64_t *step, int64_t n)
{
    divided_run(1, p, step, n);
}

ENTRY(floor_divide)
ENTRY(remainder)

#elif ETUDE_INT == 64

BINARY(add, (real)((uint64_t)v + (uint64_t)w))
BINARY(sub, (real)((uint64_t)v - (uint64_t)w))
BINARY(mul, (real)((uint64_t)v * (uint64_t)w))
BINARY(maximum, v > w ? v : w)
BINARY(minimum, v < w ? v : w)

/* ---- Powers and quotients of whole numbers --------------------------------------------------- */

static inline real power(real v, real w) /* w >= 0; by squaring, bit by bit of w */
{
    uint64_t z = 1, square = (uint64_t)v;
    for (uint64_t left = (uint64_t)w; left; left >>= 1, square *= square)
        z *= left & 1 ? square : 1;
    return (real)z;
}

static inline real floored(real v, real w) /* w is not 0; -2^63 / -1 wraps */
{
    if (w == -1)
        return (real)(0 - (uint64_t)v);
    return v / w - (v % w != 0 && (v < 0) != (w < 0));
}

static inline real remaining(real v, real w)
{
    if (w == -1)
        return 0;
    real m = v % w;
    return m != 0 && (m < 0) != (w < 0) ? m + w : m;
}

/* Whether y has a 0, or with `negative` a number below it. One that is repeated is read once. */
static int refused(const real *y, const int64_t size[3], const int64_t ys[3], int negative)
{
    int64_t n[3];
    int found = 0;
    for (int d = 0; d < 3; d++)
        n[d] = size[d] && ys[d] == 0 ? 1 : size[d];
    for (int64_t i = 0; i < n[0]; i++)
        for (int64_t j = 0; j < n[1] && !found; j++)
            for (int64_t k = 0; k < n[2]; k++) {
                real w = y[i * ys[0] + j * ys[1] + k * ys[2]];
                found |= negative ? w < 0 : w == 0;
            }
    return found;
}

#define WHOLE(op, value, negative)                                                                \
    static void op##_run(char *const *p, const int64_t *step, int64_t n)                          \
    {                                                                                             \
        const real *x = (const real *)p[0], *y = (const real *)p[1];                              \
        real *z = (real *)p[2];                                                                   \
        for (int64_t i = 0; i < n; i++)                                                           \
            z[i] = value(x[i * step[0]], y[i * step[1]]);                                         \
    }                                                                                             \
    ETUDE_KERNEL(binary, op)(etude_context *ctx, const real *x, const real *y, real *z,           \
                             const int64_t size[3], const int64_t xs[3], const int64_t ys[3])     \
    {                                                                                             \
        pointwise c = {op##_run, 3, {(char *)x, (char *)y, (char *)z},                            \
                       {sizeof *x, sizeof *y, sizeof *z}, {xs, ys}, size};                        \
        return refused(y, size, ys, negative) ? ETUDE_BAD_INDEX : pointwise_all(ctx, &c);         \
    }

WHOLE(pow, power, 1)
WHOLE(floor_divide, floored, 0)
WHOLE(remainder, remaining, 0)

#endif
