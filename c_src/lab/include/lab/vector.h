/* vector.h: the vector types, with the alignment they have on a card, and dim3.

   LAB_VECTORS(name, type, a2, a4) declares name1 to name4 and their make_ functions; a2 and a4 are
   the alignments of two and four, three being aligned like one. */
#ifndef LAB_VECTOR_H
#define LAB_VECTOR_H

#include "lab/words.h"

#define LAB_VECTORS(name, type, a2, a4)                                                            \
    struct name##1 { type x; };                                                                    \
    struct __align__(a2) name##2 { type x, y; };                                                   \
    struct name##3 { type x, y, z; };                                                              \
    struct __align__(a4) name##4 { type x, y, z, w; };                                             \
    LAB_INLINE name##1 make_##name##1(type x) { return {x}; }                                      \
    LAB_INLINE name##2 make_##name##2(type x, type y) { return {x, y}; }                           \
    LAB_INLINE name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }                \
    LAB_INLINE name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }

LAB_VECTORS(char, signed char, 2, 4)
LAB_VECTORS(uchar, unsigned char, 2, 4)
LAB_VECTORS(short, short, 4, 8)
LAB_VECTORS(ushort, unsigned short, 4, 8)
LAB_VECTORS(int, int, 8, 16)
LAB_VECTORS(uint, unsigned int, 8, 16)
LAB_VECTORS(long, long, 16, 16)
LAB_VECTORS(ulong, unsigned long, 16, 16)
LAB_VECTORS(longlong, long long, 16, 16)
LAB_VECTORS(ulonglong, unsigned long long, 16, 16)
LAB_VECTORS(float, float, 8, 16)
LAB_VECTORS(double, double, 16, 16)
#undef LAB_VECTORS

struct dim3 {
    unsigned int x, y, z;
    constexpr dim3(unsigned int x = 1, unsigned int y = 1, unsigned int z = 1) : x(x), y(y), z(z) {}
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
    constexpr operator uint3() const { return {x, y, z}; }
};

#endif
