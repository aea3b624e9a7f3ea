#include "clean.h"

extern "C" {
etude_attention_fn_f32 etude_scaled_dot_product_attention_f32;
etude_attention_backward_fn_f32 etude_attention_backward_f32;
}

enum { NONE, BOOL, REAL }; /* kinds of masks */

/* Forward and backward. The mask is L x S, one for all problems. Queries lie around `far`, and keys
   around -far. */
static void both(Device &d, int64_t batch, int64_t L, int64_t S, int64_t D, int64_t E, int causal,
                 const void *mask, int kind, float far = 0)
{
    float *q = d.numbers(batch * L * D, far), *k = d.numbers(batch * S * D, -far);
    float *v = d.numbers(batch * S * E), *y = d.empty<float>(batch * L * E);
    float *top = d.empty<float>(batch * L), *log_sum = d.empty<float>(batch * L);
    float *dq = d.empty<float>(batch * L * D), *dk = d.empty<float>(batch * S * D);
    float *dv = d.empty<float>(batch * S * E), *grad = d.numbers(batch * L * E);
    d.ok(etude_scaled_dot_product_attention_f32(&d.ctx, q, k, v, mask, y, top, log_sum, batch, L, S,
                                                D, E, causal, NAN, kind, 1, 0, 0, S, 1));
    d.ok(etude_attention_backward_f32(&d.ctx, grad, q, k, v, mask, y, top, log_sum, dq, dk, dv,
                                      batch, L, S, D, E, causal, NAN, kind, 1, 0, 0, S, 1));
}

int main(int argc, char **)
{
    Device d;
    int64_t odd = argc > 1, L = odd ? 67 : 64, S = odd ? 70 : 128, D = odd ? 5 : 8;
    both(d, 1, L, S, D, D, 1, NULL, NONE);
    both(d, 2, L, S, D, odd ? 66 : 68, 0, NULL, NONE); /* two blocks of columns */
    both(d, 1, L, S, D, D, 0, NULL, NONE, 9); /* scores that are far below 0 */
    std::vector<uint8_t> seen((size_t)(L * S));
    std::vector<float> added(seen.size());
    for (size_t i = 0; i < seen.size(); i++) {
        seen[i] = i / S != 3 && i % 3 == 0; /* query 3 sees nothing */
        added[i] = (int64_t)i == 5 * S + 7 ? NAN : (float)(i % 7) - 3;
    }
    both(d, 1, L, S, D, D, 0, d.given(seen), BOOL);
    both(d, 1, L, S, D, D, 0, d.given(added), REAL);
}
