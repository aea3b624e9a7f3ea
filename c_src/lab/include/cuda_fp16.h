/* cuda_fp16.h: __half, 5 bits of exponent and 10 of fraction, and __half2. See lab/small.h. */
#ifndef LAB_CUDA_FP16_H
#define LAB_CUDA_FP16_H

#include "cuda_runtime.h"
#include "lab/small.h"

struct __half_raw {
    unsigned short x;
};
struct __align__(2) __half {
    LAB_SMALL_MEMBERS(__half, __half_raw, 5, 10)
};
struct __align__(4) __half2 {
    __half x, y;
    __half2() = default;
    __half2(__half a, __half b) : x(a), y(b) {}
};
typedef __half half;
typedef __half2 half2;

LAB_SMALL_FLOAT(__half, __half2)

inline __half __float2half(float v) { return __half(v); }
inline __half __float2half_rn(float v) { return __half(v); }
inline __half __double2half(double v) { return __half(v); }
inline float __half2float(__half v) { return (float)v; }
inline __half2 __float2half2_rn(float v) { return __half2(__half(v), __half(v)); }
inline __half2 __floats2half2_rn(float a, float b) { return __half2(__half(a), __half(b)); }
inline __half2 __float22half2_rn(float2 v) { return __floats2half2_rn(v.x, v.y); }
inline float2 __half22float2(__half2 v) { return make_float2((float)v.x, (float)v.y); }
inline float __low2float(__half2 v) { return (float)v.x; }
inline float __high2float(__half2 v) { return (float)v.y; }
inline __half __low2half(__half2 v) { return v.x; }
inline __half __high2half(__half2 v) { return v.y; }
inline __half2 __low2half2(__half2 v) { return __half2(v.x, v.x); }
inline __half2 __high2half2(__half2 v) { return __half2(v.y, v.y); }
inline __half2 __half2half2(__half v) { return __half2(v, v); }
inline __half2 __halves2half2(__half a, __half b) { return __half2(a, b); }
inline __half2 make_half2(__half a, __half b) { return __half2(a, b); }
inline __half2 __lowhigh2highlow(__half2 v) { return __half2(v.y, v.x); }
inline __half2 __lows2half2(__half2 a, __half2 b) { return __half2(a.x, b.x); }
inline __half2 __highs2half2(__half2 a, __half2 b) { return __half2(a.y, b.y); }
inline unsigned short __half_as_ushort(__half v) { return v.bits; }
inline short __half_as_short(__half v) { return (short)v.bits; }
inline __half __ushort_as_half(unsigned short v) { return __half(__half_raw{v}); }
inline __half __short_as_half(short v) { return __half(__half_raw{(unsigned short)v}); }
inline int __half2int_rn(__half v) { return __float2int_rn((float)v); }
inline int __half2int_rz(__half v) { return __float2int_rz((float)v); }
inline int __half2int_ru(__half v) { return __float2int_ru((float)v); }
inline int __half2int_rd(__half v) { return __float2int_rd((float)v); }
inline __half __int2half_rn(int v) { return __half((double)v); }
inline __half __uint2half_rn(unsigned v) { return __half((double)v); }
inline __half __short2half_rn(short v) { return __half((double)v); }

#define CUDART_INF_FP16 __ushort_as_half(0x7c00)
#define CUDART_NAN_FP16 __ushort_as_half(0x7fff)
#define CUDART_MAX_NORMAL_FP16 __ushort_as_half(0x7bff)
#define CUDART_ZERO_FP16 __ushort_as_half(0x0000)
#define CUDART_ONE_FP16 __ushort_as_half(0x3c00)

#endif
