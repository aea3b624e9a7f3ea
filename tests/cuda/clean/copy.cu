#include "clean.h"

extern "C" {
etude_copy_fn_f32 etude_contiguous_f32;
etude_cast_fn_f32 etude_cast_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t m = argc > 1 ? 45 : 64, n = argc > 1 ? 37 : 96;
    float *x = d.numbers(3 * m * n), *y = d.empty<float>(3 * m * n);
    int64_t rows[16] = {3, m, n}, columns[16] = {3, n, m}, in_order[16] = {m * n, n, 1};
    int64_t turned[16] = {m * n, 1, n}, written[16] = {m * n, m, 1};
    int64_t half[16] = {3, m, n / 2}, strided[16] = {m * n, n, 2};
    int64_t four[16] = {3, 5, m / 5, n}, four_x[16] = {m * n, n, 5 * n, 1};
    int64_t four_y[16] = {m * n, m / 5 * n, n, 1}, backward[16] = {m * n, n, -1};
    d.ok(etude_contiguous_f32(&d.ctx, x, y, 3, rows, in_order, in_order));
    d.ok(etude_contiguous_f32(&d.ctx, x, y, 3, columns, turned, written)); /* a transpose */
    if (argc > 1) {
        d.ok(etude_contiguous_f32(&d.ctx, x, y, 3, half, strided, in_order));
        d.ok(etude_contiguous_f32(&d.ctx, x, y, 3, half, in_order, strided));
        d.ok(etude_contiguous_f32(&d.ctx, x + n - 1, y, 3, rows, backward, in_order));
        d.ok(etude_contiguous_f32(&d.ctx, x, y, 4, four, four_x, four_y));
    }
    d.ok(etude_cast_f32(&d.ctx, d.indices(m * n, 9), y, m * n, ETUDE_I64));
    d.ok(etude_cast_f32(&d.ctx, d.bools(m * n), y, m * n, ETUDE_B8));
}
