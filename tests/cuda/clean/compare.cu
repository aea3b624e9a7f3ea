#include "clean.h"

extern "C" {
etude_compare_fn_f32 etude_lt_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t n = argc > 1 ? 45 : 64;
    float *x = d.specials(15 * n), *y = d.specials(15 * n);
    uint8_t *z = d.empty<uint8_t>(15 * n);
    int64_t size[3] = {1, 15, n}, all[3] = {0, n, 1}, row[3] = {0, 0, 1};
    d.ok(etude_lt_f32(&d.ctx, x, y, z, size, all, all));
    d.ok(etude_lt_f32(&d.ctx, x, y, z, size, all, row));
}
