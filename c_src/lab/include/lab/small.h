/* small.h: arithmetic of the two 16-bit floats, half and bfloat16, for the headers of each.

   An operation is done in float and rounded once more. That is right: float has more than twice
   the digits and two, so rounding twice gives what rounding once would (fma is done in double).
   LAB_SMALL_FLOAT(T, T2) declares everything for one of the two and its pair. */
#ifndef LAB_SMALL_H
#define LAB_SMALL_H

#include "lab/math.h"
#include "lab/warp.h"

namespace lab {

/* The bits of a float with `digits` bits of fraction and 16 in all, nearest, ties to even. */
template <int exponent_bits, int digits> inline LAB_QUIET unsigned short small_bits(double v) {
    constexpr int bias = (1 << (exponent_bits - 1)) - 1;
    constexpr unsigned infinity = ((1u << exponent_bits) - 1) << digits;
    unsigned sign = (unsigned)(pun<uint64_t>(v) >> 63) << 15;
    double size = v < 0 ? -v : v;
    if (v != v)
        return (unsigned short)(0x7fff);
    if (size == 0)
        return (unsigned short)sign;
    int e = (int)(pun<uint64_t>(size) >> 52) - 1023;
    if (e > bias)
        return (unsigned short)(sign | infinity);
    int lowest = e < 1 - bias ? 1 - bias : e; /* subnormal numbers share the lowest exponent */
    double steps = rint(ldexp(size, digits - lowest));
    unsigned bits = (unsigned)steps;
    bits += (unsigned)(lowest + bias - 1) << digits; /* carries into the exponent as it should */
    return (unsigned short)(sign | (bits > infinity ? infinity : bits));
}

template <int exponent_bits, int digits> inline LAB_QUIET float small_value(unsigned short bits) {
    constexpr int bias = (1 << (exponent_bits - 1)) - 1;
    unsigned e = bits >> digits & ((1u << exponent_bits) - 1), f = bits & ((1u << digits) - 1);
    uint32_t sign = (uint32_t)(bits >> 15) << 31;
    if (e == (1u << exponent_bits) - 1)
        return pun<float>(sign | 0x7f800000u | (uint32_t)f << (23 - digits));
    float size = e ? ldexpf((float)(f + (1u << digits)), (int)e - bias - digits)
                   : ldexpf((float)f, 1 - bias - digits);
    return pun<float>(sign | pun<uint32_t>(size));
}

}

/* One function of one or two operands, for the number and for the pair. */
#define LAB_SMALL_1(T, T2, name, expression)                                                       \
    inline T name(T a) {                                                                           \
        float x = (float)a;                                                                        \
        return T(expression);                                                                      \
    }
#define LAB_SMALL_2(T, T2, name, expression)                                                       \
    inline T name(T a, T b) {                                                                      \
        float x = (float)a, y = (float)b;                                                          \
        return T(expression);                                                                      \
    }                                                                                              \
    inline T2 name##2(T2 a, T2 b) { return T2(name(a.x, b.x), name(a.y, b.y)); }
#define LAB_SMALL_COMPARE(T, T2, name, op)                                                         \
    inline bool __h##name(T a, T b) { return (float)a op(float) b; }                               \
    inline bool operator op(T a, T b) { return (float)a op(float) b; }                             \
    inline T2 __h##name##2(T2 a, T2 b) {                                                           \
        return T2(T(__h##name(a.x, b.x) ? 1.0f : 0.0f), T(__h##name(a.y, b.y) ? 1.0f : 0.0f));     \
    }                                                                                              \
    inline bool __hb##name##2(T2 a, T2 b) { return __h##name(a.x, b.x) && __h##name(a.y, b.y); }
#define LAB_SMALL_MATH(T, T2, name, expression)                                                    \
    LAB_SMALL_1(T, T2, h##name, expression)                                                        \
    inline T2 h2##name(T2 a) { return T2(h##name(a.x), h##name(a.y)); }

#define LAB_SMALL_FLOAT(T, T2)                                                                     \
    LAB_SMALL_2(T, T2, __hadd, x + y)                                                              \
    LAB_SMALL_2(T, T2, __hsub, x - y)                                                              \
    LAB_SMALL_2(T, T2, __hmul, x *y)                                                               \
    LAB_SMALL_2(T, T2, __hdiv, x / y)                                                              \
    LAB_SMALL_2(T, T2, __hadd_rn, x + y)                                                           \
    LAB_SMALL_2(T, T2, __hsub_rn, x - y)                                                           \
    LAB_SMALL_2(T, T2, __hmul_rn, x *y)                                                            \
    LAB_SMALL_2(T, T2, __hadd_sat, __saturatef(x + y))                                             \
    LAB_SMALL_2(T, T2, __hsub_sat, __saturatef(x - y))                                             \
    LAB_SMALL_2(T, T2, __hmul_sat, __saturatef(x *y))                                              \
    LAB_SMALL_2(T, T2, __hmin, fminf(x, y))                                                        \
    LAB_SMALL_2(T, T2, __hmax, fmaxf(x, y))                                                        \
    LAB_SMALL_2(T, T2, __hmin_nan, x != x || y != y ? x + y : fminf(x, y))                         \
    LAB_SMALL_2(T, T2, __hmax_nan, x != x || y != y ? x + y : fmaxf(x, y))                         \
    LAB_SMALL_1(T, T2, __hneg, -x)                                                                 \
    LAB_SMALL_1(T, T2, __habs, fabsf(x))                                                           \
    inline T2 __h2div(T2 a, T2 b) { return __hdiv2(a, b); }                                        \
    inline T2 __hneg2(T2 a) { return T2(__hneg(a.x), __hneg(a.y)); }                               \
    inline T2 __habs2(T2 a) { return T2(__habs(a.x), __habs(a.y)); }                               \
    inline T __hfma(T a, T b, T c) { return T((double)(float)a * (float)b + (float)c); }           \
    inline T2 __hfma2(T2 a, T2 b, T2 c) {                                                          \
        return T2(__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y));                                   \
    }                                                                                              \
    inline T __hfma_sat(T a, T b, T c) { return T(__saturatef((float)__hfma(a, b, c))); }          \
    inline T __hfma_relu(T a, T b, T c) { return T(fmaxf((float)__hfma(a, b, c), 0.0f)); }         \
    LAB_SMALL_COMPARE(T, T2, eq, ==)                                                               \
    LAB_SMALL_COMPARE(T, T2, ne, !=)                                                               \
    LAB_SMALL_COMPARE(T, T2, lt, <)                                                                \
    LAB_SMALL_COMPARE(T, T2, le, <=)                                                               \
    LAB_SMALL_COMPARE(T, T2, gt, >)                                                                \
    LAB_SMALL_COMPARE(T, T2, ge, >=)                                                               \
    inline bool __hisnan(T a) { return (float)a != (float)a; }                                     \
    inline int __hisinf(T a) { return isinf((float)a) ? ((float)a > 0 ? 1 : -1) : 0; }             \
    LAB_SMALL_MATH(T, T2, sqrt, sqrtf(x))                                                          \
    LAB_SMALL_MATH(T, T2, rsqrt, rsqrtf(x))                                                        \
    LAB_SMALL_MATH(T, T2, rcp, 1 / x)                                                              \
    LAB_SMALL_MATH(T, T2, exp, expf(x))                                                            \
    LAB_SMALL_MATH(T, T2, exp2, exp2f(x))                                                          \
    LAB_SMALL_MATH(T, T2, exp10, exp10f(x))                                                        \
    LAB_SMALL_MATH(T, T2, log, logf(x))                                                            \
    LAB_SMALL_MATH(T, T2, log2, log2f(x))                                                          \
    LAB_SMALL_MATH(T, T2, log10, log10f(x))                                                        \
    LAB_SMALL_MATH(T, T2, sin, sinf(x))                                                            \
    LAB_SMALL_MATH(T, T2, cos, cosf(x))                                                            \
    LAB_SMALL_MATH(T, T2, tanh, tanhf(x))                                                          \
    LAB_SMALL_MATH(T, T2, floor, floorf(x))                                                        \
    LAB_SMALL_MATH(T, T2, ceil, ceilf(x))                                                          \
    LAB_SMALL_MATH(T, T2, trunc, truncf(x))                                                        \
    LAB_SMALL_MATH(T, T2, rint, rintf(x))                                                          \
    inline T operator+(T a, T b) { return __hadd(a, b); }                                          \
    inline T operator-(T a, T b) { return __hsub(a, b); }                                          \
    inline T operator*(T a, T b) { return __hmul(a, b); }                                          \
    inline T operator/(T a, T b) { return __hdiv(a, b); }                                          \
    inline T operator-(T a) { return __hneg(a); }                                                  \
    inline T operator+(T a) { return a; }                                                          \
    inline T &operator+=(T &a, T b) { return a = a + b; }                                          \
    inline T &operator-=(T &a, T b) { return a = a - b; }                                          \
    inline T &operator*=(T &a, T b) { return a = a * b; }                                          \
    inline T &operator/=(T &a, T b) { return a = a / b; }                                          \
    inline T &operator++(T &a) { return a = a + T(1.0f); }                                         \
    inline T &operator--(T &a) { return a = a - T(1.0f); }                                         \
    inline T2 operator+(T2 a, T2 b) { return __hadd2(a, b); }                                      \
    inline T2 operator-(T2 a, T2 b) { return __hsub2(a, b); }                                      \
    inline T2 operator*(T2 a, T2 b) { return __hmul2(a, b); }                                      \
    inline T2 operator/(T2 a, T2 b) { return __hdiv2(a, b); }                                      \
    inline T2 operator-(T2 a) { return __hneg2(a); }                                               \
    inline T2 &operator+=(T2 &a, T2 b) { return a = a + b; }                                       \
    inline T2 &operator-=(T2 &a, T2 b) { return a = a - b; }                                       \
    inline T2 &operator*=(T2 &a, T2 b) { return a = a * b; }                                       \
    inline T2 &operator/=(T2 &a, T2 b) { return a = a / b; }                                       \
    inline bool operator==(T2 a, T2 b) { return a.x == b.x && a.y == b.y; }                        \
    inline bool operator!=(T2 a, T2 b) { return a.x != b.x || a.y != b.y; }                        \
    LAB_INLINE T atomicAdd(T *cell, T v, LAB_AT) {                                                 \
        return ::lab::atomic<::lab::Op::add, T>(cell, v, ::lab::Scope::device, site);              \
    }                                                                                              \
    LAB_INLINE T2 atomicAdd(T2 *cell, T2 v, LAB_AT) {                                              \
        return T2(atomicAdd(&cell->x, v.x, site), atomicAdd(&cell->y, v.y, site));                 \
    }

/* The members of the number and of the pair. */
#define LAB_SMALL_MEMBERS(T, raw, exponent_bits, digits)                                           \
    unsigned short bits;                                                                           \
    T() = default;                                                                                 \
    T(raw r) : bits(r.x) {}                                                                        \
    T(float v) : bits(::lab::small_bits<exponent_bits, digits>(v)) {}                              \
    T(double v) : bits(::lab::small_bits<exponent_bits, digits>(v)) {}                             \
    T(int v) : T((double)v) {}                                                                     \
    T(unsigned v) : T((double)v) {}                                                                \
    T(long v) : T((double)v) {}                                                                    \
    T(unsigned long v) : T((double)v) {}                                                           \
    T(long long v) : T((double)v) {}                                                               \
    T(unsigned long long v) : T((double)v) {}                                                      \
    T(short v) : T((double)v) {}                                                                   \
    T(unsigned short v) : T((double)v) {}                                                          \
    operator float() const { return ::lab::small_value<exponent_bits, digits>(bits); }             \
    operator raw() const { return raw{bits}; }                                                     \
    explicit operator double() const { return (float)*this; }                                      \
    explicit operator int() const { return (int)(float)*this; }                                    \
    explicit operator unsigned() const { return (unsigned)(float)*this; }                          \
    explicit operator long long() const { return (long long)(float)*this; }                        \
    explicit operator bool() const { return (float)*this != 0; }

#endif
