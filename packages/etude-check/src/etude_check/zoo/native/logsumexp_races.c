/* op: logsumexp
   kills: logsumexp/threads
   where: parallel
   covers: non-atomic reduction
   mistake: All threads add to one total. Read, add, write is not one step: what another thread wrote
     in between is lost. */
#include <etude.h>
#include <math.h>

struct sum {
    const float *x;
    volatile double top, total;
};

static void add(void *arg, int64_t begin, int64_t end)
{
    struct sum *s = arg;
    for (int64_t i = begin; i < end; i++) {
        double before = s->total; /* what is read here is old when it is written back */
        s->total = before + exp((double)s->x[i] - s->top);
    }
}

static void largest(void *arg, int64_t begin, int64_t end)
{
    struct sum *s = arg;
    for (int64_t i = begin; i < end; i++)
        if (s->x[i] > s->top || s->x[i] != s->x[i])
            s->top = s->x[i];
}

static float one(etude_context *ctx, const float *x, int64_t n, int64_t step)
{
    if (step != 1) { /* a column: one after another */
        double top = -INFINITY, total = 0;
        for (int64_t j = 0; j < n; j++)
            if (x[j * step] > top || x[j * step] != x[j * step])
                top = x[j * step];
        if (isinf(top))
            return (float)top;
        for (int64_t j = 0; j < n; j++)
            total += exp((double)x[j * step] - top);
        return (float)(top + log(total));
    }
    struct sum s = {x, -INFINITY, 0};
    etude_parallel_for(ctx, largest, &s, n, 1024);
    if (isinf(s.top))
        return (float)s.top;
    etude_parallel_for(ctx, add, &s, n, 1024);
    return (float)(s.top + log(s.total));
}

int etude_logsumexp_f32(etude_context *ctx, const float *x, float *y, int64_t outer, int64_t n,
                        int64_t inner)
{
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++)
            y[o * inner + i] = one(ctx, x + o * n * inner + i, n, inner);
    return ETUDE_OK;
}
