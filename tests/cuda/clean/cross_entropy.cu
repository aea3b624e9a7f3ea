#include "clean.h"

extern "C" {
etude_cross_entropy_fn_f32 etude_cross_entropy_f32;
etude_cross_entropy_backward_fn_f32 etude_cross_entropy_backward_f32;
}

enum { MEAN, SUM, NONE };
static const int64_t IGNORE = 6;

/* Forward and backward; `expected` is the status of both. */
static void both(Device &d, int64_t rows, int64_t cols, const float *x, const int64_t *target,
                 const float *w, int reduction, double smoothing, int expected = ETUDE_OK)
{
    float *loss = d.empty<float>(reduction == NONE ? rows : 1), *top = d.empty<float>(rows);
    float *log_sum = d.empty<float>(rows), *grad = d.numbers(rows);
    float *dx = d.empty<float>(rows * cols);
    d.ok(etude_cross_entropy_f32(&d.ctx, x, target, w, loss, top, log_sum, rows, cols, reduction,
                                 IGNORE, smoothing), expected);
    d.ok(etude_cross_entropy_backward_f32(&d.ctx, grad, x, target, w, top, log_sum, dx, rows, cols,
                                          reduction, IGNORE, smoothing), expected);
}

int main(int argc, char **)
{
    Device d;
    for (int64_t cols : {argc > 1 ? 71 : 72, argc > 1 ? 1101 : 1100}) { /* a warp, a block */
        int64_t rows = 9;
        int64_t *target = d.given(std::vector<int64_t>{3, 0, IGNORE, cols - 1, 3, 7, 3, 31, 32});
        float *x = d.numbers(rows * cols), *w = d.numbers(cols);
        for (int reduction : {MEAN, SUM, NONE}) {
            both(d, rows, cols, x, target, w, reduction, 0.1);
            both(d, rows, cols, x, target, NULL, reduction, 0);
        }
        both(d, rows, cols, d.specials(rows * cols), target, NULL, NONE, 0.1);
        both(d, rows, cols, x, d.given(std::vector<int64_t>((size_t)rows, IGNORE)), w, MEAN, 0);
        both(d, rows, cols, x, target, d.scaled(cols, 0), MEAN, 0); /* no label weighs anything */
        for (int64_t label : {(int64_t)-1, cols})
            both(d, rows, cols, x, d.given(std::vector<int64_t>{0, label, 1, 2, 3, 4, 5, 7, 8}), w,
                 MEAN, 0, ETUDE_BAD_INDEX);
    }
}
