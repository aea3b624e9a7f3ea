#include "clean.h"

extern "C" {
etude_sgd_fn_f32 etude_sgd_step_f32;
etude_adamw_fn_f32 etude_adamw_step_f32, etude_rmsprop_step_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t n = argc > 1 ? 1001 : 8192;
    float *p = d.numbers(n), *g = d.numbers(n), *m = d.given(std::vector<float>((size_t)n, 0.5f));
    float *v = d.given(std::vector<float>((size_t)n, 0.5f));
    double *hyper = d.given(std::vector<double>{0.1, 0.9, 0.99, 1e-8, 0.01, 0.1, 0.01});
    d.ok(etude_sgd_step_f32(&d.ctx, p, g, v, hyper, p, v, n, 1));
    d.ok(etude_adamw_step_f32(&d.ctx, p, g, m, v, hyper, p, m, v, n));
    d.ok(etude_rmsprop_step_f32(&d.ctx, p, g, v, m, hyper, p, v, m, n));
}
