/* math.cuh: the mathematics of maps, activations and losses, for float and double.

   On the CPU vmath.h and trig.h write each function out, so that loops become vector code. Here
   every thread is a lane already, and CUDA's own functions are right to a unit or two of the last
   place, NaN, infinities and subnormal results included. What is written out below is what they do
   not have, or what they do in local memory: sinf and cosf keep the digits of large angles there.

   No formula may overflow on the way, or subtract what is nearly equal. */
#ifndef ETUDE_MATH_CUH
#define ETUDE_MATH_CUH

#include "kernel.cuh"

ETUDE_DEVICE float expm1_of(float x) { return expm1f(x); }
ETUDE_DEVICE double expm1_of(double x) { return expm1(x); }
ETUDE_DEVICE float log1p_of(float x) { return log1pf(x); }
ETUDE_DEVICE double log1p_of(double x) { return log1p(x); }
ETUDE_DEVICE float tanh_of(float x) { return tanhf(x); }
ETUDE_DEVICE double tanh_of(double x) { return tanh(x); }
ETUDE_DEVICE float erf_of(float x) { return erff(x); }
ETUDE_DEVICE double erf_of(double x) { return erf(x); }
ETUDE_DEVICE float erfc_of(float x) { return erfcf(x); }
ETUDE_DEVICE double erfc_of(double x) { return erfc(x); }
ETUDE_DEVICE float abs_of(float x) { return fabsf(x); }
ETUDE_DEVICE double abs_of(double x) { return fabs(x); }

/* ---- Sine and cosine ------------------------------------------------------------------------- */

/* 2/pi in binary, 32 digits a word, behind a word of zeros. */
static __constant__ uint32_t TWO_OVER_PI[8] = {0,          0xa2f9836e, 0x4e441529, 0xfc2757d1,
                                               0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};

/* 32 digits of it, the first of which is digit `at`; digit 0 is the one that counts 2^31. */
ETUDE_DEVICE uint32_t digits_of_two_over_pi(int at)
{
    uint64_t two = (uint64_t)TWO_OVER_PI[at / 32] << 32 | TWO_OVER_PI[at / 32 + 1];
    return (uint32_t)(two >> (32 - at % 32));
}

/* |x| = quarters pi/2 + r with |r| <= pi/4, for pi/4 <= |x| < infinity; quarters modulo 4.

   Payne and Hanek 1983. |x| is m 2^s with m of 24 bits, and only the remainder of m 2^s 2/pi by 4
   is wanted. So digits of 2/pi that count 4 or more when multiplied are left away, and from the
   next 96 the product has two digits before the point and 62 behind it. No float is so close to a
   multiple of pi/2 that these would not be enough. */
ETUDE_DEVICE double angle_within(float x, int *quarters)
{
    uint32_t bits = __float_as_uint(x), m = (bits & 0x7fffff) | 0x800000;
    int at = (int)(bits >> 23 & 255) - 127 - 23 + 30;
    uint64_t high = (uint64_t)(m * digits_of_two_over_pi(at)) << 32;
    uint64_t middle = (uint64_t)m * digits_of_two_over_pi(at + 32);
    uint64_t low = (uint64_t)m * digits_of_two_over_pi(at + 64);
    uint64_t product = high + middle + (low >> 32);
    int64_t fraction = (int64_t)(product << 2); /* of a quarter, times 2^64: from -1/2 to 1/2 */
    *quarters = (int)(product >> 62) + (fraction < 0);
    return (double)fraction * (0x1p-64 * 1.57079632679489662);
}

/* sin(x + turned pi/2): a Taylor series of r + rest, of which rest is what float has left of r, and
   what the series leaves away is below a tenth of a unit of the last place. */
ETUDE_DEVICE float turned_sine(float x, int turned)
{
    if (!(fabsf(x) < INFINITY))
        return x - x; /* NaN */
    int quarters = 0;
    float r = fabsf(x), rest = 0;
    if (r > 0.785398163f) {
        double within = angle_within(x, &quarters);
        r = (float)within;
        rest = (float)(within - r);
    }
    float z = r * r, sine, cosine;
    sine = fmaf(z, 2.75573192e-6f, -1.98412698e-4f);
    sine = fmaf(sine, z, 8.33333333e-3f);
    sine = fmaf(sine, z, -1.66666667e-1f);
    sine = r + fmaf(sine * z, r, rest * fmaf(z, -0.5f, 1.0f));
    cosine = fmaf(z, -2.75573192e-7f, 2.48015873e-5f);
    cosine = fmaf(cosine, z, -1.38888889e-3f);
    cosine = fmaf(cosine, z, 4.16666667e-2f);
    float half = 0.5f * z, one = 1.0f - half;
    cosine = one + (((1.0f - one) - half) + fmaf(cosine * z, z, -r * rest));
    bool back = x < 0 && turned == 0; /* sine is odd, and cosine even */
    quarters += turned;
    float y = quarters & 1 ? cosine : sine;
    return ((quarters & 2) != 0) != back ? -y : y;
}

ETUDE_DEVICE float sin_of(float x) { return x == 0 ? x : turned_sine(x, 0); } /* -0 stays */
ETUDE_DEVICE float cos_of(float x) { return turned_sine(x, 1); }
ETUDE_DEVICE double sin_of(double x) { return sin(x); }
ETUDE_DEVICE double cos_of(double x) { return cos(x); }

/* ---- Activations and losses ------------------------------------------------------------------ */

/* From e^-|x|, so that nothing overflows and small results keep their precision. */
template <class T> ETUDE_DEVICE T sigmoid_of(T x)
{
    T e = exp_of(-abs_of(x));
    return (x >= 0 ? (T)1 : x < 0 ? e : x) / (1 + e);
}

/* The normal distribution function Phi, whose left end is no difference. */
template <class T> ETUDE_DEVICE T phi_of(T x)
{
    return (T)0.5 * erfc_of((T)-0.70710678118654752 * x);
}

/* Beyond 60 Phi is 0 or 1, but x^3 might overflow. */
template <class T> ETUDE_DEVICE T within_60(T x)
{
    return x > 60 ? (T)60 : x < -60 ? (T)-60 : x;
}

#define SQRT_2_OVER_PI (T)0.79788456080286536
#define GELU_CUBE (T)0.044715

/* z with (1 + tanh(z / 2)) / 2 = sigmoid(z) = Phi(x), approximately. */
template <class T> ETUDE_DEVICE T gelu_bend(T x)
{
    return 2 * SQRT_2_OVER_PI * (x + GELU_CUBE * x * x * x);
}

template <class T> ETUDE_DEVICE T gelu_slope(T x)
{
    T density = (T)0.39894228040143268 * exp_of((T)-0.5 * x * x); /* 1 / sqrt(2 pi) */
    return phi_of(x) + x * density;
}

template <class T> ETUDE_DEVICE T gelu_tanh_slope(T x)
{
    T c = within_60(x), z = gelu_bend(c), phi = sigmoid_of(z);
    T slope = 2 * SQRT_2_OVER_PI * (1 + 3 * GELU_CUBE * c * c);
    return phi + x * (phi * sigmoid_of(-z) * slope);
}

#endif
