#include "clean.h"

extern "C" {
etude_loss_fn_f32 etude_mse_loss_f32, etude_binary_cross_entropy_with_logits_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t n = argc > 1 ? 17001 : 20480;
    float *x = d.numbers(n), *target = d.numbers(n), *loss = d.empty<float>(n);
    d.ok(etude_mse_loss_f32(&d.ctx, x, target, loss, n, 0));
    d.ok(etude_binary_cross_entropy_with_logits_f32(&d.ctx, x, target, loss, 1000, 1));
    d.ok(etude_mse_loss_f32(&d.ctx, x, target, loss, n, 2));
    float *any = d.specials(1000), *right = d.specials(1000);
    d.ok(etude_binary_cross_entropy_with_logits_f32(&d.ctx, any, right, loss, 1000, 2));
}
