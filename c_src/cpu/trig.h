/* trig.h: sine and cosine for loops that the compiler vectorises; not for huge angles.

   x = n pi/2 + r with |r| <= pi/4, n exact up to TRIG_MOST: pi/2 comes in three parts, of which the
   first two have 33 bits, so that their products with n are exact (Cody and Waite 1980, chapter 8,
   and fdlibm's e_rem_pio2.c). On r the two polynomials of fdlibm's k_sin.c and k_cos.c run side by
   side, and the bits of n choose between them. Errors stay below 1 unit of the last place. */
#ifndef ETUDE_TRIG_H
#define ETUDE_TRIG_H

#include <stdint.h>
#include <string.h>

#include "vmath.h"

#define TRIG_MOST 0x1p20

#define TRIG static inline __attribute__((always_inline))

TRIG int64_t trig_bits(double x)
{
    int64_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

TRIG double trig_double(int64_t b)
{
    double x;
    memcpy(&x, &b, sizeof x);
    return x;
}

/* sin(x + quarters pi/2) */
TRIG double trig(double x, int64_t quarters)
{
    const double rounder = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer */
    double shifted = x * 0x1.45f306dc9c883p-1 + rounder, n = shifted - rounder;
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
    uint64_t q = (uint64_t)trig_bits(shifted) + (uint64_t)quarters;
    int64_t chosen = trig_bits(q & 1 ? cosine : sine);
    return trig_double(chosen ^ (int64_t)((q & 2) << 62));
}

TRIG double v_sin(double x)
{
    double y = trig(x, 0);
    return x == 0 ? x : y; /* -0 stays */
}

TRIG double v_cos(double x)
{
    return trig(x, 1);
}

#if ETUDE_REAL == 32 && ETUDE_HAS_FMA

/* sin(x + quarters pi/2). The polynomials are the best of their degree for |r| <= 0.83: to 6e-9 of
   the sine, and 2e-10 in the cosine. */
TRIG float turned(float x, int32_t quarters)
{
    float shifted = fused(x, 0x1.45f306p-1f, ROUNDER), n = shifted - ROUNDER;
    float r = fused(n, -0x1.921fb6p+0f, x);
    r = fused(n, 0x1.777a5cp-25f, r);
    r = fused(n, 0x1.ee59dap-50f, r);
    float z = r * r;
    float s = fused(fused(-1.94797894e-4f, z, 8.33189432e-3f), z, -1.66666504e-1f);
    float sine = fused(s * z, r, r);
    float c = fused(fused(2.43963703e-5f, z, -1.38869935e-3f), z, 4.16666391e-2f);
    float cosine = 1.0f + fused(c * z, z, -0.5f * z);
    uint32_t q = (uint32_t)bits_of(shifted) + (uint32_t)quarters;
    int32_t chosen = bits_of(q & 1 ? cosine : sine);
    return real_of(chosen ^ (int32_t)((q & 2) << 30));
}

TRIG float sine(float x)
{
    float y = turned(x, 0);
    return x == 0 ? x : y; /* -0 stays */
}

TRIG float cosine(float x)
{
    return turned(x, 1);
}

#else

TRIG real sine(real x)
{
    return (real)v_sin(x);
}

TRIG real cosine(real x)
{
    return (real)v_cos(x);
}

#endif

#endif
