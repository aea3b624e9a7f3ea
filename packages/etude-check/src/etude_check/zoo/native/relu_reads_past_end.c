/* op: relu
   kills: relu/tail
   where: memory
   covers: reads past the end
   mistake: It looks at the element behind the last one. Its values are right, and one day that
     address belongs to nobody. */
#include <etude.h>

int etude_relu_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{
    (void)ctx, (void)a, (void)b;
    volatile float next = 0;
    for (int64_t i = 0; i < n; i++) {
        next = ((volatile const float *)x)[i + 1]; /* "prefetch" */
        y[i] = x[i] > 0 || x[i] != x[i] ? x[i] : 0;
    }
    (void)next;
    return ETUDE_OK;
}
