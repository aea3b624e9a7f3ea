/* op: sum
   kills: sum/threads
   where: parallel
   covers: non-atomic reduction
   mistake: All threads add to one total. Read, add, write is not one step: what another thread wrote
     in between is lost. */
#include <etude.h>

struct sum {
    const float *x;
    volatile double total;
};

static void add(void *arg, int64_t begin, int64_t end)
{
    struct sum *s = arg;
    for (int64_t i = begin; i < end; i++)
        s->total += s->x[i];
}

int etude_sum_f32(etude_context *ctx, const float *x, float *y, int64_t outer, int64_t n,
                  int64_t inner)
{
    if (inner != 1) { /* columns: one after another */
        for (int64_t o = 0; o < outer; o++)
            for (int64_t i = 0; i < inner; i++) {
                double total = 0;
                for (int64_t j = 0; j < n; j++)
                    total += x[(o * n + j) * inner + i];
                y[o * inner + i] = (float)total;
            }
        return ETUDE_OK;
    }
    for (int64_t o = 0; o < outer; o++) {
        struct sum s = {x + o * n, 0};
        etude_parallel_for(ctx, add, &s, n, 4096);
        y[o] = (float)s.total;
    }
    return ETUDE_OK;
}
