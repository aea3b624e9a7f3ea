#include "clean.h"

extern "C" {
etude_rand_fn_f32 etude_rand_f32, etude_randn_f32;
etude_dropout_fn_f32 etude_dropout_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t n = argc > 1 ? 1001 : 4096, *key = d.given(std::vector<int64_t>{7, 3});
    float *x = d.numbers(n), *y = d.empty<float>(n);
    d.ok(etude_rand_f32(&d.ctx, key, y, n));
    d.ok(etude_randn_f32(&d.ctx, key, y, n));
    d.ok(etude_dropout_f32(&d.ctx, x, key, y, n, 0.25));
    if (argc > 1) /* not at 16 bytes */
        d.ok(etude_rand_f32(&d.ctx, key, y + 1, n - 1));
}
