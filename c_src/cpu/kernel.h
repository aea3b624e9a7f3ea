/* kernel.h: what every kernel in this folder and in plain/ starts with.

   A file is compiled once per dtype and once per instruction set, from one text:
     -DETUDE_REAL=32 or 64   real is float or double, names end in _f32 or _f64
     -DETUDE_INT=64 or 8     real is int64_t or uint8_t (bool), names end in _i64, _b8; only for
                             files that mention ETUDE_INT, which guard their float-only part
   The instruction sets are separate shared libraries with the same symbols (etude_cpu picks one as
   it loads), so nothing here dispatches: the compiler's own macros say what may be used. */
#ifndef ETUDE_KERNEL_H
#define ETUDE_KERNEL_H

#include "etude.h"
#include "tuning.h"

#if !defined(ETUDE_REAL) && !defined(ETUDE_INT)
#define ETUDE_REAL 32
#endif

#if defined(ETUDE_INT) && ETUDE_INT == 64
typedef int64_t real;
#define ETUDE_SUFFIX _i64
#elif defined(ETUDE_INT)
typedef uint8_t real;
#define ETUDE_SUFFIX _b8
#elif ETUDE_REAL == 64
typedef double real;
typedef int64_t real_bits; /* the integer of real's size */
#define ETUDE_SUFFIX _f64
#else
typedef float real;
typedef int32_t real_bits;
#define ETUDE_SUFFIX _f32
#endif

/* ETUDE_NAME(softmax) is etude_softmax_f32 */
#define ETUDE_PASTE_(a, b) etude_##a##b
#define ETUDE_PASTE(a, b) ETUDE_PASTE_(a, b)
#define ETUDE_NAME(op) ETUDE_PASTE(op, ETUDE_SUFFIX)

/* ETUDE_KERNEL(rows, softmax) begins the definition of etude_softmax_f32 and says that it is of the
   function type rows of etude.h: with other parameters it does not compile. */
#define ETUDE_TYPE_(type, suffix) etude_##type##_fn##suffix
#define ETUDE_TYPE(type, suffix) ETUDE_TYPE_(type, suffix)
#define ETUDE_KERNEL(type, op)                                                                    \
    ETUDE_TYPE(type, ETUDE_SUFFIX) ETUDE_NAME(op);                                                \
    int ETUDE_NAME(op)

#define ETUDE_MIN(a, b) ((a) < (b) ? (a) : (b))
#define ETUDE_MAX(a, b) ((a) > (b) ? (a) : (b))

/* The iterations of the loop below are independent: x and y may be the same array, but y[i] never
   feeds x[j]. */
#define ETUDE_PRAGMA(text) _Pragma(#text)
#define ETUDE_SIMD ETUDE_PRAGMA(omp simd)

#endif
