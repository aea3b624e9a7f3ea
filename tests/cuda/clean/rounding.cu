#include "clean.h"

extern "C" {
etude_map_fn_f32 etude_round_f32;
etude_map_bool_fn_f32 etude_isnan_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t n = argc > 1 ? 1001 : 4096;
    float *x = d.specials(n), *y = d.empty<float>(n);
    d.ok(etude_round_f32(&d.ctx, x, y, n, 0, 0));
    d.ok(etude_isnan_f32(&d.ctx, x, d.empty<uint8_t>(n), n));
}
