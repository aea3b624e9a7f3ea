#include "clean.h"

extern "C" {
etude_binary_fn_b8 etude_logical_and_b8;
etude_map_fn_b8 etude_logical_not_b8;
etude_reduce_fn_b8 etude_all_b8;
}

int main(int argc, char **)
{
    Device d;
    int64_t n = argc > 1 ? 45 : 64;
    uint8_t *x = d.bools(15 * n), *y = d.bools(15 * n), *z = d.empty<uint8_t>(15 * n);
    int64_t size[3] = {1, 15, n}, all[3] = {0, n, 1}, row[3] = {0, 0, 1};
    d.ok(etude_logical_and_b8(&d.ctx, x, y, z, size, all, row));
    d.ok(etude_logical_not_b8(&d.ctx, x, z, 15 * n, 0, 0));
    d.ok(etude_all_b8(&d.ctx, x, z, 15, n, 1));
    d.ok(etude_all_b8(&d.ctx, x, z, 1, 15, n));
}
