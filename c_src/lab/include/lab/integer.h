/* integer.h: integer intrinsics, min and max for every pair of types, reinterpretation of bits. */
#ifndef LAB_INTEGER_H
#define LAB_INTEGER_H

#include <stdlib.h>

#include "lab/atomic.h"

/* ---- min and max: the types mix as in arithmetic -------------------------------------------- */

#define LAB_MIN_MAX(result, a, b)                                                                  \
    LAB_INLINE result min(a x, b y) { return (result)x < (result)y ? (result)x : (result)y; }      \
    LAB_INLINE result max(a x, b y) { return (result)x > (result)y ? (result)x : (result)y; }

LAB_MIN_MAX(int, int, int)
LAB_MIN_MAX(unsigned, unsigned, unsigned)
LAB_MIN_MAX(unsigned, int, unsigned)
LAB_MIN_MAX(unsigned, unsigned, int)
LAB_MIN_MAX(long, long, long)
LAB_MIN_MAX(unsigned long, unsigned long, unsigned long)
LAB_MIN_MAX(unsigned long, long, unsigned long)
LAB_MIN_MAX(unsigned long, unsigned long, long)
LAB_MIN_MAX(long long, long long, long long)
LAB_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
LAB_MIN_MAX(unsigned long long, long long, unsigned long long)
LAB_MIN_MAX(unsigned long long, unsigned long long, long long)
#undef LAB_MIN_MAX

LAB_INLINE int umin(unsigned a, unsigned b) { return a < b ? a : b; }
LAB_INLINE int umax(unsigned a, unsigned b) { return a > b ? a : b; }
LAB_INLINE long long llmin(long long a, long long b) { return a < b ? a : b; }
LAB_INLINE long long llmax(long long a, long long b) { return a > b ? a : b; }

/* ---- Bits ---------------------------------------------------------------------------------- */

LAB_INLINE int __popc(unsigned v) { return __builtin_popcount(v); }
LAB_INLINE int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
LAB_INLINE int __clz(int v) { return v ? __builtin_clz((unsigned)v) : 32; }
LAB_INLINE int __clzll(long long v) { return v ? __builtin_clzll((unsigned long long)v) : 64; }
LAB_INLINE int __ffs(int v) { return __builtin_ffs(v); }
LAB_INLINE int __ffsll(long long v) { return __builtin_ffsll(v); }

LAB_INLINE unsigned __brev(unsigned v) {
    v = (v >> 1 & 0x55555555u) | (v & 0x55555555u) << 1;
    v = (v >> 2 & 0x33333333u) | (v & 0x33333333u) << 2;
    v = (v >> 4 & 0x0f0f0f0fu) | (v & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(v);
}
LAB_INLINE unsigned long long __brevll(unsigned long long v) {
    return (unsigned long long)__brev((unsigned)v) << 32 | __brev((unsigned)(v >> 32));
}

/* Byte i of the result is byte (selector >> 4 i & 7) of the eight of a (0-3) and b (4-7); with bit
   3 of the selector set, its sign bit eight times. */
LAB_INLINE unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
    unsigned long long both = (unsigned long long)b << 32 | a;
    unsigned out = 0;
    for (int i = 0; i < 4; i++) {
        unsigned pick = selector >> 4 * i & 15;
        unsigned byte = (unsigned)(both >> 8 * (pick & 7)) & 255;
        if (pick & 8)
            byte = byte & 128 ? 255 : 0;
        out |= byte << 8 * i;
    }
    return out;
}

LAB_INLINE unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by) {
    by &= 31;
    return (unsigned)(((unsigned long long)high << 32 | low) << by >> 32);
}
LAB_INLINE unsigned __funnelshift_r(unsigned low, unsigned high, unsigned by) {
    by &= 31;
    return (unsigned)(((unsigned long long)high << 32 | low) >> by);
}
LAB_INLINE unsigned __funnelshift_lc(unsigned low, unsigned high, unsigned by) {
    return by >= 32 ? low : __funnelshift_l(low, high, by);
}
LAB_INLINE unsigned __funnelshift_rc(unsigned low, unsigned high, unsigned by) {
    return by >= 32 ? high : __funnelshift_r(low, high, by);
}

/* ---- Arithmetic ---------------------------------------------------------------------------- */

LAB_INLINE int __mul24(int a, int b) { return (a << 8 >> 8) * (b << 8 >> 8); }
LAB_INLINE unsigned __umul24(unsigned a, unsigned b) { return (a & 0xffffffu) * (b & 0xffffffu); }
LAB_INLINE int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
LAB_INLINE unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)((unsigned long long)a * b >> 32);
}
LAB_INLINE long long __mul64hi(long long a, long long b) {
    return (long long)((__int128)a * b >> 64);
}
LAB_INLINE unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
LAB_INLINE int __hadd(int a, int b) { return (int)(((long long)a + b) >> 1); }
LAB_INLINE int __rhadd(int a, int b) { return (int)(((long long)a + b + 1) >> 1); }
LAB_INLINE unsigned __uhadd(unsigned a, unsigned b) {
    return (unsigned)(((unsigned long long)a + b) >> 1);
}
LAB_INLINE unsigned __urhadd(unsigned a, unsigned b) {
    return (unsigned)(((unsigned long long)a + b + 1) >> 1);
}
LAB_INLINE unsigned __sad(int a, int b, unsigned c) {
    return c + (unsigned)(a > b ? (long long)a - b : (long long)b - a);
}
LAB_INLINE unsigned __usad(unsigned a, unsigned b, unsigned c) {
    return c + (a > b ? a - b : b - a);
}

/* The sum of the products of four bytes, and c. */
LAB_INLINE int __dp4a(int a, int b, int c) {
    for (int i = 0; i < 4; i++)
        c += (int)(signed char)(a >> 8 * i) * (signed char)(b >> 8 * i);
    return c;
}
LAB_INLINE unsigned __dp4a(unsigned a, unsigned b, unsigned c) {
    for (int i = 0; i < 4; i++)
        c += (a >> 8 * i & 255) * (b >> 8 * i & 255);
    return c;
}

/* ---- The same bits as another type --------------------------------------------------------- */

LAB_INLINE int __float_as_int(float v) { return ::lab::pun<int>(v); }
LAB_INLINE unsigned __float_as_uint(float v) { return ::lab::pun<unsigned>(v); }
LAB_INLINE float __int_as_float(int v) { return ::lab::pun<float>(v); }
LAB_INLINE float __uint_as_float(unsigned v) { return ::lab::pun<float>(v); }
LAB_INLINE long long __double_as_longlong(double v) { return ::lab::pun<long long>(v); }
LAB_INLINE double __longlong_as_double(long long v) { return ::lab::pun<double>(v); }
LAB_INLINE int __double2hiint(double v) { return (int)(::lab::pun<long long>(v) >> 32); }
LAB_INLINE int __double2loint(double v) { return (int)::lab::pun<long long>(v); }
LAB_INLINE double __hiloint2double(int high, int low) {
    return ::lab::pun<double>(
        (long long)((unsigned long long)(unsigned)high << 32 | (unsigned)low));
}

#endif
