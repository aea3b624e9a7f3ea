#include "clean.h"

extern "C" {
etude_attention_fn_f32 etude_scaled_dot_product_attention_f32;
etude_attention_backward_fn_f32 etude_attention_backward_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t odd = argc > 1, L = odd ? 67 : 64, S = odd ? 70 : 128, D = odd ? 5 : 8;
    float *q = d.numbers(L * D), *k = d.numbers(S * D), *v = d.numbers(S * D);
    float *y = d.empty<float>(L * D), *top = d.empty<float>(L), *log_sum = d.empty<float>(L);
    float *dq = d.empty<float>(L * D), *dk = d.empty<float>(S * D), *dv = d.empty<float>(S * D);
    float *grad = d.numbers(L * D);
    uint8_t *mask = d.bools(L * S);
    for (int causal : {0, 1}) {
        int kind = causal ? 0 : 1;
        d.ok(etude_scaled_dot_product_attention_f32(&d.ctx, q, k, v, kind ? mask : NULL, y, top,
                                                    log_sum, 1, L, S, D, D, causal, NAN, kind, 1,
                                                    0, 0, S, 1));
        d.ok(etude_attention_backward_f32(&d.ctx, grad, q, k, v, kind ? mask : NULL, y, top,
                                          log_sum, dq, dk, dv, 1, L, S, D, D, causal, NAN, kind, 1,
                                          0, 0, S, 1));
    }
}
