/* speed.cu: what the lab's fast mode costs, beside plain C on the same core: run by fast_speed.py.

   Times are the CPU's, so other programs on the machine change them little; best of several. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double cpu_seconds() {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

template <class F> static double best_of(int times, F f) {
    double best = 1e9;
    while (times--) {
        double start = cpu_seconds();
        f();
        double took = cpu_seconds() - start;
        best = took < best ? took : best;
    }
    return best;
}

__global__ void add(const float *a, const float *b, float *c, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        c[i] = a[i] + b[i];
}

template <int TILE> __global__ void matmul(const float *a, const float *b, float *c, int n) {
    __shared__ float as[TILE][TILE], bs[TILE][TILE];
    int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
    float sum = 0;
    for (int k = 0; k < n; k += TILE) {
        as[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];
        bs[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + column];
        __syncthreads();
        for (int j = 0; j < TILE; j++)
            sum += as[threadIdx.y][j] * bs[j][threadIdx.x];
        __syncthreads();
    }
    c[row * n + column] = sum;
}

__global__ void barriers(int times) {
    for (int i = 0; i < times; i++)
        __syncthreads();
}

__global__ void shuffles(int times, int *out) {
    int v = threadIdx.x;
    for (int i = 0; i < times; i++)
        v = __shfl_xor_sync(0xffffffff, v, 1);
    out[threadIdx.x] = v;
}

__global__ void atomics(int times, int *out) {
    for (int i = 0; i < times; i++)
        atomicAdd(out + threadIdx.x, 1);
}

__global__ void nothing() {}

__attribute__((noinline)) static void plain_add(const float *a, const float *b, float *c, int n) {
    for (int i = 0; i < n; i++)
        c[i] = a[i] + b[i];
}

__attribute__((noinline)) static void plain_matmul(const float *a, const float *b, float *c,
                                                   int n) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int k = 0; k < n; k++)
                sum += a[i * n + k] * b[k * n + j];
            c[i * n + j] = sum;
        }
}

static void vector_add() {
    int n = 1 << 24;
    float *a, *b, *c;
    cudaMallocManaged(&a, n * sizeof(float));
    cudaMallocManaged(&b, n * sizeof(float));
    cudaMallocManaged(&c, n * sizeof(float));
    for (int i = 0; i < n; i++) {
        a[i] = i;
        b[i] = 2 * i;
        c[i] = 0;
    }
    double plain = best_of(5, [&] { plain_add(a, b, c, n); });
    double lab = best_of(5, [&] { add<<<n / 256, 256>>>(a, b, c, n); });
    printf("vector add of 2^24: plain C %.1f ms, lab %.1f ms, %.2f times\n", plain * 1e3, lab * 1e3,
           lab / plain);
    cudaFree(a);
    cudaFree(b);
    cudaFree(c);
}

static void matmuls() {
    int n = 512;
    float *a, *b, *c, *d;
    for (float **p : {&a, &b, &c, &d})
        cudaMallocManaged(p, n * n * sizeof(float));
    for (int i = 0; i < n * n; i++) {
        a[i] = i % 7 - 3;
        b[i] = i % 5 - 2;
    }
    double plain = best_of(3, [&] { plain_matmul(a, b, d, n); });
    double tile16 = best_of(3, [&] { matmul<16><<<dim3(n / 16, n / 16), dim3(16, 16)>>>(a, b, c, n); });
    double tile32 = best_of(3, [&] { matmul<32><<<dim3(n / 32, n / 32), dim3(32, 32)>>>(a, b, c, n); });
    printf("matmul of 512: plain C %.0f ms, tile 16 %.0f ms, %.2f times; tile 32 %.0f ms, %.2f times%s\n",
           plain * 1e3, tile16 * 1e3, tile16 / plain, tile32 * 1e3, tile32 / plain,
           memcmp(c, d, n * n * sizeof(float)) ? ", WRONG" : "");
    for (float *p : {a, b, c, d})
        cudaFree(p);
}

int main() {
    int *out;
    cudaMalloc(&out, 1024 * sizeof(int));
    cudaMemset(out, 0, 1024 * sizeof(int));
    vector_add();
    matmuls();
    int times = 2000;
    for (int threads : {2, 32, 256, 1024}) {
        double took = best_of(5, [&] { barriers<<<1, threads>>>(times); });
        printf("__syncthreads of %d threads: %.1f ns for each thread\n", threads,
               took * 1e9 / times / threads);
    }
    double shuffle = best_of(5, [&] { shuffles<<<1, 32>>>(times, out); });
    printf("shuffle: %.1f ns for each lane\n", shuffle * 1e9 / times / 32);
    double atomic = best_of(5, [&] { atomics<<<1, 256>>>(times, out); });
    printf("atomicAdd: %.1f ns\n", atomic * 1e9 / times / 256);
    double launch = best_of(5, [&] {
        for (int i = 0; i < 1000; i++)
            nothing<<<1, 32>>>();
    });
    printf("launch of one block: %.0f ns\n", launch * 1e6);
    double block = best_of(5, [&] { nothing<<<100000, 32>>>(); });
    printf("block of 32 threads: %.0f ns\n", block * 1e4);
}
