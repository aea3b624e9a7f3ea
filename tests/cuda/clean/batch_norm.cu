#include "clean.h"

extern "C" {
etude_batch_norm_fn_f32 etude_batch_norm_f32;
etude_batch_norm_backward_fn_f32 etude_batch_norm_backward_f32;
etude_batch_norm_eval_fn_f32 etude_batch_norm_eval_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t N = 4, C = 3, inner = argc > 1 ? 45 : 64, n = N * C * inner;
    float *x = d.numbers(n), *g = d.numbers(n), *w = d.numbers(C), *b = d.numbers(C);
    float *y = d.empty<float>(n), *mean = d.empty<float>(C), *var = d.empty<float>(C);
    float *dw = d.empty<float>(C), *db = d.empty<float>(C);
    d.ok(etude_batch_norm_f32(&d.ctx, x, w, b, y, mean, var, N, C, inner, 1e-5));
    d.ok(etude_batch_norm_eval_f32(&d.ctx, x, mean, var, w, b, y, N, C, inner, 1e-5));
    d.ok(etude_batch_norm_backward_f32(&d.ctx, g, x, w, mean, var, y, dw, db, N, C, inner, 1e-5));
}
