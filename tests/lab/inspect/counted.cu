// counted.cu: kernels whose sectors, bank conflicts and branches can be counted by hand.
// test_counters.py runs them by name and knows the sums.
#include <cstdio>
#include <cstring>

__global__ void strided(const float *x, float *y, int stride) {
    y[threadIdx.x] = x[threadIdx.x * stride];  // STRIDED
}

__global__ void offset(const float *x, float *y) {
    y[threadIdx.x] = x[threadIdx.x + 1];  // OFFSET
}

__global__ void vectors(const float4 *x, float4 *y) {
    y[threadIdx.x] = x[threadIdx.x];  // VECTORS
}

__global__ void doubles(const double *x, double *y) {
    y[threadIdx.x] = x[threadIdx.x];  // DOUBLES
}

__global__ void bytes(const unsigned char *x, unsigned char *y) {
    y[threadIdx.x] = x[threadIdx.x];  // BYTES
}

__global__ void one_for_all(const float *x, float *y) {
    y[threadIdx.x] = x[0];  // ONE
}

__global__ void column_walk(const float *x, float *y) {
    float sum = 0;
    for (int c = 0; c < 32; c++)
        sum += x[threadIdx.x * 32 + c];  // COLUMN WALK
    y[threadIdx.x] = sum;
}

__global__ void row_walk(const float *x, float *y) {
    float sum = 0;
    for (int r = 0; r < 300; r++)
        sum += x[r * 32 + threadIdx.x];  // ROW WALK
    y[threadIdx.x] = sum;
}

struct Point {
    float x, y, z;
};

__global__ void structs(const Point *p, Point *q) {
    q[threadIdx.x] = p[threadIdx.x];  // STRUCTS
}

struct Best {
    char kind;
    double value;
    short at;
};

__global__ void shared_structs(double *y) {
    __shared__ Best s[32];
    Best one = {'a', 1.0, (short)threadIdx.x};
    s[threadIdx.x] = one;  // SHARED STRUCTS
    __syncthreads();
    y[threadIdx.x] = s[31 - threadIdx.x].value;
}

template <int width> __global__ void tile(const float *x, float *y) {
    __shared__ float s[32][width];
    int c = threadIdx.x, r = threadIdx.y;
    s[r][c] = x[r * 32 + c];  // TILE ROWS
    __syncthreads();
    y[r * 32 + c] = s[c][r];  // TILE COLUMNS
}

__global__ void shared_strided(float *y, int stride) {
    __shared__ float s[1024];
    for (int i = threadIdx.x; i < 1024; i += 32)
        s[i] = (float)i;
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x * stride];  // SHARED STRIDED
}

__global__ void shared_doubles(double *y, int stride) {
    __shared__ double s[1024];
    for (int i = threadIdx.x; i < 1024; i += 32)
        s[i] = i;
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x * stride];  // SHARED DOUBLES
}

__global__ void shared_vectors(float4 *y) {
    __shared__ float4 s[32];
    s[threadIdx.x] = make_float4(1, 2, 3, 4);  // SHARED VECTORS
    y[threadIdx.x] = s[threadIdx.x];
}

__global__ void shared_one(float *y) {
    __shared__ float s[32];
    s[threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] = s[5];  // SHARED ONE
}

__global__ void half_warp(const float *x, float *y) {
    if (threadIdx.x % 2 == 0)
        y[threadIdx.x] = x[threadIdx.x];  // HALF
}

__global__ void small_block(const float *x, float *y) {
    y[threadIdx.x] = x[threadIdx.x];  // SMALL
}

__global__ void add_one_cell(int *count) { atomicAdd(count, 1); }  // ADD ONE CELL

__global__ void add_shared(int *count) {
    __shared__ int s[32];
    s[threadIdx.x] = 0;
    __syncthreads();
    atomicAdd(&s[threadIdx.x / 4], 1);  // ADD SHARED
    __syncthreads();
    count[threadIdx.x] = s[threadIdx.x];
}

__constant__ float table[32];

__global__ void constants(float *y) {
    y[threadIdx.x] = table[threadIdx.x % 4];  // CONSTANTS
}

__device__ float load(const float *x, int i) {
    return x[i];
}

// Two lines call one device function: their loads are counted apart.
__global__ void through_calls(const float *x, float *y) {
    y[threadIdx.x] = load(x, threadIdx.x);
    y[threadIdx.x] += load(x, threadIdx.x * 8);
}

// The lanes leave a loop after 1, 2, ... 32 turns.
__global__ void uneven(const float *x, float *y) {
    float sum = 0;
    for (unsigned i = 0; i <= threadIdx.x; i++)
        sum += x[i];  // UNEVEN
    y[threadIdx.x] = sum;
}

int main(int argc, char **argv) {
    float *x, *y;
    cudaMalloc(&x, 1 << 16);
    cudaMalloc(&y, 1 << 16);
    cudaMemset(x, 0, 1 << 16);
    const char *name = argc > 1 ? argv[1] : "";
    int number = argc > 2 ? atoi(argv[2]) : 0;
    auto is = [&](const char *other) { return strcmp(name, other) == 0; };
    if (is("strided")) strided<<<1, 32>>>(x, y, number);
    if (is("offset")) offset<<<1, 32>>>(x, y);
    if (is("vectors")) vectors<<<1, 32>>>((float4 *)x, (float4 *)y);
    if (is("doubles")) doubles<<<1, 32>>>((double *)x, (double *)y);
    if (is("bytes")) bytes<<<1, 32>>>((unsigned char *)x, (unsigned char *)y);
    if (is("one_for_all")) one_for_all<<<1, 32>>>(x, y);
    if (is("column_walk")) column_walk<<<1, 32>>>(x, y);
    if (is("row_walk")) row_walk<<<1, 32>>>(x, y);
    if (is("structs")) structs<<<1, 32>>>((Point *)x, (Point *)y);
    if (is("shared_structs")) shared_structs<<<1, 32>>>((double *)y);
    if (is("tile")) tile<32><<<1, dim3(32, 32)>>>(x, y);
    if (is("padded_tile")) tile<33><<<1, dim3(32, 32)>>>(x, y);
    if (is("shared_strided")) shared_strided<<<1, 32>>>(y, number);
    if (is("shared_doubles")) shared_doubles<<<1, 32>>>((double *)y, number);
    if (is("shared_vectors")) shared_vectors<<<1, 32>>>((float4 *)y);
    if (is("shared_one")) shared_one<<<1, 32>>>(y);
    if (is("half_warp")) half_warp<<<1, 32>>>(x, y);
    if (is("small_block")) small_block<<<1, 20>>>(x, y);
    if (is("add_one_cell")) add_one_cell<<<1, 32>>>((int *)x);
    if (is("add_shared")) add_shared<<<1, 32>>>((int *)y);
    if (is("constants")) constants<<<1, 32>>>(y);
    if (is("through_calls")) through_calls<<<1, 32>>>(x, y);
    if (is("uneven")) uneven<<<1, 32>>>(x, y);
    cudaDeviceSynchronize();
    cudaFree(x);
    cudaFree(y);
}
