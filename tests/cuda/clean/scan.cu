#include "clean.h"

extern "C" {
etude_scan_fn_f32 etude_cumsum_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t n = argc > 1 ? 9601 : 10240, rows = argc > 1 ? 45 : 64;
    float *x = d.numbers(n), *y = d.empty<float>(n);
    d.ok(etude_cumsum_f32(&d.ctx, x, y, 1, n, 1)); /* two segments */
    d.ok(etude_cumsum_f32(&d.ctx, x, y, rows, 64, 1));
    d.ok(etude_cumsum_f32(&d.ctx, x, y, 2, 30, rows));
    d.ok(etude_cumsum_f32(&d.ctx, x, y, 1, 300, 32)); /* two segments */
    if (argc > 1) {
        d.ok(etude_cumsum_f32(&d.ctx, x, y, 2, 4500, 1)); /* two segments of two rows */
        d.ok(etude_cumsum_f32(&d.ctx, x, y, 3, 600, 5));
        d.ok(etude_cumsum_f32(&d.ctx, x, y, 9, 3, 1)); /* a thread has a row */
        d.ok(etude_cumsum_f32(&d.ctx, x, y, 3, 700, 1)); /* a warp */
        float *zeros = d.given(std::vector<float>(100, -0.0f));
        d.ok(etude_cumsum_f32(&d.ctx, zeros, zeros, 4, 25, 1)); /* in place */
    }
}
