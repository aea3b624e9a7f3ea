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

/* The longest row, in bytes, that is fetched while the one before is worked on: both fit L2. */
#define ETUDE_AHEAD (1 << 17)

/* The least rows that share sums down columns (layer_norm.c), whose room is written and read too. */
#define ETUDE_ROWS_OF_SUM 32

/* ---- The matrix product (gemm.h), which matmul and conv2d share --------------------------------

   GEMM_MR     rows of a register tile: MR * NV accumulators, NV vectors of B and a broadcast of A
               fit the registers (16 on SSE and AVX2, 32 on AVX-512 and NEON), and MR * NV is at
               least what hides the latency of a fused multiply-add (4 cycles, 2 a cycle: 8)
   GEMM_NV     vectors in a row of the tile (gemm.h has tiles of 1 and 2); NR = NV * vector length
   GEMM_KC     depth of a block: a panel of B, KC x NR, stays in L1 (32 KB of 48 with AVX-512, 16 of
               32 with AVX2, for both dtypes)
   GEMM_MC     most rows of a block of A: MC x KC stays in L2
   GEMM_STRIP  most panels of B packed together, so that packing reads long runs
   GEMM_PACK_A how many panels C must have for packing A to pay; half as many where each step along
               k of A is in another page. With fewer, A is read where it lies, by one pointer a row
   GEMM_FEW_ROWS  most rows of a product that leaves B where it lies (few_rows.h); if B lies in
               columns and there are more than GEMM_FEW_DOTS rows, only from GEMM_FEW_DEPTH steps
               along k on, because the lanes of a dot product must be added up at the end
   GEMM_FEW_READ  numbers of B that are worth a thread there: some 3 us
   GEMM_FEW_DOTS  most rows of a tile of 4 columns of dot products: 4 * DOTS accumulators
   GEMM_FEW_TALL  most rows of a tile of 2 vectors along n; up to GEMM_FEW_FULL rows have room for 4
   GEMM_WORK   multiply-adds below which threads do not pay: some 5 us
   CONV_KC     depth of a panel of weights, CONV_KC x NR in L1
   CONV_LINES  conv2d_lines.h: tiles of mr channels x nv vectors, at most MR x NV. Sums and vectors
               of the image take (mr + 1) nv of the REGISTERS, a weight the one or two that are left
               out of these. GAIN: so many numbers as lines take the time of 100 along the channels
               (on AArch64 not measured)
   CONV_WEIGHT conv2d_weight_lines.h: tiles of at most MR output channels x NT taps. ONE: so many
               numbers as lines take the time of 100 along the channels where these fill one vector
               at most; MORE: where they fill more (on AArch64 not measured)
   CONV_TASK   bytes of what a task of a convolution holds, canvas and result: about a quarter to a
               half of L2, because the next image and the weights are there too */
#define CONV_KC 256
#if defined(__AVX512F__)
#define CONV_LINES_GAIN 120
#elif defined(__AVX2__) || defined(__aarch64__)
#define CONV_LINES_GAIN 110
#else
#define CONV_LINES_GAIN 90
#endif
#define CONV_LINES_NV 4
#define CONV_LINES_2(T, mr) T(mr, 1) T(mr, 2)
#define CONV_LINES_3(T, mr) CONV_LINES_2(T, mr) T(mr, 3)
#define CONV_LINES_4(T, mr) CONV_LINES_3(T, mr) T(mr, 4)
#if defined(__AVX512F__) || defined(__aarch64__)
#define CONV_LINES_MR 8
#define CONV_LINES_REGISTERS 31
#define CONV_LINES_TILES(T)                                                                       \
    CONV_LINES_4(T, 1) CONV_LINES_4(T, 2) CONV_LINES_4(T, 3) CONV_LINES_4(T, 4)                   \
    CONV_LINES_4(T, 5) CONV_LINES_4(T, 6) CONV_LINES_3(T, 7) CONV_LINES_3(T, 8)
#elif defined(__AVX2__)
#define CONV_LINES_MR 4
#define CONV_LINES_REGISTERS 15
#define CONV_LINES_TILES(T)                                                                       \
    CONV_LINES_4(T, 1) CONV_LINES_4(T, 2) CONV_LINES_3(T, 3) CONV_LINES_3(T, 4)
#else
#define CONV_LINES_MR 6
#define CONV_LINES_REGISTERS 14
#define CONV_LINES_TILES(T)                                                                       \
    CONV_LINES_4(T, 1) CONV_LINES_4(T, 2) CONV_LINES_3(T, 3) CONV_LINES_2(T, 4)                   \
    CONV_LINES_2(T, 5) CONV_LINES_2(T, 6)
#endif
#define CONV_WEIGHT_ONE 110
#define CONV_WEIGHT_MORE 92
#define CONV_WEIGHT_2(T, mr) T(mr, 1) T(mr, 2)
#define CONV_WEIGHT_3(T, mr) CONV_WEIGHT_2(T, mr) T(mr, 3)
#if defined(__AVX512F__) || defined(__aarch64__)
#define CONV_WEIGHT_MR 8
#define CONV_WEIGHT_NT 3
#define CONV_WEIGHT_TILES(T)                                                                      \
    CONV_WEIGHT_3(T, 1) CONV_WEIGHT_3(T, 2) CONV_WEIGHT_3(T, 3) CONV_WEIGHT_3(T, 4)               \
    CONV_WEIGHT_3(T, 5) CONV_WEIGHT_3(T, 6) CONV_WEIGHT_3(T, 7) CONV_WEIGHT_3(T, 8)
#elif defined(__AVX2__)
#define CONV_WEIGHT_MR 4
#define CONV_WEIGHT_NT 3
#define CONV_WEIGHT_TILES(T)                                                                      \
    CONV_WEIGHT_3(T, 1) CONV_WEIGHT_3(T, 2) CONV_WEIGHT_3(T, 3) CONV_WEIGHT_3(T, 4)
#else
#define CONV_WEIGHT_MR 4
#define CONV_WEIGHT_NT 2
#define CONV_WEIGHT_TILES(T)                                                                      \
    CONV_WEIGHT_2(T, 1) CONV_WEIGHT_2(T, 2) CONV_WEIGHT_2(T, 3) CONV_WEIGHT_2(T, 4)
#endif
#if defined(__AVX512F__)
#define CONV_TASK (1 << 19)
#else
#define CONV_TASK (1 << 18)
#endif
#define GEMM_NV 2
#define GEMM_KC 256
#define GEMM_STRIP 8
#define GEMM_PACK_A 32
#define GEMM_FEW_ROWS 12
#define GEMM_FEW_DEPTH 128
#define GEMM_FEW_READ (1 << 16)
#if defined(__AVX512F__)
#define GEMM_MR 12
#define GEMM_MC 192
#define GEMM_WORK (1 << 18)
#define GEMM_TILES(T) T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8) T(9) T(10) T(11) T(12)
#define GEMM_FEW_DOTS 4
#define GEMM_FEW_FULL 6
#define GEMM_FEW_TALL 8
#define GEMM_FEW_DOT_TILES(T) T(1) T(2) T(3) T(4)
#define GEMM_FEW_OUTER_TILES(T) T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8)
#elif defined(__AVX2__)
#define GEMM_MR 6
#define GEMM_MC 144
#define GEMM_WORK (1 << 18)
#define GEMM_TILES(T) T(1) T(2) T(3) T(4) T(5) T(6)
#define GEMM_FEW_DOTS 3
#define GEMM_FEW_FULL 2
#define GEMM_FEW_TALL 6
#define GEMM_FEW_DOT_TILES(T) T(1) T(2) T(3)
#define GEMM_FEW_OUTER_TILES(T) T(1) T(2) T(3) T(4) T(5) T(6)
#elif defined(__aarch64__)
#define GEMM_MR 8
#define GEMM_MC 128
#define GEMM_WORK (1 << 17)
#define GEMM_TILES(T) T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8)
#define GEMM_FEW_DOTS 4
#define GEMM_FEW_FULL 6
#define GEMM_FEW_TALL 8
#define GEMM_FEW_DOT_TILES(T) T(1) T(2) T(3) T(4)
#define GEMM_FEW_OUTER_TILES(T) T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8)
#else
#define GEMM_MR 5
#define GEMM_MC 120
#define GEMM_WORK (1 << 16)
#define GEMM_TILES(T) T(1) T(2) T(3) T(4) T(5)
#define GEMM_FEW_DOTS 2
#define GEMM_FEW_FULL 2
#define GEMM_FEW_TALL 4
#define GEMM_FEW_DOT_TILES(T) T(1) T(2)
#define GEMM_FEW_OUTER_TILES(T) T(1) T(2) T(3) T(4)
#endif

#endif
