#include "clean.h"

extern "C" {
etude_topk_fn_f32 etude_topk_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t n = argc > 1 ? 45 : 64;
    float *x = d.numbers(2 * n * n), *y = d.empty<float>(2 * n * n);
    int64_t *index = d.empty<int64_t>(2 * n * n);
    d.ok(etude_topk_f32(&d.ctx, x, y, index, 2 * n, n, 1, 5, 1));
    if (argc > 1) /* elements go where their keys say */
        d.ok(etude_topk_f32(&d.ctx, x, y, index, 2, n, n, n, 0));
}
