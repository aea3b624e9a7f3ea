/* tuning.h: the numbers that depend on the machine, in one place per instruction set.
   Measured on Zen 5 (AVX-512, 48 KB L1d, 1 MB L2) and Zen 3 (AVX2, 32 KB L1d, 512 KB L2). */
#ifndef ETUDE_TUNING_H
#define ETUDE_TUNING_H

#if defined(__AVX512F__)
#define ETUDE_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define ETUDE_VECTOR_BYTES 32
#else
#define ETUDE_VECTOR_BYTES 16
#endif

/* The least work worth a thread, in elements, multiples of 64: about 10 us each. */
#define ETUDE_GRAIN_MEMORY 32768 /* a load and a store each: add, relu, copy */
#define ETUDE_GRAIN_MATH 8192    /* exp, tanh, softmax */

/* Elements in a block that stays in L1 between the passes over it. */
#define ETUDE_BLOCK 4096

#endif
