/* step.cu: one step of SGD with momentum, of Adam, AdamW and RMSprop.
   Reference: packages/etude/src/etude/ops/step.py. On the CPU: c_src/cpu/step.c.

   Plan. One pass over memory, 16 bytes at a time: p, g and the moments are read once and written
   once, in place where the caller says so (out=). A kernel takes a table of pointers, one row for a
   parameter, so that the many small parameters of a model are one launch (etude_steps_...); a call
   of the op is a table of one row. A block takes CHUNK numbers of one parameter, which it finds by
   the number of its row's first block. What depends on hyper alone is worked out in double and
   rounded once, by one thread of a block, since hyper is memory of the device. ETUDE_REAL is 32 or
   64. */
#include "kernel.cuh"

enum {
    CHUNK = 4 * THREADS * PACK, /* numbers of a block */
    MOST_ROWS = 48,             /* of a table: with its rows it fits the arguments of a kernel */
    STEP_RESIDENT = 2           /* as RESIDENT: doubles of so many arrays take registers */
};

/* One parameter. first and second are its moments, in the op's order. */
extern "C" struct etude_step_row {
    const real *p, *g, *first, *second;
    real *p_out, *first_out, *second_out;
    int64_t n;
};

struct step_table {
    etude_step_row row[MOST_ROWS];
    unsigned end[MOST_ROWS]; /* the block after the last of a row */
    uint64_t even;           /* bit r: all arrays of row r begin at 16 bytes */
};

/* ---- The rules: what becomes of one number --------------------------------------------------- */

namespace {

struct sgd_rule {
    enum { MOMENTS = 1 };
    struct numbers {
        real lr, momentum, decay;
    };
    bool nesterov;

    ETUDE_METHOD numbers of(const double *hyper) const
    {
        return {(real)hyper[0], (real)hyper[1], (real)hyper[2]};
    }
    ETUDE_METHOD void move(const numbers &s, real &p, real g, real &v, real &) const
    {
        g = g + s.decay * p;
        v = s.momentum * v + g;
        p = p - s.lr * (nesterov ? g + s.momentum * v : v);
    }
};

/* adam adds the decay to the gradient; adamw shrinks p by `keep`. */
template <bool DECOUPLED> struct adam_rule {
    enum { MOMENTS = 2 };
    struct numbers {
        real keep, decay, beta1, rest1, beta2, rest2, root, eps, rate;
    };

    ETUDE_METHOD numbers of(const double *hyper) const
    {
        double lr = hyper[0], beta1 = hyper[1], beta2 = hyper[2], decay = hyper[4];
        return {(real)(DECOUPLED ? 1 - lr * decay : 1), (real)(DECOUPLED ? 0 : decay),
                (real)beta1, (real)(1 - beta1), (real)beta2, (real)(1 - beta2),
                (real)sqrt(hyper[6]), (real)hyper[3], (real)(lr / hyper[5])};
    }
    ETUDE_METHOD void move(const numbers &s, real &p, real g, real &m, real &v) const
    {
        if (!DECOUPLED)
            g = g + s.decay * p;
        m = s.beta1 * m + s.rest1 * g;
        v = s.beta2 * v + s.rest2 * g * g; /* not g * g first, which might overflow */
        real size = sqrt_of(v) / s.root + s.eps;
        p = p * s.keep - s.rate * (m / size);
    }
};

struct rmsprop_rule {
    enum { MOMENTS = 2 };
    struct numbers {
        real lr, alpha, rest, eps, decay, momentum;
    };

    ETUDE_METHOD numbers of(const double *hyper) const
    {
        return {(real)hyper[0], (real)hyper[1], (real)(1 - hyper[1]),
                (real)hyper[2], (real)hyper[3], (real)hyper[4]};
    }
    ETUDE_METHOD void move(const numbers &s, real &p, real g, real &v, real &buffer) const
    {
        g = g + s.decay * p;
        v = s.alpha * v + s.rest * g * g; /* not g * g first, which might overflow */
        buffer = s.momentum * buffer + g / (sqrt_of(v) + s.eps);
        p = p - s.lr * buffer;
    }
};

} // namespace

/* ---- The walk -------------------------------------------------------------------------------- */

/* N numbers at i. */
template <int N, class Rule>
ETUDE_DEVICE void move_pack(const Rule &rule, const typename Rule::numbers &s,
                            const etude_step_row &row, int64_t i)
{
    pack<N> p = load<N>(row.p + i), g = load<N>(row.g + i), first = load<N>(row.first + i);
    pack<N> second = {};
    if (Rule::MOMENTS == 2)
        second = load<N>(row.second + i);
#pragma unroll
    for (int e = 0; e < N; e++)
        rule.move(s, p.at[e], g.at[e], first.at[e], second.at[e]);
    store<N>(row.p_out + i, p);
    store<N>(row.first_out + i, first);
    if (Rule::MOMENTS == 2)
        store<N>(row.second_out + i, second);
}

template <class Rule>
static __global__ void __launch_bounds__(THREADS, STEP_RESIDENT)
    step_kernel(Rule rule, step_table table, const double *hyper)
{
    typedef typename Rule::numbers numbers;
    __shared__ numbers shared;
    if (threadIdx.x == 0)
        shared = rule.of(hyper);
    __syncthreads();
    numbers s = shared;
    int r = 0;
    while (blockIdx.x >= table.end[r])
        r++;
    const etude_step_row &row = table.row[r];
    int64_t begin = (int64_t)(blockIdx.x - (r ? table.end[r - 1] : 0)) * CHUNK;
    int64_t end = least(row.n, begin + CHUNK), whole = begin;
    if (table.even >> r & 1) {
        whole = end - (end - begin) % PACK;
#pragma unroll 1
        for (int64_t i = begin + threadIdx.x * PACK; i < whole; i += (int)blockDim.x * PACK)
            move_pack<PACK>(rule, s, row, i);
    }
#pragma unroll 1
    for (int64_t i = whole + threadIdx.x; i < end; i += blockDim.x)
        move_pack<1>(rule, s, row, i);
}

static bool even_row(const etude_step_row &row)
{
    return aligned(row.p) && aligned(row.g) && aligned(row.first) && aligned(row.second) &&
           aligned(row.p_out) && aligned(row.first_out) && aligned(row.second_out);
}

/* All parameters, MOST_ROWS with each launch. */
template <class Rule>
static int steps(etude_context *ctx, const char *op, Rule rule, const etude_step_row *rows,
                 int64_t count, const double *hyper)
{
    int status = ETUDE_OK;
    for (int64_t from = 0; from < count && status == ETUDE_OK; from += MOST_ROWS) {
        step_table table = {};
        int64_t blocks = 0, longest = 0;
        int used = (int)least(count - from, MOST_ROWS);
        for (int r = 0; r < used; r++) {
            table.row[r] = rows[from + r];
            blocks += pieces(rows[from + r].n, CHUNK);
            table.end[r] = (unsigned)blocks;
            table.even |= (uint64_t)even_row(rows[from + r]) << r;
            longest = most(longest, rows[from + r].n);
        }
        if (blocks == 0)
            continue;
        step_kernel<<<(unsigned)blocks, threads_for(pieces(longest, PACK)), 0, stream_of(ctx)>>>(
            rule, table, hyper);
        status = launched(ctx, op);
    }
    return status;
}

/* ---- Entries --------------------------------------------------------------------------------- */

/* ETUDE_STEPS(sgd_step) begins the definition of etude_steps_sgd_step_f32: many parameters. */
#define ETUDE_STEPS(op) extern "C" int ETUDE_NAME(steps_##op)

extern "C" {
int ETUDE_NAME(steps_sgd_step)(etude_context *, const etude_step_row *, int64_t, const double *,
                               double);
int ETUDE_NAME(steps_adamw_step)(etude_context *, const etude_step_row *, int64_t, const double *);
int ETUDE_NAME(steps_adam_step)(etude_context *, const etude_step_row *, int64_t, const double *);
int ETUDE_NAME(steps_rmsprop_step)(etude_context *, const etude_step_row *, int64_t,
                                   const double *);
}

ETUDE_STEPS(sgd_step)(etude_context *ctx, const etude_step_row *rows, int64_t count,
                      const double *hyper, double nesterov)
{
    return steps(ctx, "sgd_step", sgd_rule{nesterov != 0}, rows, count, hyper);
}

ETUDE_STEPS(adamw_step)(etude_context *ctx, const etude_step_row *rows, int64_t count,
                        const double *hyper)
{
    return steps(ctx, "adamw_step", adam_rule<true>{}, rows, count, hyper);
}

ETUDE_STEPS(adam_step)(etude_context *ctx, const etude_step_row *rows, int64_t count,
                       const double *hyper)
{
    return steps(ctx, "adam_step", adam_rule<false>{}, rows, count, hyper);
}

ETUDE_STEPS(rmsprop_step)(etude_context *ctx, const etude_step_row *rows, int64_t count,
                          const double *hyper)
{
    return steps(ctx, "rmsprop_step", rmsprop_rule{}, rows, count, hyper);
}

ETUDE_KERNEL(sgd, sgd_step)(etude_context *ctx, const real *p, const real *g, const real *v,
                            const double *hyper, real *p_out, real *v_out, int64_t n,
                            double nesterov)
{
    etude_step_row row = {p, g, v, NULL, p_out, v_out, NULL, n};
    return ETUDE_NAME(steps_sgd_step)(ctx, &row, 1, hyper, nesterov);
}

#define STEP(op)                                                                                  \
    ETUDE_KERNEL(adamw, op)(etude_context * ctx, const real *p, const real *g, const real *first, \
                            const real *second, const double *hyper, real *p_out,                 \
                            real *first_out, real *second_out, int64_t n)                         \
    {                                                                                             \
        etude_step_row row = {p, g, first, second, p_out, first_out, second_out, n};              \
        return ETUDE_NAME(steps_##op)(ctx, &row, 1, hyper);                                       \
    }

STEP(adamw_step)
STEP(adam_step)
STEP(rmsprop_step)
