/* host.cu: a case for each thing that test_host.py says of the runtime API. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thread>

#define SAY(call) printf("%s\n", cudaGetErrorName(call))

__global__ void fill(float *x, int n, float v) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        x[i] = v;
}
__global__ void dynamic(int n) {
    extern __shared__ char room[];
    room[n - 1] = 1;
}
template <class T> __global__ void twice(T *x) { x[threadIdx.x] *= 2; }
struct Pair {
    int a;
    float b;
};
__global__ void by_value(Pair p, float *out) {
    p.a += threadIdx.x;
    out[threadIdx.x] = p.a * p.b;
}
__global__ void takes_null(const float *bias, float *out) { out[0] = bias ? bias[0] : -1.0f; }

__constant__ float coefficients[4];
__device__ int counter = 5;
__managed__ int shared_by_both = 1;
__global__ void symbols(float *out) {
    out[threadIdx.x] = coefficients[threadIdx.x];
    if (threadIdx.x == 0) {
        counter += 10;
        shared_by_both += 1;
    }
}

static void bad_launch(float *d) { fill<<<1, 2000>>>(d, 1, 0); } // BAD

static void launches(float *d) {
    float got[8];
    fill<<<2, 4>>>(d, 8, 3.0f);
    twice<float><<<1, 4>>>(d);
    by_value<<<dim3(1), dim3(4), 0, 0>>>(Pair{1, 0.5f}, d + 4);
    takes_null<<< 1, 1 >>>(NULL, d + 3);
    cudaMemcpy(got, d, sizeof got, cudaMemcpyDeviceToHost);
    for (float v : got)
        printf("%g ", v);
    auto kernel = fill;
    float value = 7;
    int n = 8;
    void *arguments[] = {&d, &n, &value};
    cudaLaunchKernel((const void *)fill, dim3(1), dim3(8), arguments, 0, nullptr);
    kernel<<<1, 1>>>(d, 1, 9.0f);
    cudaMemcpy(got, d, sizeof got, cudaMemcpyDeviceToHost);
    printf("%g %g\n", got[0], got[7]);
}

static void refusals(float *d) {
    fill<<<1, 1025>>>(d, 1, 0);
    SAY(cudaGetLastError());
    fill<<<0, 32>>>(d, 1, 0);
    SAY(cudaGetLastError());
    fill<<<dim3(1, 65536), 32>>>(d, 1, 0);
    SAY(cudaGetLastError());
    dynamic<<<1, 1, 49153>>>(1);
    SAY(cudaGetLastError());
    SAY(cudaFuncSetAttribute(dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 100000));
    dynamic<<<1, 1, 100000>>>(100000);
    SAY(cudaGetLastError());
    SAY(cudaFuncSetAttribute(dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 300000));
}

static void copies(float *d) {
    float h[64] = {1, 2, 3};
    float *small;
    cudaMalloc(&small, 16); // SMALL
    SAY(cudaMemcpy(d, h, sizeof h, cudaMemcpyHostToDevice));
    SAY(cudaMemcpy(h, d, sizeof h, cudaMemcpyDefault));
    SAY(cudaMemcpy(d, h, sizeof h, cudaMemcpyDeviceToHost)); // DIRECTION
    SAY(cudaMemcpy(small, h, 64, cudaMemcpyHostToDevice)); // ELEMENTS
    SAY(cudaMemcpy(small, h, 20, cudaMemcpyHostToDevice)); // RANGE
    SAY(cudaMemset(h, 0, 4)); // HOST
    SAY(cudaMemcpy(nullptr, h, 4, cudaMemcpyHostToDevice));
    SAY(cudaMemcpy(d, h, 4, (cudaMemcpyKind)9));
    SAY(cudaGetLastError());
    SAY(cudaGetLastError());
}

static void pitched() {
    char *d, h[3 * 10], back[3 * 10];
    size_t pitch;
    for (int i = 0; i < 30; i++)
        h[i] = (char)i;
    cudaMallocPitch(&d, &pitch, 10, 3);
    SAY(cudaMemcpy2D(d, pitch, h, 10, 10, 3, cudaMemcpyHostToDevice));
    SAY(cudaMemcpy2D(back, 10, d, pitch, 10, 3, cudaMemcpyDeviceToHost));
    printf("%d %d\n", memcmp(h, back, 30), pitch >= 10 && pitch % 32 == 0);
    SAY(cudaFree(d));
}

static void frees(float *d) {
    float *pinned, *other, host = 0;
    cudaMalloc(&other, 64);
    SAY(cudaMallocHost(&pinned, 64));
    SAY(cudaFree(other));
    SAY(cudaFree(other)); // TWICE
    SAY(cudaFree(&host)); // HOSTS
    SAY(cudaFree(d + 1)); // MIDDLE
    SAY(cudaFree(pinned)); // PINNED
    SAY(cudaFreeHost(pinned));
    SAY(cudaFree(nullptr));
}

static void kinds_of_memory(float *d) {
    float *managed, *pinned, host = 0;
    cudaMallocManaged(&managed, 64);
    cudaHostAlloc(&pinned, 64, cudaHostAllocDefault);
    cudaPointerAttributes a;
    for (const void *p : {(void *)d, (void *)managed, (void *)pinned, (void *)&host}) {
        cudaPointerGetAttributes(&a, p);
        printf("%d ", a.type);
    }
    fill<<<1, 4>>>(managed, 4, 2.5f);
    cudaDeviceSynchronize();
    printf("%g\n", managed[3]);
    cudaMemLocation here = {cudaMemLocationTypeDevice, 0};
    SAY(cudaMemPrefetchAsync(managed, 64, here, 0));
    SAY(cudaMemAdvise(managed, 64, cudaMemAdviseSetReadMostly, here));
    cudaFree(managed);
    cudaFreeHost(pinned);
}

static void all_symbols(float *d) {
    float c[4] = {1, 2, 3, 4}, got[4];
    int x;
    SAY(cudaMemcpyToSymbol(coefficients, c, sizeof c));
    SAY(cudaMemcpyToSymbol(coefficients, c, 4, 12));
    symbols<<<1, 4>>>(d);
    cudaMemcpy(got, d, sizeof got, cudaMemcpyDeviceToHost);
    SAY(cudaMemcpyFromSymbol(&x, counter, sizeof x));
    printf("%g %g %g %g %d %d\n", got[0], got[1], got[2], got[3], x, shared_by_both);
    float *address;
    size_t bytes;
    SAY(cudaGetSymbolAddress((void **)&address, coefficients));
    SAY(cudaGetSymbolSize(&bytes, coefficients));
    printf("%d %zu\n", address == coefficients, bytes);
    SAY(cudaMemcpyToSymbol(coefficients, c, 32)); // SYMBOL
    SAY(cudaMemcpyToSymbol(c, c, 4));
}

static void count_call(void *data) { ++*(int *)data; }

static void streams(float *d) {
    cudaStream_t s, t;
    cudaEvent_t begin, end, quiet;
    float h[8], ms = -1;
    int calls = 0;
    SAY(cudaStreamCreate(&s));
    SAY(cudaStreamCreateWithFlags(&t, cudaStreamNonBlocking));
    cudaEventCreate(&begin);
    cudaEventCreate(&end);
    cudaEventCreateWithFlags(&quiet, cudaEventDisableTiming);
    cudaEventRecord(begin, s);
    fill<<<1, 8, 0, s>>>(d, 8, 4);
    cudaEventRecord(end, s);
    cudaStreamWaitEvent(t, end, 0);
    cudaLaunchHostFunc(t, count_call, &calls);
    cudaMemcpyAsync(h, d, sizeof h, cudaMemcpyDeviceToHost, t);
    SAY(cudaStreamSynchronize(t));
    SAY(cudaEventSynchronize(end));
    SAY(cudaEventElapsedTime(&ms, begin, end));
    printf("%g %d %d\n", h[7], ms >= 0, calls);
    cudaEventRecord(quiet, s);
    SAY(cudaEventElapsedTime(&ms, begin, quiet));
    SAY(cudaStreamDestroy(s));
    SAY(cudaStreamSynchronize(s));
}

static void card() {
    cudaDeviceProp p;
    int n, value, blocks, grid, block;
    size_t free, total;
    SAY(cudaGetDeviceCount(&n));
    SAY(cudaGetDeviceProperties(&p, 0));
    SAY(cudaGetDeviceProperties(&p, 1));
    cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0);
    cudaMemGetInfo(&free, &total);
    printf("%d %s %d.%d %d %d\n", n, p.name, p.major, p.minor, p.multiProcessorCount == value,
           total == p.totalGlobalMem && free < total);
    SAY(cudaSetDevice(3));
    cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, fill, 256, 0);
    printf("%d ", blocks);
    cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, fill, 64, 16384);
    printf("%d ", blocks);
    cudaOccupancyMaxPotentialBlockSize(&grid, &block, fill, 0, 0);
    printf("%d %d\n", grid, block);
}

static void threads() {
    int wrong = 0;
    std::thread all[4];
    for (int t = 0; t < 4; t++)
        all[t] = std::thread([t, &wrong] {
            float *d, h[1000];
            cudaMalloc(&d, sizeof h);
            for (int k = 0; k < 50; k++) {
                fill<<<8, 128>>>(d, 1000, (float)(t * 100 + k));
                cudaMemcpy(h, d, sizeof h, cudaMemcpyDeviceToHost);
                for (float v : h)
                    if (v != t * 100 + k)
                        wrong++;
            }
            cudaFree(d);
        });
    for (auto &t : all)
        t.join();
    printf("%d\n", wrong);
}

int main(int argc, char **argv) {
    auto is = [&](const char *other) { return strcmp(argv[1], other) == 0; };
    float *d, h[4];
    cudaMalloc(&d, 1024);
    if (is("launches")) {
        launches(d);
    } else if (is("refusals")) {
        refusals(d);
    } else if (is("ignored")) {
        bad_launch(d);
        SAY(cudaMemcpy(h, d, sizeof h, cudaMemcpyDeviceToHost));
    } else if (is("asked")) {
        bad_launch(d);
        SAY(cudaPeekAtLastError());
        printf("%s\n", cudaGetErrorString(cudaGetLastError()));
        SAY(cudaGetLastError());
    } else if (is("ignored_call")) {
        cudaMemcpy(d, h, 4096, cudaMemcpyHostToDevice); // IGNORED
    } else if (is("checked_call")) {
        if (cudaMemcpy(d, h, 4096, cudaMemcpyHostToDevice) != cudaSuccess)
            exit(1);
    } else if (is("copies")) {
        copies(d);
    } else if (is("pitched")) {
        pitched();
    } else if (is("frees")) {
        frees(d);
    } else if (is("memory")) {
        kinds_of_memory(d);
    } else if (is("symbols")) {
        all_symbols(d);
    } else if (is("streams")) {
        streams(d);
    } else if (is("card")) {
        card();
    } else if (is("too_much")) {
        void *p;
        SAY(cudaMalloc(&p, (size_t)1 << 45));
    } else if (is("threads")) {
        threads();
    } else if (is("touches")) {
        fill<<<1, 4>>>(d, 4, 1.0f);
        printf("%g\n", d[0]);
    } else if (is("leaks")) {
        float *other;
        cudaMalloc(&other, 100);
        cudaFree(other);
    } else if (is("crash")) {
        static float *volatile nowhere;
        printf("%g\n", nowhere[2]);
    } else {
        return 3;
    }
    return 0;
}
