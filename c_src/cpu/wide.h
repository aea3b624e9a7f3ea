/* wide.h: logarithm and exponential of doubles, in every build, for floats whose result needs more
   digits on the way than a float has: powers (binary.c) and normal numbers (random.c).

   The methods are those of vmath.h, for ordinary numbers alone: neither argument nor result may be
   subnormal. wide_log is right to 0.8 units of the last place of a double. short_log and short_exp
   are right to 2^-37 and 2^-33 of their value, which is a power in float to 0.51 units. */
#ifndef ETUDE_WIDE_H
#define ETUDE_WIDE_H

#include <stdint.h>
#include <string.h>

#define WIDE static inline __attribute__((always_inline))

WIDE int64_t wide_bits(double x)
{
    int64_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

WIDE double wide_of(uint64_t b)
{
    double x;
    memcpy(&x, &b, sizeof x);
    return x;
}

WIDE double wide_fused(double x, double y, double z)
{
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return __builtin_fma(x, y, z);
#else
    return x * y + z;
#endif
}

#define WIDE_ROUNDER 6755399441055744.0 /* 1.5 * 2^52: adding it rounds to an integer */
#define WIDE_LN2_HIGH 0x1.62e42fee00000p-1 /* 33 bits: n * it is exact */
#define WIDE_LN2_LOW 0x1.a39ef35793c76p-33

/* x = 2^n (1 + f) with sqrt(1/2) <= 1 + f < sqrt 2. Returns f. */
WIDE double wide_split(double x, double *n)
{
    const int64_t sqrt_half = 0x3fe6a09e667f3bcd;
    int64_t i = (wide_bits(x) - sqrt_half) >> 52; /* arithmetic shift */
    *n = wide_of((uint64_t)(i + wide_bits(WIDE_ROUNDER))) - WIDE_ROUNDER;
    return wide_of((uint64_t)wide_bits(x) - ((uint64_t)i << 52)) - 1.0;
}

/* With s = f / (2 + f) and z = s^2, log(1 + f) is f - f^2/2 + s (f^2/2 + z p(z)), where p is cut
   from the series of 2 artanh s. */
WIDE double wide_log(double x)
{
    double n, f = wide_split(x, &n), s = f / (2.0 + f), z = s * s, p = 2.0 / 21;
    p = wide_fused(p, z, 2.0 / 19);
    p = wide_fused(p, z, 2.0 / 17);
    p = wide_fused(p, z, 2.0 / 15);
    p = wide_fused(p, z, 2.0 / 13);
    p = wide_fused(p, z, 2.0 / 11);
    p = wide_fused(p, z, 2.0 / 9);
    p = wide_fused(p, z, 2.0 / 7);
    p = wide_fused(p, z, 2.0 / 5);
    p = wide_fused(p, z, 2.0 / 3);
    double half_square = 0.5 * f * f;
    double tail = s * (half_square + p * z) + n * WIDE_LN2_LOW;
    return wide_fused(n, WIDE_LN2_HIGH, f - (half_square - tail));
}

/* As above, log(1 + f) being 2 s + s z p(z) with the best p of its degree. The division is that of
   vmath.h's quotient, to 2^-39. */
WIDE double short_log(double x)
{
    double n, f = wide_split(x, &n), b = 2.0 + f;
    double y = wide_of(0x7fde620000000000 - (uint64_t)wide_bits(b)), e = wide_fused(-b, y, 1.0);
    y = wide_fused(y, wide_fused(e, e, e), y);
    e = wide_fused(-b, y, 1.0);
    double s = f * wide_fused(y, wide_fused(e, e, e), y), z = s * s, p = 0.235899896422;
    p = wide_fused(p, z, 0.2853691939934);
    p = wide_fused(p, z, 0.4000034090302);
    p = wide_fused(p, z, 0.6666666562228);
    return wide_fused(n, 0x1.62e42fefa39efp-1, s * wide_fused(p, z, 2.0));
}

/* x = n ln 2 + r; e^r by the best polynomial of its degree. |x| < 700, or NaN, which stays. */
WIDE double short_exp(double x)
{
    double shifted = wide_fused(x, 1.4426950408889634, WIDE_ROUNDER), n = shifted - WIDE_ROUNDER;
    double r = wide_fused(n, -0x1.62e42fefa39efp-1, x);
    double p = 0.0001991323481522;
    p = wide_fused(p, r, 0.001393542863017);
    p = wide_fused(p, r, 0.008333275162892);
    p = wide_fused(p, r, 0.041666459268);
    p = wide_fused(p, r, 0.1666666680522);
    p = wide_fused(p, r, 0.5);
    p = wide_fused(p, r, 1.0);
    double scale = wide_of(((uint64_t)wide_bits(shifted) + 1023) << 52); /* 2^n */
    return wide_fused(p * r, scale, scale);
}

#endif
