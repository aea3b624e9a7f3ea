/* etude.h: the op interface in C.

   A kernel computes one op for one dtype and is called etude_<op>_<dtype>. Its function type is one
   of those below: the class of the op, which `etude ops softmax` shows. A library is a backend when
   it exports any kernel of an op in the table:

       #include <etude.h>
       etude_rows_fn_f32 etude_softmax_f32; // its type: another definition does not compile
       int etude_softmax_f32(etude_context *ctx, const float *x, float *y,
                             int64_t rows, int64_t cols)
       { ... return ETUDE_OK; }

       cc -O2 -shared -fPIC -I"$(etude config --include)" softmax.c -o softmax.so -lm

   and etude.use("./softmax.so") runs it. It links against nothing: threads and scratch memory come
   through the context, and with a host that has neither it runs serially.

   What a kernel may count on: sizes and dtypes have passed the op's shape rule; pointers are
   aligned to their type; arrays are contiguous in C order unless strides (in elements) are passed;
   no array is NULL unless marked. Sizes may be 0. Outputs are uninitialised and may alias only what
   the op declares. It keeps no static mutable state: two threads may be inside it at once.

   This text is read twice, by a C compiler and by backends/native/header.py, which makes the Python
   side of every function type from it. So keep its forms: `*x` is an array, `size[3]` geometry (on
   the host). Numbers are matched by name: with the sizes of the op's layout, with its attributes,
   and with what its row in ops/ says of the others (backends/native/numbers.py). */
#ifndef ETUDE_H
#define ETUDE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ETUDE_INTERFACE 0x00020003 /* major << 16 | minor */

/* What a library was compiled with. Etude asks before it calls anything there, and refuses another
   major number: the parameters of its kernels would not be those below. A library that does not
   include this file exports a variable of this name and value itself. */
extern const uint32_t etude_interface __attribute__((weak, visibility("default")));
const uint32_t etude_interface = ETUDE_INTERFACE;

enum {
    ETUDE_OK = 0,
    ETUDE_BAD_INDEX = 1,   /* an index or label is out of range, or whole numbers are divided by 0 or
                              taken to a negative power: the reference words the error */
    ETUDE_NO_MEMORY = 2,
    ETUDE_UNSUPPORTED = 3, /* declined, reason in ctx->error: the reference runs instead:
                              snprintf(ctx->error, sizeof ctx->error, "%d threads", 3); */
    ETUDE_FAILED = 4       /* a device refused, what it said in ctx->error: raised as an error */
};

enum { ETUDE_F32 = 0, ETUDE_F64 = 1, ETUDE_I64 = 2, ETUDE_B8 = 3 }; /* a bool is one byte, 0 or 1 */

/* ---- The context ---------------------------------------------------------------------------- */

typedef void etude_body(void *arg, int64_t begin, int64_t end);

typedef struct etude_context {
    uint32_t version; /* ETUDE_INTERFACE of the host */
    int32_t threads;  /* how many threads parallel_for may use */
    void (*parallel_for)(struct etude_context *, etude_body *, void *arg, int64_t n, int64_t grain);
    void *(*scratch)(struct etude_context *, size_t bytes);
    void *stream; /* a device's queue; NULL on the cpu */
    void *impl;   /* the host's own */
    char error[256]; /* why a kernel declines, in a few words; "" says "declined by the kernel" */
    /* What the helpers below use when the host offers no scratch: one buffer outside of
       parallel_for and one inside of it. */
    int32_t level;
    void *buffer[2];
    size_t bytes[2];
    struct etude_kept *(*keep)(struct etude_context *, const void *of, size_t bytes);
    struct etude_tail *tail; /* what follows this call at once, which it may do itself; or NULL */
} etude_context;

/* body(arg, begin, end) over ranges that cover [0, n) once. Every begin is a multiple of grain, and
   grain is also the least work worth a thread. Which thread runs which range, and how many ranges
   there are, varies: write each item so that its result does not depend on it. */
static inline void etude_parallel_for(etude_context *ctx, etude_body *body, void *arg, int64_t n,
                                      int64_t grain)
{
    if (n <= 0)
        return;
    if (ctx->parallel_for) {
        ctx->parallel_for(ctx, body, arg, n, grain);
        return;
    }
    ctx->level++;
    body(arg, 0, n);
    ctx->level--;
}

/* Memory of the calling thread, aligned to 64 bytes, or NULL. Valid until that thread's next call,
   except that calls outside of a parallel_for and calls inside its body do not disturb each
   other. */
static inline void *etude_scratch(etude_context *ctx, size_t bytes)
{
    if (ctx->scratch)
        return ctx->scratch(ctx, bytes);
    int slot = ctx->level > 0;
    if (bytes > ctx->bytes[slot]) {
        free(ctx->buffer[slot]);
        ctx->bytes[slot] = (bytes + 63) / 64 * 64;
        ctx->buffer[slot] = aligned_alloc(64, ctx->bytes[slot]);
        if (!ctx->buffer[slot])
            ctx->bytes[slot] = 0;
    }
    return ctx->buffer[slot];
}

/* Memory that stays with one call of a frozen program from run to run. */
typedef struct etude_kept {
    void *memory; /* aligned to 64 bytes */
    size_t bytes;
    int32_t filled; /* 0 at first; set it once `memory` is filled, and find it so at the next run. A
                       kernel may say for what, such as a number of tasks, and fill again */
} etude_kept;

/* Memory to keep what a kernel makes of the array `of` alone, such as a weight in another order.
   NULL, which is usual: there is none, so work in scratch memory. Else the array `of` holds the same
   numbers at every run that finds it filled. The number of threads may be another one. Ask once in a
   call, outside of parallel_for. */
static inline etude_kept *etude_keep(etude_context *ctx, const void *of, size_t bytes)
{
    return ctx->keep ? ctx->keep(ctx, of, bytes) : NULL;
}

/* What follows a convolution or a linear, on each number of its result and in its place:
   y = relu((y - mean) weight / sqrt(var + eps) + bias + add), rounded after each operation. A kernel
   that does all of it sets `done`. For one that does not, the calls run afterwards. */
typedef struct etude_tail {
    const void *mean, *var, *weight, *bias; /* of channels; mean NULL: no norm. The last two may be
                                               NULL: 1 and 0 */
    double eps;
    const void *add; /* as large as the result; or NULL */
    int32_t relu, done;
} etude_tail;

/* ---- The function types: one for each kind of call ------------------------------------------- */

/* real is float, double, int64_t or uint8_t (bool), and T its suffix: f32, f64, i64, b8.
   Attributes of an op arrive as doubles: a word as its place in the choices, None as NaN (an
   attribute that is NaN is declined before). */
#define ETUDE_FUNCTION_TYPES(real, T)                                                             \
    /* y[i] = f(x[i]; a, b) */                                                                    \
    typedef int etude_map_fn_##T(etude_context *ctx, const real *x, real *y, int64_t n, double a, \
        double b);                                                                                \
    typedef int etude_map_bool_fn_##T(etude_context *ctx, const real *x, uint8_t *y, int64_t n);  \
    /* z[i] = f(x[i], y[i]; a) */                                                                 \
    typedef int etude_equal_fn_##T(etude_context *ctx, const real *x, const real *y, real *z,     \
        int64_t n, double a);                                                                     \
    /* z = f(x, y) over size[0] x size[1] x size[2]; z contiguous, xs and ys element strides, 0   \
       where an operand is broadcast; those of the last dimension are 0 or 1 */                   \
    typedef int etude_binary_fn_##T(etude_context *ctx, const real *x, const real *y, real *z,    \
        const int64_t size[3], const int64_t xs[3], const int64_t ys[3]);                         \
    typedef int etude_compare_fn_##T(etude_context *ctx, const real *x, const real *y,            \
        uint8_t *z, const int64_t size[3], const int64_t xs[3], const int64_t ys[3]);             \
    typedef int etude_select_fn_##T(etude_context *ctx, const uint8_t *condition, const real *x,  \
        const real *y, real *z, const int64_t size[3], const int64_t cs[3], const int64_t xs[3],  \
        const int64_t ys[3]);                                                                     \
    typedef int etude_ternary_fn_##T(etude_context *ctx, const real *x, const real *y,            \
        const real *w, real *z, const int64_t size[3], const int64_t xs[3], const int64_t ys[3],  \
        const int64_t ws[3]);                                                                     \
    /* y[o][i] = reduction over j of x[o][j][i]; x: outer x n x inner */                          \
    typedef int etude_reduce_fn_##T(etude_context *ctx, const real *x, real *y, int64_t outer,    \
        int64_t n, int64_t inner);                                                                \
    typedef int etude_argreduce_fn_##T(etude_context *ctx, const real *x, int64_t *y,             \
        int64_t outer, int64_t n, int64_t inner);                                                 \
    /* y[o][i] = sum over j of (x[o][j][i] - mean)^2 / (n - correction) */                        \
    typedef int etude_var_fn_##T(etude_context *ctx, const real *x, real *y, int64_t outer,       \
        int64_t n, int64_t inner, double correction);                                             \
    /* y[o][j][i] = x[o][0][i] + ... + x[o][j][i] */                                              \
    typedef int etude_scan_fn_##T(etude_context *ctx, const real *x, real *y, int64_t outer,      \
        int64_t n, int64_t inner);                                                                \
    /* y[o][0 .. k-1][i] = the k largest of x[o][..][i], largest first, and index their places;   \
       the smallest, smallest first, where `largest` is 0. Of equal elements, such as 0 and -0,   \
       the first in x comes first; a NaN is larger than any number, and equal to another NaN */   \
    typedef int etude_topk_fn_##T(etude_context *ctx, const real *x, real *y, int64_t *index,     \
        int64_t outer, int64_t n, int64_t inner, int64_t k, double largest);                      \
    /* dx[o][j][i] = grad[o][i] times the product of x[o][..][i] without j; grad: outer x inner */\
    typedef int etude_prod_backward_fn_##T(etude_context *ctx, const real *grad, const real *x,   \
        real *dx, int64_t outer, int64_t n, int64_t inner);                                       \
    /* each row of rows x cols by itself */                                                       \
    typedef int etude_rows_fn_##T(etude_context *ctx, const real *x, real *y, int64_t rows,       \
        int64_t cols);                                                                            \
    typedef int etude_rows_backward_fn_##T(etude_context *ctx, const real *grad, const real *y,   \
        real *dx, int64_t rows, int64_t cols);                                                    \
    /* c[b] = a[b] b[b] + bias; c: batch x m x n contiguous, a and b by element strides, bias: n  \
       or NULL, added to each row */                                                              \
    typedef int etude_matmul_fn_##T(etude_context *ctx, const real *a, const real *b,             \
        const real *bias, real *c, int64_t batch, int64_t m, int64_t n, int64_t k,                \
        int64_t a_batch, int64_t a_row, int64_t a_col, int64_t b_batch, int64_t b_row,            \
        int64_t b_col);                                                                           \
    /* y[r][n] = scale[n] (the sum over k of x[r][k] weight[n][k]) + bias[n]; x: rows x K, y: rows \
       x N, weight: N x K, scale: N, bias: N or NULL. The sum is in real, and scaled once */      \
    typedef int etude_linear_int8_fn_##T(etude_context *ctx, const real *x, const int8_t *weight, \
        const real *scale, const real *bias, real *y, int64_t rows, int64_t N, int64_t K);        \
    /* x: N C H W, weight: O C/groups KH KW, y: N O OH OW, bias: O or NULL; strides S, padding P, \
       dilation D. Output pixel h, w meets tap i, j at h SH - PH + i DH, w SW - PW + j DW;        \
       channel o sees the C/groups channels of its group, o / (O/groups) */                       \
    typedef int etude_conv2d_fn_##T(etude_context *ctx, const real *x, const real *weight,        \
        const real *bias, real *y, int64_t N, int64_t C, int64_t H, int64_t W, int64_t O,         \
        int64_t KH, int64_t KW, int64_t OH, int64_t OW, int64_t SH, int64_t SW, int64_t PH,       \
        int64_t PW, int64_t DH, int64_t DW, int64_t groups);                                      \
    typedef int etude_conv2d_input_fn_##T(etude_context *ctx, const real *grad,                   \
        const real *weight, real *dx, int64_t N, int64_t C, int64_t H, int64_t W, int64_t O,      \
        int64_t KH, int64_t KW, int64_t OH, int64_t OW, int64_t SH, int64_t SW, int64_t PH,       \
        int64_t PW, int64_t DH, int64_t DW, int64_t groups);                                      \
    typedef int etude_conv2d_weight_fn_##T(etude_context *ctx, const real *grad, const real *x,   \
        real *dw, int64_t N, int64_t C, int64_t H, int64_t W, int64_t O, int64_t KH, int64_t KW,  \
        int64_t OH, int64_t OW, int64_t SH, int64_t SW, int64_t PH, int64_t PW, int64_t DH,       \
        int64_t DW, int64_t groups);                                                              \
    /* x: planes x H x W, y and index: planes x OH x OW, index into a plane of H * W. Windows as  \
       in conv2d; with the op's ceil_mode OH and OW are larger, and the last windows stick out    \
       behind the padding. Each holds at least one pixel */                                       \
    typedef int etude_pool2d_fn_##T(etude_context *ctx, const real *x, real *y, int64_t *index,   \
        int64_t planes, int64_t H, int64_t W, int64_t OH, int64_t OW, int64_t KH, int64_t KW,     \
        int64_t SH, int64_t SW, int64_t PH, int64_t PW, int64_t DH, int64_t DW);                  \
    typedef int etude_pool2d_backward_fn_##T(etude_context *ctx, const real *grad,                \
        const int64_t *index, real *dx, int64_t planes, int64_t H, int64_t W, int64_t OH,         \
        int64_t OW);                                                                              \
    /* y = the sum of x over each window, 0 outside, divided by divisor_override; where that is   \
       NaN, by the pixels of the window from -PH to H + PH, -PW to W + PW if count_include_pad,   \
       else by those in the image. backward takes grad and dx: planes x OH x OW, planes x H x W */\
    typedef int etude_avg_pool2d_fn_##T(etude_context *ctx, const real *x, real *y,               \
        int64_t planes, int64_t H, int64_t W, int64_t OH, int64_t OW, int64_t KH, int64_t KW,     \
        int64_t SH, int64_t SW, int64_t PH, int64_t PW, double count_include_pad,                 \
        double divisor_override);                                                                 \
    typedef int etude_adaptive_pool2d_fn_##T(etude_context *ctx, const real *x, real *y,          \
        int64_t planes, int64_t H, int64_t W, int64_t OH, int64_t OW);                            \
    /* y[o][j][i] = x[o][index[o][j][i]][i]; x: outer x n x inner, y: outer x index_n x inner.    \
       In index_select index is [index_n]: y[o][j][i] = x[o][index[j]][i] */                      \
    typedef int etude_gather_fn_##T(etude_context *ctx, const real *x, const int64_t *index,      \
        real *y, int64_t outer, int64_t n, int64_t index_n, int64_t inner);                       \
    /* y[o][index[o][j][i]][i] += src[o][j][i]; y holds a copy of x on entry */                   \
    typedef int etude_scatter_add_fn_##T(etude_context *ctx, const int64_t *index,                \
        const real *src, real *y, int64_t outer, int64_t n, int64_t index_n, int64_t inner);      \
    /* y[j] = weight[index[j]] for j < count; weight: V x D */                                    \
    typedef int etude_embedding_fn_##T(etude_context *ctx, const int64_t *index, const real       \
        *weight, real *y, int64_t count, int64_t V, int64_t D);                                   \
    /* dweight[v] = the sum of grad[j] where index[j] is v; 0 in row padding_idx, if not NaN */   \
    typedef int etude_embedding_backward_fn_##T(etude_context *ctx, const real *grad, const       \
        int64_t *index, real *dweight, int64_t count, int64_t V, int64_t D, double padding_idx);  \
    typedef int etude_one_hot_fn_##T(etude_context *ctx, const int64_t *index, real *y,           \
        int64_t count, int64_t num_classes);                                                      \
    /* y = x on one side of a diagonal of batch matrices M x N, 0 on the other */                 \
    typedef int etude_triangle_fn_##T(etude_context *ctx, const real *x, real *y, int64_t         \
        batch, int64_t M, int64_t N, double diagonal);                                            \
    /* y = x over ndim dimensions (at most 16), both by element strides */                        \
    typedef int etude_copy_fn_##T(etude_context *ctx, const real *x, real *y, int64_t ndim,       \
        const int64_t size[16], const int64_t xs[16], const int64_t ys[16]);                      \
    /* y[i] = (real)x[i]; from is ETUDE_F32, ... */                                               \
    typedef int etude_cast_fn_##T(etude_context *ctx, const void *x, real *y, int64_t n,          \
        int64_t from);                                                                            \
    /* x: N x C; weight w: C or NULL, which is 1; top[r] = max_c x[r][c], z[r][c] = x[r][c] -     \
       top[r], log_sum[r] = log sum_c exp z[r][c], apart since their sum rounds log_sum away; with\
       t = target[r] and s = label_smoothing the loss of a row is (1 - s) w[t] (log_sum[r] -      \
       z[r][t]) + s mean_c w[c] (log_sum[r] - z[r][c]), or 0 where t is ignore_index; reduction   \
       0 mean, over the sum of the w[t] that count, 1 sum (both: loss[0]), 2 none (loss[N]) */    \
    typedef int etude_cross_entropy_fn_##T(etude_context *ctx, const real *x, const int64_t       \
        *target, const real *weight, real *loss, real *top, real *log_sum, int64_t N, int64_t C,  \
        double reduction, double ignore_index, double label_smoothing);                           \
    typedef int etude_cross_entropy_backward_fn_##T(etude_context *ctx, const real *grad,         \
        const real *x, const int64_t *target, const real *weight, const real *top,                \
        const real *log_sum, real *dx, int64_t N, int64_t C, double reduction,                    \
        double ignore_index, double label_smoothing);                                             \
    /* y = (x - mean) rstd weight + bias, row by row; weight and bias: cols or NULL */            \
    typedef int etude_norm_fn_##T(etude_context *ctx, const real *x, const real *weight,          \
        const real *bias, real *y, real *mean, real *rstd, int64_t rows, int64_t cols,            \
        double eps);                                                                              \
    typedef int etude_norm_backward_fn_##T(etude_context *ctx, const real *grad, const real *x,   \
        const real *weight, const real *mean, const real *rstd, real *dx, real *dweight,          \
        real *dbias, int64_t rows, int64_t cols);                                                 \
    /* eps NaN: that of real, 2^-23 or 2^-52 */                                                   \
    typedef int etude_rms_norm_fn_##T(etude_context *ctx, const real *x, const real *weight,      \
        real *y, real *rstd, int64_t rows, int64_t cols, double eps);                             \
    typedef int etude_rms_norm_backward_fn_##T(etude_context *ctx, const real *grad,              \
        const real *x, const real *weight, const real *rstd, real *dx, real *dweight,             \
        int64_t rows, int64_t cols);                                                              \
    /* x, y, grad, dx: N x C x inner; the others: C; weight and bias may be NULL */               \
    typedef int etude_batch_norm_fn_##T(etude_context *ctx, const real *x, const real *weight,    \
        const real *bias, real *y, real *mean, real *var, int64_t N, int64_t C, int64_t inner,    \
        double eps);                                                                              \
    typedef int etude_batch_norm_backward_fn_##T(etude_context *ctx, const real *grad,            \
        const real *x, const real *weight, const real *mean, const real *var, real *dx,           \
        real *dweight, real *dbias, int64_t N, int64_t C, int64_t inner, double eps);             \
    typedef int etude_batch_norm_eval_fn_##T(etude_context *ctx, const real *x, const real *mean, \
        const real *var, const real *weight, const real *bias, real *y, int64_t N, int64_t C,     \
        int64_t inner, double eps);                                                               \
    /* reduction 0 mean, 1 sum (both: loss[0]), 2 none (loss[n]) */                               \
    typedef int etude_loss_fn_##T(etude_context *ctx, const real *x, const real *target,          \
        real *loss, int64_t n, double reduction);                                                 \
    /* y = softmax(query key^T scale) value for each of batch, scale 1 / sqrt D where it is NaN;  \
       query, dquery: L x D; key, dkey: S x D; value, dvalue: S x E; y, grad: L x E; top, log_sum:\
       L, the largest score and log sum exp(score - top). top is 0 where the largest score is     \
       infinite, of either sign, or NaN; log_sum then follows: -inf where all scores are -inf, and\
       the row of y is 0; inf or NaN where one is inf or NaN, and the row of y is NaN. mask_kind  \
       0: mask is NULL; 1: bool, one byte each, true takes part; 2: real, the dtype of query, for \
       another is refused before, added to the scores. That of score l, s of one b of batch is at \
       b / count * outer + b % count * inner + l * row + s * column, in elements, / and % as in C;\
       a step is 0 where the mask is repeated */                                                  \
    typedef int etude_attention_fn_##T(etude_context *ctx, const real *query, const real *key,    \
        const real *value, const void *mask, real *y, real *top, real *log_sum, int64_t batch,    \
        int64_t L, int64_t S, int64_t D, int64_t E, double is_causal, double scale, int64_t       \
        mask_kind, int64_t count, int64_t outer, int64_t inner, int64_t row, int64_t column);     \
    typedef int etude_attention_backward_fn_##T(etude_context *ctx, const real *grad,             \
        const real *query, const real *key, const real *value, const void *mask, const real *y,   \
        const real *top, const real *log_sum, real *dquery, real *dkey, real *dvalue, int64_t     \
        batch, int64_t L, int64_t S, int64_t D, int64_t E, double is_causal, double scale, int64_t\
        mask_kind, int64_t count, int64_t outer, int64_t inner, int64_t row, int64_t column);     \
    /* key: [seed, call], Philox 4x64-10 */                                                       \
    typedef int etude_rand_fn_##T(etude_context *ctx, const int64_t *key, real *y, int64_t n);    \
    typedef int etude_dropout_fn_##T(etude_context *ctx, const real *x, const int64_t *key,       \
        real *y, int64_t n, double p);                                                            \
    /* hyper: lr, momentum, weight_decay. Outputs may be p and v. */                              \
    typedef int etude_sgd_fn_##T(etude_context *ctx, const real *p, const real *g, const real *v, \
        const double *hyper, real *p_out, real *v_out, int64_t n, double nesterov);               \
    /* hyper: lr, beta1, beta2, eps, weight_decay, c1, c2. Outputs may be p, m and v. In rmsprop  \
       v and a momentum buffer are in the places of m and v, hyper: lr, alpha, eps, weight_decay, \
       momentum. */                                                                               \
    typedef int etude_adamw_fn_##T(etude_context *ctx, const real *p, const real *g,              \
        const real *m, const real *v, const double *hyper, real *p_out, real *m_out, real *v_out, \
        int64_t n);

ETUDE_FUNCTION_TYPES(float, f32)
ETUDE_FUNCTION_TYPES(double, f64)
ETUDE_FUNCTION_TYPES(int64_t, i64)
ETUDE_FUNCTION_TYPES(uint8_t, b8)

#ifdef __cplusplus
}
#endif
#endif
