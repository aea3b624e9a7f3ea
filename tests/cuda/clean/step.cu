#include "clean.h"

extern "C" {
etude_sgd_fn_f32 etude_sgd_step_f32;
etude_adamw_fn_f32 etude_adam_step_f32, etude_adamw_step_f32, etude_rmsprop_step_f32;

struct etude_step_row {
    const float *p, *g, *first, *second;
    float *p_out, *first_out, *second_out;
    int64_t n;
};
int etude_steps_adam_step_f32(etude_context *, const etude_step_row *, int64_t, const double *);
}

int main(int argc, char **)
{
    Device d;
    int64_t n = argc > 1 ? 1001 : 8192;
    float *p = d.numbers(n), *g = d.numbers(n), *m = d.numbers(n);
    float *v = d.given(std::vector<float>((size_t)n, 0.5f));
    double *hyper = d.given(std::vector<double>{0.1, 0.9, 0.99, 1e-8, 0.01, 0.1, 0.01});
    for (int nesterov : {0, 1})
        d.ok(etude_sgd_step_f32(&d.ctx, p, g, m, hyper, p, m, n, nesterov));
    d.ok(etude_adam_step_f32(&d.ctx, p, g, m, v, hyper, p, m, v, n));
    d.ok(etude_adamw_step_f32(&d.ctx, p, g, m, v, hyper, p, m, v, n));
    d.ok(etude_rmsprop_step_f32(&d.ctx, p, g, v, m, hyper, p, v, m, n));
    /* a table of parameters, the last of more than one block */
    std::vector<etude_step_row> rows;
    for (int64_t length : {n / 8, n / 4, n / 2, 4 * n + 4})
        rows.push_back({d.numbers(length), d.numbers(length), d.numbers(length),
                        d.given(std::vector<float>((size_t)length, 0.25f)), d.empty<float>(length),
                        d.empty<float>(length), d.empty<float>(length), length});
    if (argc > 1) /* not at 16 bytes */
        rows.push_back({p + 1, g + 1, m + 1, v + 1, p + 1, m + 1, v + 1, n - 1});
    d.ok(etude_steps_adam_step_f32(&d.ctx, rows.data(), (int64_t)rows.size(), hyper));
}
