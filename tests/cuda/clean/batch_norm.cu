#include "clean.h"

extern "C" {
etude_batch_norm_fn_f32 etude_batch_norm_f32;
etude_batch_norm_backward_fn_f32 etude_batch_norm_backward_f32;
etude_batch_norm_eval_fn_f32 etude_batch_norm_eval_f32;
}

int main(int argc, char **)
{
    Device d;
    for (int64_t inner : {0, 1, argc > 1 ? 77 : 80}) {
        int64_t N = 70, C = argc > 1 ? 5 : 35, all = N * C * inner;
        float *x = d.numbers(all), *w = d.numbers(C), *b = d.numbers(C), *y = d.empty<float>(all);
        float *mean = d.empty<float>(C), *var = d.empty<float>(C);
        float *dw = d.empty<float>(C), *db = d.empty<float>(C);
        d.ok(etude_batch_norm_f32(&d.ctx, x, w, b, y, mean, var, N, C, inner, 1e-5));
        d.ok(etude_batch_norm_eval_f32(&d.ctx, x, mean, var, w, b, y, N, C, inner, 1e-5));
        d.ok(etude_batch_norm_backward_f32(&d.ctx, x, x, w, mean, var, y, dw, db, N, C, inner,
                                           1e-5));
    }
}
