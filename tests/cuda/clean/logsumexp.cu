#include "clean.h"

extern "C" {
etude_reduce_fn_f32 etude_logsumexp_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t rows = 9, cols = argc > 1 ? 45 : 64, wide = argc > 1 ? 2501 : 4096;
    float *x = d.numbers(2 * wide + rows * cols), *y = d.empty<float>(rows * cols);
    d.ok(etude_logsumexp_f32(&d.ctx, x, y, rows, cols, 1));
    d.ok(etude_logsumexp_f32(&d.ctx, x, y, 2, wide, 1));
    d.ok(etude_logsumexp_f32(&d.ctx, x, y, 1, rows, cols));
}
