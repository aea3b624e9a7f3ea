/* vmath.h: exp, log, tanh, sigmoid and erf for loops that the compiler vectorises.

   Each is straight-line code without calls or branches: argument reduction, a polynomial, a scale
   by a power of two put together from bits. The text serves float and double; series are cut
   where the rest is below half an ulp. The largest errors seen among millions of arguments, in
   units of the last place:
                 exp    log    tanh   sigmoid  erf    rsqrt
       float     1.02   0.80   2.78   2.60     1.1    1.8
       double    0.97   0.75   2.05   1.81     that of libm: doubles check, and need no speed
   NaN and infinities come out as in libm, subnormal results included. */
#ifndef ETUDE_VMATH_H
#define ETUDE_VMATH_H

#include <math.h>
#include <string.h>

#include "kernel.h"

#if ETUDE_REAL == 64
#define R(x) x
#define MANTISSA 52
#define BIAS 1023
#define ROUNDER 6755399441055744.0 /* 1.5 * 2^52: adding it rounds to an integer */
#define SMALLEST_NORMAL 0x1p-1022
#define LEAST_POWER (-1075) /* 2^i with a smaller i, and all about it, rounds to 0 */
#define LIFT 512
#define LOWER 0x1p-512
#define LN2_HIGH 0x1.62e42fee00000p-1 /* 33 bits: n * LN2_HIGH is exact */
#define LN2_LOW 0x1.a39ef35793c76p-33
#else
#define R(x) x##f
#define MANTISSA 23
#define BIAS 127
#define ROUNDER 12582912.0f /* 1.5 * 2^23 */
#define SMALLEST_NORMAL 0x1p-126f
#define LEAST_POWER (-150)
#define LIFT 64
#define LOWER 0x1p-64f
#define LN2_HIGH 0x1.62e4p-1f /* 15 bits */
#define LN2_LOW 0x1.7f7d1cp-20f
#endif

#define VMATH static inline __attribute__((always_inline))

VMATH real_bits bits_of(real x)
{
    real_bits b;
    memcpy(&b, &x, sizeof b);
    return b;
}

VMATH real real_of(real_bits b)
{
    real x;
    memcpy(&x, &b, sizeof x);
    return x;
}

#define SIGN_BIT ((real_bits)((uint64_t)1 << (8 * sizeof(real) - 1)))

VMATH real_bits minus(real_bits a, real_bits b) /* wraps: bits of NaN and negatives come here */
{
    return (real_bits)((uint64_t)a - (uint64_t)b);
}

VMATH real absolute(real x)
{
    return real_of(bits_of(x) & ~SIGN_BIT);
}

VMATH real with_sign_of(real x, real sign) /* x >= 0 */
{
    return real_of(bits_of(x) | (bits_of(sign) & SIGN_BIT));
}

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define ETUDE_HAS_FMA 1
#else
#define ETUDE_HAS_FMA 0
#endif

/* x y + z; one rounding where the machine has it in one instruction. */
VMATH real fused(real x, real y, real z)
{
#if ETUDE_HAS_FMA
    return sizeof(real) == 8 ? (real)__builtin_fma(x, y, z) : (real)__builtin_fmaf(x, y, z);
#else
    return x * y + z;
#endif
}

/* e^r - 1 - r for |r| <= ln 2 / 2, divided by r^2: 1/2! + r/3! + r^2/4! + ... */
VMATH real exp_tail(real r)
{
#if ETUDE_REAL == 64
    real p = 1.0 / 6227020800;
    p = fused(p, r, 1.0 / 479001600);
    p = fused(p, r, 1.0 / 39916800);
    p = fused(p, r, 1.0 / 3628800);
    p = fused(p, r, 1.0 / 362880);
    p = fused(p, r, 1.0 / 40320);
    p = fused(p, r, 1.0 / 5040);
    p = fused(p, r, 1.0 / 720);
    p = fused(p, r, 1.0 / 120);
    p = fused(p, r, 1.0 / 24);
    p = fused(p, r, 1.0 / 6);
#else
    real p = 1.39420054e-3f; /* the best coefficients, a term fewer than the series: to 3e-9 */
    p = fused(p, r, 8.36874972e-3f);
    p = fused(p, r, 4.16663870e-2f);
    p = fused(p, r, 1.66665204e-1f);
#endif
    return fused(p, r, R(0.5));
}

/* x = n ln 2 + r; returns r, and n both as a number and as an integer. */
VMATH real reduce_exp(real x, real *n, real_bits *i)
{
    real shifted = fused(x, R(1.4426950408889634), ROUNDER);
    *i = minus(bits_of(shifted), bits_of(ROUNDER));
    *n = shifted - ROUNDER;
    return fused(*n, -LN2_LOW, fused(*n, -LN2_HIGH, x));
}

/* 2^i for -BIAS < i <= BIAS */
VMATH real power_of_two(real_bits i)
{
    return real_of((real_bits)((uint64_t)(i + BIAS) << MANTISSA));
}

/* e^-a for a >= 0, or not far below, cheaper than v_exp because it cannot overflow: 2^(i + LIFT) is
   a normal number even where 2^i is not, and LOWER takes the LIFT off again. */
VMATH real v_exp_minus(real a)
{
    const real most = sizeof(real) == 8 ? R(746.0) : R(105.0);
    real n;
    real_bits i;
    real r = reduce_exp(-(a > most ? most : a), &n, &i);
    /* To round a product to 0 takes some processors a hundred cycles; to multiply by 0 does not. */
    real scale = i < LEAST_POWER ? R(0.0) : power_of_two(i + LIFT);
    return fused(fused(r * r, exp_tail(r), r), scale, scale) * LOWER;
}

VMATH real v_exp_below_0(real x)
{
    return v_exp_minus(-x);
}

VMATH real v_exp(real x)
{
    /* Beyond these the result is 0 or infinity. NaN compares false with both, and stays. */
    const real low = sizeof(real) == 8 ? R(-746.0) : R(-105.0);
    const real high = sizeof(real) == 8 ? R(710.0) : R(89.0);
    real n;
    real_bits i;
    x = x < low ? low : x;
    x = x > high ? high : x;
    real r = reduce_exp(x, &n, &i);
    real_bits half = i >> 1; /* 2^i in two factors, so that it may become subnormal or infinite */
    real scale = power_of_two(half);
    return fused(fused(r * r, exp_tail(r), r), scale, scale) * power_of_two(i - half);
}

/* Whether e^x, and every power of two on the way to it, is a normal number. NaN compares false. */
VMATH int has_ordinary_exp(real x)
{
    return absolute(x) <= (sizeof(real) == 8 ? R(708.0) : R(87.0));
}

/* v_exp for these, to the same bits: 2^i in one factor, and nothing to bound. */
VMATH real v_exp_of_ordinary(real x)
{
    real n;
    real_bits i;
    real r = reduce_exp(x, &n, &i), scale = power_of_two(i);
    return fused(fused(r * r, exp_tail(r), r), scale, scale);
}

/* e^x - 1 for 0 <= x <= 40 or so, accurate near 0 */
VMATH real v_expm1(real x)
{
    real n;
    real_bits i;
    real r = reduce_exp(x, &n, &i);
    real p = fused(r * r, exp_tail(r), r);
    real scale = power_of_two(i);
    return fused(p, scale, scale - R(1.0));
}

/* a / b for 2^-60 < b < 2^60. Where products and sums are fused, in less time than a division takes.
   The bits of a float are about its logarithm, so those of 1 / b are about a constant less them:
   that is y, right to 5 %. An error of e = 1 - b y in it becomes e^3 in y (1 + e + e^2). With that
   y what the quotient q leaves of a is divided too, and the error is e^6, below half a unit. */
VMATH real quotient(real a, real b)
{
#if ETUDE_REAL == 32 && ETUDE_HAS_FMA
    real y = real_of(minus(0x7ef31000, bits_of(b))), e = fused(-b, y, 1.0f);
    y = fused(y, fused(e, e, e), y);
    real q = a * y;
    return fused(fused(-b, q, a), y, q);
#else
    return a / b;
#endif
}

/* Some functions come in two halves too, f(x) = f_from(x, f_half(x)): map.c says why. */

/* With t = (1 - e^(-2 |x|)) / 2, tanh |x| is t / (1 - t). |x| = n ln 2 / 2 + r, and so e^(-2 |x|)
   is 2^-n e^(-2 r): the constants of reduce_exp halved, and exp_tail at -2 r. */
VMATH real v_tanh_half(real x) /* t */
{
    const real enough = sizeof(real) == 8 ? R(20.0) : R(10.0); /* tanh is 1 to the last bit */
    real a = absolute(x);
    a = a > enough ? enough : a;
    real shifted = fused(a, R(2.8853900817779268), ROUNDER), n = shifted - ROUNDER;
    real r = fused(n, LN2_LOW * R(-0.5), fused(n, LN2_HIGH * R(-0.5), a));
    real scale = power_of_two(minus(bits_of(ROUNDER), bits_of(shifted)));
    real power = R(-2.0) * r, below = fused(power * r, exp_tail(power), r); /* (1 - e^power) / 2 */
    return fused(scale, below, fused(scale, R(-0.5), R(0.5)));
}

VMATH real v_tanh_from(real x, real t)
{
    return with_sign_of(quotient(t, R(1.0) - t), x);
}

VMATH real v_tanh(real x)
{
    return v_tanh_from(x, v_tanh_half(x));
}

/* From e = e^-|x|, so that nothing overflows and small results keep their precision: 1 / (1 + e),
   or e / (1 + e) for negative x. */
VMATH real v_sigmoid_half(real x) /* e */
{
    return v_exp_minus(absolute(x));
}

VMATH real v_sigmoid_from(real x, real e)
{
    return quotient(x < R(0.0) ? e : R(1.0), R(1.0) + e);
}

VMATH real v_sigmoid(real x)
{
    return v_sigmoid_from(x, v_sigmoid_half(x));
}

#define v_silu_half v_sigmoid_half

VMATH real v_silu_from(real x, real e)
{
    return x * v_sigmoid_from(x, e);
}

VMATH real v_silu(real x)
{
    return v_silu_from(x, v_silu_half(x));
}

/* x = 2^i (1 + f) with sqrt(1/2) <= 1 + f < sqrt 2. In double log(1 + f) = f - f^2/2 + s (f^2/2 +
   tail) with s = f / (2 + f), where s tail is what the series of 2 artanh s has beyond 2 s. In
   float it is f - f^2/2 + f^3 p(f), to 6e-9 of its value, which has no division. */
VMATH real v_log_of_ordinary(real x) /* neither subnormal nor infinite, and x > 0 */
{
    const real_bits sqrt_half = bits_of(R(0.70710678118654752));
    real_bits i = minus(bits_of(x), sqrt_half) >> MANTISSA; /* arithmetic shift */
    real f = real_of(minus(bits_of(x), (real_bits)((uint64_t)i << MANTISSA))) - R(1.0);
    real n = real_of(i + bits_of(ROUNDER)) - ROUNDER;
#if ETUDE_REAL == 64
    real s = f / (2.0 + f), z = s * s, p = 2.0 / 23;
    p = fused(p, z, 2.0 / 21);
    p = fused(p, z, 2.0 / 19);
    p = fused(p, z, 2.0 / 17);
    p = fused(p, z, 2.0 / 15);
    p = fused(p, z, 2.0 / 13);
    p = fused(p, z, 2.0 / 11);
    p = fused(p, z, 2.0 / 9);
    p = fused(p, z, 2.0 / 7);
    p = fused(p, z, 2.0 / 5);
    p = fused(p, z, 2.0 / 3);
    real half_square = 0.5 * f * f;
    real tail = s * (half_square + p * z) + n * LN2_LOW;
    return fused(n, LN2_HIGH, f - (half_square - tail));
#else
    real square = f * f, p = -7.63438396e-2f;
    p = fused(p, f, 1.27654263e-1f);
    p = fused(p, f, -1.31620049e-1f);
    p = fused(p, f, 1.42013689e-1f);
    p = fused(p, f, -1.66231444e-1f);
    p = fused(p, f, 2.00012359e-1f);
    p = fused(p, f, -2.50008268e-1f);
    p = fused(p, f, 3.33333317e-1f);
    real tail = fused(p * f, square, n * LN2_LOW);
    return fused(n, LN2_HIGH, f + fused(-0.5f, square, tail));
#endif
}

VMATH int is_ordinary(real x)
{
    return x >= SMALLEST_NORMAL && x < INFINITY;
}

VMATH real v_log(real x)
{
    const real two_up = sizeof(real) == 8 ? R(0x1p54) : R(0x1p25);
    real tiny = x < SMALLEST_NORMAL ? two_up : R(1.0);
    real y = v_log_of_ordinary(x * tiny);
    y = tiny > R(1.0) ? y - (sizeof(real) == 8 ? R(54.0) : R(25.0)) * R(0.69314718055994531) : y;
    y = x == R(0.0) ? -INFINITY : y;
    y = x < R(0.0) ? NAN : y;
    return x < INFINITY ? y : x; /* infinity and NaN as they are */
}

/* e^x - 1 for every x: e^r - 1 scaled by 2^i in two factors, so that it may become infinite. Close
   to 0 it is x to the last bit, the sign of 0 included. */
VMATH real v_expm1_of_all(real x)
{
    const real low = sizeof(real) == 8 ? R(-40.0) : R(-20.0); /* -1 to the last bit */
    const real high = sizeof(real) == 8 ? R(710.0) : R(89.0); /* infinite */
    const real tiny = sizeof(real) == 8 ? R(0x1p-54) : R(0x1p-25);
    real n, y = x;
    real_bits i;
    y = y < low ? low : y;
    y = y > high ? high : y;
    real r = reduce_exp(y, &n, &i);
    real p = fused(r * r, exp_tail(r), r);
    real half = power_of_two(i - 1);
    y = fused(p, half, half - R(0.5)) * R(2.0);
    return absolute(x) < tiny ? x : y;
}

/* log(1 + x): what rounding took from u = 1 + x comes back as the first term of a series. */
VMATH real v_log1p(real x)
{
    const real tiny = sizeof(real) == 8 ? R(0x1p-54) : R(0x1p-25);
    real u = R(1.0) + x, lost = x - (u - R(1.0));
    real y = v_log_of_ordinary(u) + (u < R(0x1p60) ? quotient(lost, u) : R(0.0));
    y = u == R(0.0) ? -INFINITY : y;
    y = u < R(0.0) ? NAN : y;
    y = u < INFINITY ? y : u;
    return absolute(x) < tiny ? x : y;
}

/* The same for 0 <= x <= 1, where nothing is special but NaN, which does not stay. */
VMATH real v_log1p_to_1(real x)
{
    real u = R(1.0) + x, lost = x - (u - R(1.0));
    return v_log_of_ordinary(u) + quotient(lost, u);
}

VMATH real v_elu(real v, real alpha)
{
    real below = alpha * v_expm1_of_all(v); /* -0 stays -0 */
    return v <= 0 ? below : v;
}

VMATH real v_softplus(real v, real beta, real threshold)
{
    real z = v * beta;
    real y = ((z < 0 ? 0 : z) + v_log1p_to_1(v_exp_minus(absolute(z)))) / beta; /* NaN stays */
    return z > threshold ? v : y;
}

#if ETUDE_REAL == 64
#define v_erf erf
#else
/* Below 1 an odd polynomial x + x p(x^2); beyond, 1 - e^-q with q = -log erfc by a polynomial.
   Both interpolate at Chebyshev points, of [0, 1] in x^2 and of [1, 4] in |x|, to 2e-9 and
   5e-10. */
VMATH real v_erf(real x)
{
    real a = absolute(x), z = x * x;
    real p = 7.87587506e-5f;
    p = fused(p, z, -8.01686429e-4f);
    p = fused(p, z, 5.18908742e-3f);
    p = fused(p, z, -2.68542120e-2f);
    p = fused(p, z, 1.12835947e-1f);
    p = fused(p, z, -3.76126267e-1f);
    p = fused(p, z, 1.28379167e-1f); /* 2 / sqrt(pi) - 1 */
    a = a > 4.0f ? 4.0f : a;
    real q = -1.86379256e-4f;
    q = fused(q, a, 2.94765892e-3f);
    q = fused(q, a, -2.18380664e-2f);
    q = fused(q, a, 1.03106759e-1f);
    q = fused(q, a, 6.38144827e-1f);
    q = fused(q, a, 1.12708919f);
    q = fused(q, a, 3.41522298e-4f);
    real n;
    real_bits i;
    real r = reduce_exp(-q, &n, &i); /* q < 17: e^-q is an ordinary number */
    real e = fused(fused(r * r, exp_tail(r), r), power_of_two(i), power_of_two(i));
    return a < 1.0f ? fused(x, p, x) : with_sign_of(1.0f - e, x);
}
#endif

/* The normal distribution function Phi, for gelu. In float by a rational function for erf, off by
   at most 4e-7: half the work of v_erf, whose precision beyond that is lost in 1 + erf. The fit
   is by least squares, reweighted until the largest errors are equal: 2e-8 on |x| <= 3.92. */
VMATH real v_phi(real x)
{
    real a = R(0.70710678118654752) * x;
#if ETUDE_REAL == 64
    return 0.5 * (1.0 + erf(a));
#else
    a = a > 3.92f ? 3.92f : a; /* beyond, erf is 1 to the last bit */
    a = a < -3.92f ? -3.92f : a;
    real z = a * a;
    real p = 2.03465191e-6f, q = 3.80684504e-5f;
    p = fused(p, z, 2.87454453e-4f);
    q = fused(q, z, 1.18796305e-3f);
    p = fused(p, z, 3.86780895e-3f);
    q = fused(q, z, 1.51712956e-2f);
    p = fused(p, z, 5.30589091e-2f);
    q = fused(q, z, 1.15080167e-1f);
    p = fused(p, z, 1.92753776e-1f);
    q = fused(q, z, 5.04155261e-1f);
    p = fused(p, z, 1.12837902f);
    q = fused(q, z, 1.0f);
    real phi = fused(0.5f * a, p / q, 0.5f);
    return phi < 0 ? 0 : phi; /* the fit ends 5e-9 below 0, which a large x would bring to light */
#endif
}

/* x^(-1/2). 0, infinity, negative numbers and NaN take the last line. */
VMATH real v_rsqrt(real x)
{
#if ETUDE_REAL == 32 && ETUDE_HAS_FMA
    real root = sqrtf(x), y = quotient(1.0f, root);
    y = root == INFINITY ? 0.0f : y;
    y = root == 0.0f ? with_sign_of(INFINITY, root) : y;
    return root == root ? y : root;
#else
    return R(1.0) / (sizeof(real) == 8 ? (real)sqrt(x) : (real)sqrtf((float)x));
#endif
}

#define SQRT_2_OVER_PI R(0.79788456080286536)
#define GELU_CUBE R(0.044715)

VMATH real v_gelu(real x)
{
    return x * v_phi(x);
}

/* Beyond 60 Phi is 0 or 1, but x^3 might overflow. */
VMATH real v_within_60(real x)
{
    return x > R(60.0) ? R(60.0) : x < R(-60.0) ? R(-60.0) : x;
}

/* z with (1 + tanh(z / 2)) / 2 = sigmoid(z) = Phi(x), approximately. */
VMATH real v_gelu_bend(real x)
{
    return x * fused(R(2.0) * SQRT_2_OVER_PI * GELU_CUBE, x * x, R(2.0) * SQRT_2_OVER_PI);
}

VMATH real v_gelu_tanh_half(real x) /* e^-|z| */
{
    return v_exp_minus(absolute(v_gelu_bend(v_within_60(x))));
}

VMATH real v_gelu_tanh_from(real x, real e)
{
    return x * v_sigmoid_from(x, e); /* z and x have one sign */
}

VMATH real v_gelu_tanh(real x)
{
    return v_gelu_tanh_from(x, v_gelu_tanh_half(x));
}

VMATH real v_gelu_slope(real x)
{
    real density = R(0.39894228040143268) * v_exp_below_0(R(-0.5) * x * x); /* 1 / sqrt(2 pi) */
    return v_phi(x) + x * density;
}

/* With e = e^-|z| and r = 1 / (1 + e), sigmoid(z) is r or, for negative z, e r, and its derivative
   sigmoid(z) sigmoid(-z) is e r^2 for both: one exponential and one division. */
#define v_gelu_tanh_slope_half v_gelu_tanh_half

VMATH real v_gelu_tanh_slope_from(real x, real e)
{
    real c = v_within_60(x);
    real r = quotient(R(1.0), R(1.0) + e), below = e * r, phi = x < R(0.0) ? below : r;
    real slope = R(2.0) * SQRT_2_OVER_PI * fused(R(3.0) * GELU_CUBE * c, c, R(1.0));
    return fused(x, below * r * slope, phi);
}

VMATH real v_gelu_tanh_slope(real x)
{
    return v_gelu_tanh_slope_from(x, v_gelu_tanh_slope_half(x));
}

#endif
