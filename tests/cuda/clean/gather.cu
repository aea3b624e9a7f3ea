#include "clean.h"

extern "C" {
etude_gather_fn_f32 etude_gather_f32;
etude_scatter_add_fn_f32 etude_scatter_add_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t n = 40, inner = argc > 1 ? 13 : 32, count = 5000;
    float *x = d.numbers(2 * n * inner), *y = d.empty<float>(2 * n * inner);
    int64_t *index = d.indices(2 * n * inner, n);
    d.ok(etude_gather_f32(&d.ctx, x, index, y, 2, n, n, inner));
    d.ok(etude_scatter_add_f32(&d.ctx, index, x, y, 2, n, n, inner));
    if (argc > 1) { /* sorted: elements go where their index says */
        int64_t *many = d.indices(2 * count, n);
        float *added = d.numbers(2 * count), *sums = d.numbers(2 * 150 * n);
        d.ok(etude_scatter_add_f32(&d.ctx, many, added, sums, 1, n, count, 1));
        d.ok(etude_scatter_add_f32(&d.ctx, d.indices(2 * count, 150 * n), added, sums, 2, 150 * n,
                                   count, 1)); /* by two digits */
        int64_t *wild = d.indices(count, 9 * n); /* out of range */
        d.ok(etude_scatter_add_f32(&d.ctx, wild, added, d.numbers(n), 1, n, count, 1),
             ETUDE_BAD_INDEX);
        d.ok(etude_gather_f32(&d.ctx, x, wild, y, 2, n, n, inner), ETUDE_BAD_INDEX);
        d.ok(etude_scatter_add_f32(&d.ctx, wild, x, y, 2, n, n, inner), ETUDE_BAD_INDEX);
    }
}
