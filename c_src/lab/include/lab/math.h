/* math.h: the math library: what the host's lacks, fast intrinsics, rounding modes, conversions.

   sinf, expf and the rest of C's library are the host's. The fast intrinsics are as exact as the
   plain functions here: a card's __expf is off by more. No product and sum are contracted into a
   fused one (-ffp-contract=off); fmaf() fuses. */
#ifndef LAB_MATH_H
#define LAB_MATH_H

#include <float.h>
#include <limits.h>
#include <math.h>

#include "lab/integer.h"

LAB_INLINE float min(float a, float b) { return fminf(a, b); }
LAB_INLINE float max(float a, float b) { return fmaxf(a, b); }
LAB_INLINE double min(double a, double b) { return fmin(a, b); }
LAB_INLINE double max(double a, double b) { return fmax(a, b); }
LAB_INLINE double min(float a, double b) { return fmin((double)a, b); }
LAB_INLINE double max(float a, double b) { return fmax((double)a, b); }
LAB_INLINE double min(double a, float b) { return fmin(a, (double)b); }
LAB_INLINE double max(double a, float b) { return fmax(a, (double)b); }

/* ---- What C has not (runtime/special.cpp) -------------------------------------------------- */

double sinpi(double x);
double cospi(double x);
double erfinv(double x);
double erfcinv(double x);
double erfcx(double x);
double normcdf(double x);
double normcdfinv(double x);
double cyl_bessel_i0(double x);
double cyl_bessel_i1(double x);

LAB_INLINE float sinpif(float x) { return (float)sinpi(x); }
LAB_INLINE float cospif(float x) { return (float)cospi(x); }
LAB_INLINE float erfinvf(float x) { return (float)erfinv(x); }
LAB_INLINE float erfcinvf(float x) { return (float)erfcinv(x); }
LAB_INLINE float erfcxf(float x) { return (float)erfcx(x); }
LAB_INLINE float normcdff(float x) { return (float)normcdf(x); }
LAB_INLINE float normcdfinvf(float x) { return (float)normcdfinv(x); }
LAB_INLINE float cyl_bessel_i0f(float x) { return (float)cyl_bessel_i0(x); }
LAB_INLINE float cyl_bessel_i1f(float x) { return (float)cyl_bessel_i1(x); }
LAB_INLINE void sincospi(double x, double *s, double *c) {
    *s = sinpi(x);
    *c = cospi(x);
}
LAB_INLINE void sincospif(float x, float *s, float *c) {
    *s = sinpif(x);
    *c = cospif(x);
}

/* In double, then rounded: within an ulp, as a card promises. */
LAB_INLINE double rsqrt(double x) { return 1.0 / sqrt(x); }
LAB_INLINE float rsqrtf(float x) { return (float)(1.0 / sqrt((double)x)); }
LAB_INLINE float rsqrt(float x) { return rsqrtf(x); }
LAB_INLINE double rcbrt(double x) { return 1.0 / cbrt(x); }
LAB_INLINE float rcbrtf(float x) { return (float)(1.0 / cbrt((double)x)); }
LAB_INLINE double rhypot(double x, double y) { return 1.0 / hypot(x, y); }
LAB_INLINE float rhypotf(float x, float y) { return (float)(1.0 / hypot((double)x, (double)y)); }
LAB_INLINE double norm3d(double a, double b, double c) { return sqrt(a * a + b * b + c * c); }
LAB_INLINE float norm3df(float a, float b, float c) { return (float)norm3d(a, b, c); }
LAB_INLINE double rnorm3d(double a, double b, double c) { return 1.0 / norm3d(a, b, c); }
LAB_INLINE float rnorm3df(float a, float b, float c) { return (float)rnorm3d(a, b, c); }
LAB_INLINE double norm4d(double a, double b, double c, double d) {
    return sqrt(a * a + b * b + c * c + d * d);
}
LAB_INLINE float norm4df(float a, float b, float c, float d) { return (float)norm4d(a, b, c, d); }
LAB_INLINE float rnorm4df(float a, float b, float c, float d) {
    return (float)(1.0 / norm4d(a, b, c, d));
}
LAB_INLINE float fdividef(float a, float b) { return a / b; }

/* ---- Fast intrinsics ----------------------------------------------------------------------- */

/* The host's math.h declares these names as its own insides, with C linkage; so it is kept. */
extern "C" {
LAB_INLINE float __sinf(float x) noexcept { return sinf(x); }
LAB_INLINE float __cosf(float x) noexcept { return cosf(x); }
LAB_INLINE float __tanf(float x) noexcept { return tanf(x); }
LAB_INLINE float __expf(float x) noexcept { return expf(x); }
LAB_INLINE float __exp10f(float x) noexcept { return exp10f(x); }
LAB_INLINE float __logf(float x) noexcept { return logf(x); }
LAB_INLINE float __log2f(float x) noexcept { return log2f(x); }
LAB_INLINE float __log10f(float x) noexcept { return log10f(x); }
LAB_INLINE float __powf(float x, float y) noexcept { return powf(x, y); }
LAB_INLINE void __sincosf(float x, float *s, float *c) noexcept { sincosf(x, s, c); }
}
LAB_INLINE float __fdividef(float a, float b) { return a / b; }
LAB_INLINE float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
LAB_INLINE float __tanhf(float x) { return tanhf(x); }
LAB_INLINE float __frsqrt_rn(float x) { return rsqrtf(x); }

/* ---- Rounding modes ------------------------------------------------------------------------ */

namespace lab {

enum class Rounding { nearest, zero, up, down };

/* runtime/rounding.cpp: one operation with the CPU's rounding mode set. */
float rounded(char op, float a, float b, float c, Rounding mode);
double rounded(char op, double a, double b, double c, Rounding mode);

}

#define LAB_ROUNDED(type, add, suffix, mode)                                                       \
    LAB_INLINE type __##add##add_##suffix(type a, type b) {                                        \
        return ::lab::rounded('+', a, b, (type)0, ::lab::Rounding::mode);                          \
    }                                                                                              \
    LAB_INLINE type __##add##sub_##suffix(type a, type b) {                                        \
        return ::lab::rounded('-', a, b, (type)0, ::lab::Rounding::mode);                          \
    }                                                                                              \
    LAB_INLINE type __##add##mul_##suffix(type a, type b) {                                        \
        return ::lab::rounded('*', a, b, (type)0, ::lab::Rounding::mode);                          \
    }                                                                                              \
    LAB_INLINE type __##add##div_##suffix(type a, type b) {                                        \
        return ::lab::rounded('/', a, b, (type)0, ::lab::Rounding::mode);                          \
    }                                                                                              \
    LAB_INLINE type __##add##rcp_##suffix(type a) {                                                \
        return ::lab::rounded('/', (type)1, a, (type)0, ::lab::Rounding::mode);                    \
    }                                                                                              \
    LAB_INLINE type __##add##sqrt_##suffix(type a) {                                               \
        return ::lab::rounded('r', a, (type)0, (type)0, ::lab::Rounding::mode);                    \
    }
LAB_ROUNDED(float, f, rz, zero)
LAB_ROUNDED(float, f, ru, up)
LAB_ROUNDED(float, f, rd, down)
LAB_ROUNDED(double, d, rz, zero)
LAB_ROUNDED(double, d, ru, up)
LAB_ROUNDED(double, d, rd, down)
#undef LAB_ROUNDED

LAB_INLINE float __fadd_rn(float a, float b) { return a + b; }
LAB_INLINE float __fsub_rn(float a, float b) { return a - b; }
LAB_INLINE float __fmul_rn(float a, float b) { return a * b; }
LAB_INLINE float __fdiv_rn(float a, float b) { return a / b; }
LAB_INLINE float __frcp_rn(float a) { return 1 / a; }
LAB_INLINE float __fsqrt_rn(float a) { return sqrtf(a); }
LAB_INLINE double __dadd_rn(double a, double b) { return a + b; }
LAB_INLINE double __dsub_rn(double a, double b) { return a - b; }
LAB_INLINE double __dmul_rn(double a, double b) { return a * b; }
LAB_INLINE double __ddiv_rn(double a, double b) { return a / b; }
LAB_INLINE double __drcp_rn(double a) { return 1 / a; }
LAB_INLINE double __dsqrt_rn(double a) { return sqrt(a); }
LAB_INLINE float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
LAB_INLINE double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
#define LAB_FUSED(suffix, mode)                                                                    \
    LAB_INLINE float __fmaf_##suffix(float a, float b, float c) {                                  \
        return ::lab::rounded('f', a, b, c, ::lab::Rounding::mode);                                \
    }                                                                                              \
    LAB_INLINE double __fma_##suffix(double a, double b, double c) {                               \
        return ::lab::rounded('f', a, b, c, ::lab::Rounding::mode);                                \
    }
LAB_FUSED(rz, zero)
LAB_FUSED(ru, up)
LAB_FUSED(rd, down)
#undef LAB_FUSED

/* ---- Conversions --------------------------------------------------------------------------- */

namespace lab {

/* A card's conversion to an integer stops at the ends of the type and takes NaN for 0. */
template <class To> LAB_OWN To saturated(double whole, To low, To high) {
    if (whole != whole)
        return 0;
    if (whole <= (double)low)
        return low;
    return whole >= (double)high ? high : (To)whole;
}

}

#define LAB_TO_INTEGER(from, name, to, low, high)                                                  \
    LAB_INLINE to __##name##_rn(from v) {                                                          \
        return ::lab::saturated<to>(rint((double)v), low, high);                                   \
    }                                                                                              \
    LAB_INLINE to __##name##_rz(from v) {                                                          \
        return ::lab::saturated<to>(trunc((double)v), low, high);                                  \
    }                                                                                              \
    LAB_INLINE to __##name##_ru(from v) {                                                          \
        return ::lab::saturated<to>(ceil((double)v), low, high);                                   \
    }                                                                                              \
    LAB_INLINE to __##name##_rd(from v) {                                                          \
        return ::lab::saturated<to>(floor((double)v), low, high);                                  \
    }
LAB_TO_INTEGER(float, float2int, int, INT_MIN, INT_MAX)
LAB_TO_INTEGER(float, float2uint, unsigned, 0, UINT_MAX)
LAB_TO_INTEGER(float, float2ll, long long, LLONG_MIN, LLONG_MAX)
LAB_TO_INTEGER(float, float2ull, unsigned long long, 0, ULLONG_MAX)
LAB_TO_INTEGER(double, double2int, int, INT_MIN, INT_MAX)
LAB_TO_INTEGER(double, double2uint, unsigned, 0, UINT_MAX)
LAB_TO_INTEGER(double, double2ll, long long, LLONG_MIN, LLONG_MAX)
LAB_TO_INTEGER(double, double2ull, unsigned long long, 0, ULLONG_MAX)
#undef LAB_TO_INTEGER

LAB_INLINE float __int2float_rn(int v) { return (float)v; }
LAB_INLINE float __uint2float_rn(unsigned v) { return (float)v; }
LAB_INLINE float __ll2float_rn(long long v) { return (float)v; }
LAB_INLINE float __ull2float_rn(unsigned long long v) { return (float)v; }
LAB_INLINE double __int2double_rn(int v) { return v; }
LAB_INLINE double __uint2double_rn(unsigned v) { return v; }
LAB_INLINE double __ll2double_rn(long long v) { return (double)v; }
LAB_INLINE double __ull2double_rn(unsigned long long v) { return (double)v; }
LAB_INLINE float __double2float_rn(double v) { return (float)v; }

#endif
