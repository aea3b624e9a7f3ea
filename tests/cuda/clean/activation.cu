#include "clean.h"

extern "C" {
etude_map_fn_f32 etude_elu_f32, etude_softplus_f32, etude_clamp_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t n = argc > 1 ? 1001 : 4096;
    float *x = d.specials(n), *y = d.empty<float>(n);
    d.ok(etude_elu_f32(&d.ctx, x, y, n, 1, 0));
    d.ok(etude_softplus_f32(&d.ctx, x, y, n, 1, 20));
    d.ok(etude_clamp_f32(&d.ctx, x, x, n, -1, 1));
}
