#include "clean.h"

extern "C" {
etude_select_fn_f32 etude_where_f32;
etude_ternary_fn_f32 etude_lerp_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t n = argc > 1 ? 45 : 64;
    float *x = d.numbers(15 * n), *y = d.numbers(15 * n), *z = d.empty<float>(15 * n);
    int64_t size[3] = {1, 15, n}, all[3] = {0, n, 1}, row[3] = {0, 0, 1}, number[3] = {0, 0, 0};
    d.ok(etude_where_f32(&d.ctx, d.bools(15 * n), x, y, z, size, all, all, number));
    d.ok(etude_lerp_f32(&d.ctx, x, y, y, x, size, all, row, number));
    float *v = d.specials(15 * n), *w = d.specials(15 * n);
    d.ok(etude_lerp_f32(&d.ctx, v, w, d.numbers(15 * n), z, size, all, all, all));
    d.ok(etude_lerp_f32(&d.ctx, v, w, d.specials(15 * n), z, size, all, all, all));
}
