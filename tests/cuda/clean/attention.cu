#include "clean.h"

extern "C" {
etude_attention_fn_f32 etude_scaled_dot_product_attention_f32;
etude_attention_backward_fn_f32 etude_attention_backward_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t B = 2, L = argc > 1 ? 21 : 64, D = argc > 1 ? 13 : 32, n = B * L * D;
    float *q = d.numbers(n), *k = d.numbers(n), *v = d.numbers(n), *g = d.numbers(n);
    float *y = d.empty<float>(n), *top = d.empty<float>(B * L), *log_sum = d.empty<float>(B * L);
    float *dq = d.empty<float>(n), *dk = d.empty<float>(n), *dv = d.empty<float>(n);
    d.ok(etude_scaled_dot_product_attention_f32(&d.ctx, q, k, v, NULL, y, top, log_sum, B, L, L, D, D,
                                                1, NAN, 0, 1, 0, 0, 0, 0));
    d.ok(etude_attention_backward_f32(&d.ctx, g, q, k, v, NULL, y, top, log_sum, dq, dk, dv, B, L, L,
                                      D, D, 1, NAN, 0, 1, 0, 0, 0, 0));
}
