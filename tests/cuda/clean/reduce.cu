#include "clean.h"

extern "C" {
etude_reduce_fn_f32 etude_sum_f32, etude_mean_f32, etude_amax_f32, etude_amin_f32;
etude_argreduce_fn_f32 etude_argmax_f32, etude_argmin_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t odd = argc > 1, rows = 33, cols = odd ? 45 : 64, n = odd ? 20001 : 20480;
    float *x = d.numbers(n), *y = d.empty<float>(n);
    int64_t *at = d.empty<int64_t>(n);
    d.ok(etude_sum_f32(&d.ctx, x, y, rows, cols, 1));
    d.ok(etude_mean_f32(&d.ctx, x, y, 1, n, 1)); /* two segments */
    d.ok(etude_amax_f32(&d.ctx, x, y, 2, rows, cols));
    d.ok(etude_sum_f32(&d.ctx, x, y, 1, n / 16, 16));
    d.ok(etude_argmax_f32(&d.ctx, x, at, rows, cols, 1));
    d.ok(etude_argmax_f32(&d.ctx, x, at, 1, rows, cols));
    d.ok(etude_argmin_f32(&d.ctx, x, at, 1, n, 1));
    float *ties = d.specials(rows * cols); /* and NaN */
    d.ok(etude_amax_f32(&d.ctx, ties, y, rows, cols, 1));
    d.ok(etude_amin_f32(&d.ctx, ties, y, 1, rows, cols));
    d.ok(etude_argmax_f32(&d.ctx, ties, at, rows, cols, 1));
    d.ok(etude_argmin_f32(&d.ctx, ties, at, 1, rows, cols));
    if (odd) {
        std::vector<float> below(180);
        for (size_t i = 0; i < below.size(); i++)
            below[i] = -1 - (float)(i * 7 % 11);
        float *negative = d.given(below); /* threads without numbers have 0, which is no maximum */
        d.ok(etude_argmax_f32(&d.ctx, negative, at, 5, 36, 1));
        d.ok(etude_argmax_f32(&d.ctx, negative, at, 4, 5, 9));
        d.ok(etude_sum_f32(&d.ctx, x, y, 3, 2501, 1)); /* a block for each row */
        d.ok(etude_sum_f32(&d.ctx, x, y, 7, 3, 1));    /* a thread */
        d.ok(etude_sum_f32(&d.ctx, x, y, 2, 1100, 9)); /* two segments of columns */
        d.ok(etude_sum_f32(&d.ctx, x, y, 5, 3, 37));
        d.ok(etude_sum_f32(&d.ctx, x + 1, y, 1, 1000, 1)); /* not at 16 bytes */
    }
}
