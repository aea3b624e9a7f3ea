/* gemm_tuning.h: the sizes of the GEMM in gemm.h, one block per instruction set.

   GEMM_VECTOR  bytes of a vector register
   MR           rows of a register tile: MR * NV accumulators, NV vectors of B and one broadcast of A
                must fit the register file (16 on SSE and AVX2, 32 on AVX-512 and NEON), and MR * NV
                must hide the latency of a fused multiply-add (4 cycles, 2 a cycle: 8)
   NV           vectors in a row of the register tile; NR = NV * vector length columns
   KC           depth of a block: a panel of B, KC x NR, stays in half of a 32 KB L1 cache at
                4 KC NV GEMM_VECTOR / 4 bytes, the same for both dtypes
   MC           most rows of a block of A, MC x KC: stays in the L2 cache
   STRIP        panels of B packed together, so that packing reads runs of STRIP * NR numbers */
#ifndef ETUDE_GEMM_TUNING_H
#define ETUDE_GEMM_TUNING_H

#if defined(__AVX512F__)
enum { GEMM_VECTOR = 64, MR = 12, NV = 2, KC = 256, MC = 192 };
#define GEMM_TILES(T) T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8) T(9) T(10) T(11) T(12)
#elif defined(__AVX2__)
enum { GEMM_VECTOR = 32, MR = 6, NV = 2, KC = 256, MC = 144 };
#define GEMM_TILES(T) T(1) T(2) T(3) T(4) T(5) T(6)
#elif defined(__aarch64__)
enum { GEMM_VECTOR = 16, MR = 8, NV = 2, KC = 256, MC = 128 };
#define GEMM_TILES(T) T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8)
#else
enum { GEMM_VECTOR = 16, MR = 5, NV = 2, KC = 256, MC = 120 };
#define GEMM_TILES(T) T(1) T(2) T(3) T(4) T(5)
#endif

#endif
