/* device.cu: functions of the device, each printed with its value; test_device.py knows better. */
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <math_constants.h>
#include <stdio.h>
#include <string.h>

namespace cg = cooperative_groups;

#define SHOW(expression) printf(#expression " = %.17g\n", (double)(expression))

__global__ void integers() {
    SHOW(__popc(0xf0f0u));
    SHOW(__popcll(1ull << 63 | 5));
    SHOW(__clz(1));
    SHOW(__clz(0));
    SHOW(__clzll(1));
    SHOW(__ffs(0x50));
    SHOW(__ffs(0));
    SHOW(__ffsll(1ll << 40));
    SHOW(__brev(1));
    SHOW(__brev(0x12345678));
    SHOW(__brevll(2));
    SHOW(__byte_perm(0x03020100, 0x07060504, 0x7531));
    SHOW(__byte_perm(0x80, 0, 0x8888));
    SHOW(__funnelshift_l(0x80000000, 1, 4));
    SHOW(__funnelshift_r(0x80000000, 1, 4));
    SHOW(__mulhi(1 << 30, -8));
    SHOW(__umulhi(0x80000000u, 6));
    SHOW(__umul64hi(1ull << 63, 6));
    SHOW(__mul24(-3, 5));
    SHOW(__hadd(-3, 4));
    SHOW(__rhadd(-3, 4));
    SHOW(__sad(3, -4, 10));
    SHOW(__dp4a(0x01020304, 0x01ff0101, 7));
    SHOW(min(3, -4));
    SHOW(max(3u, 4u));
    SHOW(min(-1, 4u));
    SHOW(max(2.5f, 1.0f));
    SHOW(min(2.5f, 1.25));
    SHOW(max(CUDART_NAN_F, 1.0f));
    SHOW(__float_as_int(-1.0f));
    SHOW(__int_as_float(0x40490fdb));
    SHOW(__hiloint2double(0x3ff00000, 0));
    SHOW(abs(-3));
    SHOW(warpSize);
}

__global__ void reals() {
    SHOW(rsqrtf(4.0f));
    SHOW(rsqrt(16.0));
    SHOW(rcbrt(27.0));
    SHOW(sinpi(1e15 + 0.5));
    SHOW(sinpi(-3.0));
    SHOW(cospi(0.5));
    SHOW(cospif(1.0f / 3));
    SHOW(erfinv(0.3));
    SHOW(erfinv(-0.999));
    SHOW(erfcinv(1e-30));
    SHOW(erfcx(0.5));
    SHOW(erfcx(100.0));
    SHOW(normcdf(-8.0));
    SHOW(normcdfinv(0.975));
    SHOW(cyl_bessel_i0(1.0));
    SHOW(exp10f(2.0f));
    SHOW(norm3d(2.0, 3.0, 6.0));
    SHOW(__fdividef(1.0f, 4.0f));
    SHOW(__saturatef(1.5f));
    SHOW(__saturatef(CUDART_NAN_F));
    SHOW(__expf(1.0f));
    SHOW(__powf(2.0f, 0.5f));
    SHOW(__fadd_rz(1.0f, 1e-10f) - 1);
    SHOW(__fadd_ru(1.0f, 1e-10f) - 1);
    SHOW(__fadd_rd(1.0f, -1e-10f) - 1);
    SHOW(__fdiv_rd(1.0f, 3.0f));
    SHOW(__fdiv_ru(1.0f, 3.0f));
    SHOW(__dsqrt_ru(2.0));
    SHOW(__fmaf_rn(1.0f + 0x1p-12f, 1.0f + 0x1p-12f, -1.0f));
    SHOW(__float2int_rn(2.5f));
    SHOW(__float2int_rn(3.5f));
    SHOW(__float2int_rz(-2.7f));
    SHOW(__float2int_ru(2.1f));
    SHOW(__float2int_rd(-2.1f));
    SHOW(__float2int_rz(1e20f));
    SHOW(__float2int_rz(CUDART_NAN_F));
    SHOW(__float2uint_rz(-5.0f));
    SHOW(__double2ll_rn(1e300));
    SHOW(isinf(INFINITY));
    SHOW(isnan(CUDART_NAN));
    SHOW(fmaxf(1.0f, CUDART_NAN_F));
}

__global__ void small_floats() {
    SHOW(__half2float(__float2half(1.0f / 3)));
    SHOW(__half2float(__float2half(65519.0f)));
    SHOW(__half2float(__float2half(65520.0f)));
    SHOW(__half2float(__float2half(3e-8f)));
    SHOW(__half2float(__float2half(2.9e-8f)));
    SHOW(__half2float(__float2half(6.1e-5f)));
    SHOW(__half2float(__float2half(2049.0f)));
    SHOW(__half2float(__float2half(2051.0f)));
    SHOW(__half_as_ushort(__float2half(-2.0f)));
    SHOW(__half2float(__half(2048) + __half(1)));
    SHOW(__half2float(__hmul(__half(0.1f), __half(3.0f))));
    SHOW(__half2float(__hfma(__half(1.001f), __half(1.001f), __half(-1.002f))));
    SHOW(__half2float(hsqrt(__half(2.0f))));
    SHOW(__half2float(-__half(1.5f)));
    SHOW(__hlt(__half(1.0f), __half(2.0f)));
    SHOW(__hisnan(__half(0.0f) / __half(0.0f)));
    SHOW(__low2float(__hadd2(__floats2half2_rn(1, 2), __floats2half2_rn(3, 4))));
    SHOW(__half22float2(__floats2half2_rn(1, 2) * __floats2half2_rn(3, 4)).y);
    SHOW(__half2int_rn(__half(2.5f)));
    SHOW(__bfloat162float(__float2bfloat16(1.0f / 3)));
    SHOW(__bfloat162float(__float2bfloat16(257.0f)));
    SHOW(__bfloat162float(__float2bfloat16(3.4e38f)));
    SHOW(__bfloat162float(__nv_bfloat16(1.0f) + __nv_bfloat16(0.00390625f)));
    SHOW(__bfloat16_as_ushort(__float2bfloat16(-1.0f)));
    SHOW(__bfloat162float(__float2bfloat16(1e-40f)) > 0);
}

/* Every half is exact as a float, and comes back as itself. */
__global__ void all_halves(int *wrong) {
    for (unsigned b = 0; b < 65536; b++) {
        __half h = __ushort_as_half((unsigned short)b);
        __nv_bfloat16 f = __ushort_as_bfloat16((unsigned short)b);
        bool nan = (b & 0x7c00) == 0x7c00 && (b & 0x3ff), bnan = (b & 0x7f80) == 0x7f80 && (b & 127);
        if (nan ? !__hisnan(h) : __half_as_ushort(__float2half(__half2float(h))) != b)
            ++*wrong;
        if (bnan ? !__hisnan(f) : __bfloat16_as_ushort(__float2bfloat16(__bfloat162float(f))) != b)
            ++*wrong;
    }
}

struct Cells {
    int add, sub, exch, low, high, inc, dec, both, either, differ, cas;
    unsigned long long big;
    float f;
    double d;
    __half h;
    __half2 h2;
    __nv_bfloat16 b;
};

__global__ void atomics(Cells *c) {
    int t = threadIdx.x;
    atomicAdd(&c->add, t);
    atomicSub(&c->sub, 1);
    atomicExch(&c->exch, 7);
    atomicMin(&c->low, -t);
    atomicMax_block(&c->high, t);
    atomicInc((unsigned *)&c->inc, 9);
    atomicDec((unsigned *)&c->dec, 9);
    atomicAnd(&c->both, ~(1 << t % 16));
    atomicOr(&c->either, 1 << t % 16);
    atomicXor(&c->differ, t);
    int seen = c->cas, expected;
    do {
        expected = seen;
        seen = atomicCAS(&c->cas, expected, expected * 2 % 1000003 + 1);
    } while (seen != expected);
    atomicAdd_system(&c->big, 1ull << 33);
    atomicAdd(&c->f, 0.5f);
    atomicAdd(&c->d, 0.25);
    atomicAdd(&c->h, __half(1.0f));
    atomicAdd(&c->h2, __floats2half2_rn(1.0f, 2.0f));
    atomicAdd(&c->b, __nv_bfloat16(1.0f));
}

__global__ void warps(int *out) {
    int t = threadIdx.x, lane = t % 32;
    unsigned all = 0xffffffff;
    int v = lane * lane, same;
    out[t] = __shfl_sync(all, v, 5);
    out[64 + t] = __shfl_up_sync(all, v, 3);
    out[128 + t] = __shfl_down_sync(all, v, 3, 8);
    out[192 + t] = __shfl_xor_sync(all, v, 5);
    out[256 + t] = (int)__ballot_sync(all, lane % 3 == 0);
    out[320 + t] = __any_sync(all, lane == 9) * 10 + __all_sync(all, lane < 32);
    out[384 + t] = (int)__match_any_sync(all, lane / 8);
    out[448 + t] = __match_all_sync(all, t / 32, &same) == all && same;
    out[512 + t] = __reduce_add_sync(all, v) + __reduce_min_sync(all, lane - 40)
        + (int)__reduce_xor_sync(all, (unsigned)lane + 7);
    double wide = __shfl_down_sync(all, lane + 0.5, 1);
    out[576 + t] = (int)(wide * 2);
}

struct Three {
    double a, b;
    int c;
};

__global__ void groups(int *out) {
    auto block = cg::this_thread_block();
    auto warp = cg::tiled_partition<32>(block);
    auto tile = cg::tiled_partition<8>(warp);
    int t = (int)block.thread_rank();
    out[t] = (int)(tile.thread_rank() * 100 + tile.meta_group_rank() * 10 + tile.size());
    out[64 + t] = cg::reduce(tile, t, cg::plus<int>());
    out[128 + t] = cg::inclusive_scan(tile, t);
    out[192 + t] = (int)tile.ballot(t % 2);
    if (t % 3 == 0) {
        cg::coalesced_group some = cg::coalesced_threads();
        out[256 + t] = (int)(some.size() * 100 + some.thread_rank());
        out[320 + t] = some.shfl(t, 1) + cg::reduce(some, 1, cg::plus<int>());
    }
    Three three = tile.shfl(Three{t + 0.5, t + 0.25, t}, 3);
    out[384 + t] = (int)(three.a * 4 + three.b * 4) + three.c;
    auto part = cg::labeled_partition(tile, t % 2);
    out[448 + t] = (int)(part.size() * 10 + part.thread_rank());
    out[512 + t] = cg::exclusive_scan(tile, 1, cg::plus<int>());
    block.sync();
}

static void print(const int *d, int rows, int columns) {
    for (int r = 0; r < rows; r++) {
        for (int i = 0; i < columns; i++)
            printf("%d ", d[r * columns + i]);
        printf("\n");
    }
}

int main(int argc, char **argv) {
    auto is = [&](const char *other) { return strcmp(argv[1], other) == 0; };
    int *d;
    cudaMallocManaged(&d, 1024 * sizeof(int));
    cudaMemset(d, 0, 1024 * sizeof(int));
    cudaDeviceSynchronize();
    if (is("integers"))
        integers<<<1, 1>>>();
    else if (is("reals"))
        reals<<<1, 1>>>();
    else if (is("small_floats"))
        small_floats<<<1, 1>>>();
    else if (is("all_halves"))
        all_halves<<<1, 1>>>(d);
    else if (is("warps"))
        warps<<<1, 64>>>(d);
    else if (is("groups"))
        groups<<<1, 64>>>(d);
    else if (is("atomics")) {
        Cells start = {}, *c;
        start.both = 0xffff;
        start.cas = 1;
        cudaMalloc(&c, sizeof start);
        cudaMemcpy(c, &start, sizeof start, cudaMemcpyHostToDevice);
        atomics<<<4, 250>>>(c);
        cudaMemcpy(&start, c, sizeof start, cudaMemcpyDeviceToHost);
        printf("%d %d %d %d %d %d %d %d %d %d %d\n", start.add, start.sub, start.exch, start.low,
               start.high, start.inc, start.dec, start.both, start.either, start.differ, start.cas);
        printf("%llu %g %g %g %g %g %g\n", start.big, start.f, start.d, (float)start.h,
               (float)start.h2.x, (float)start.h2.y, (float)start.b);
    } else
        return 3;
    cudaDeviceSynchronize();
    if (is("all_halves"))
        printf("%d\n", *d);
    if (is("warps"))
        print(d, 10, 64);
    if (is("groups"))
        print(d, 9, 64);
    return 0;
}
