// outputs.cu: what becomes of a kernel's results, and of a program that ends otherwise than it
// should. `./outputs forgotten` runs one case; test_outputs.py says what has to be found.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cuda_runtime.h>
#include <map>
#include <string>
#include <thread>
#include <vector>

constexpr int N = 128;
constexpr size_t BYTES = N * sizeof(float);

__global__ void twice(const float *x, float *y) { y[threadIdx.x] = 2 * x[threadIdx.x]; }
__global__ void in_place(float *x) { x[threadIdx.x] *= 2; }
__global__ void two_results(const float *x, float *y, float *half) {
    y[threadIdx.x] = x[threadIdx.x];
    half[threadIdx.x] = x[threadIdx.x] / 2;
}
__global__ void count_up(int *total) { atomicAdd(total, 1); }
__global__ void add_up(const float *x, float *y) {
    y[threadIdx.x] = 0;
    for (int i = 0; i < 4; i++) y[threadIdx.x] += x[threadIdx.x];
}
__global__ void two_widths(const float *x, float *y) {
    if (threadIdx.x)
        y[threadIdx.x] = x[threadIdx.x];
    else
        reinterpret_cast<char *>(y)[0] = reinterpret_cast<char *>(y)[1] = 0;
}

std::vector<float> host(N, 1);

template <class T> T *device(int n) {
    T *x;
    cudaMalloc(&x, n * sizeof(T));
    return x;
}

float *on_device() {
    float *x = device<float>(N);
    cudaMemcpy(x, host.data(), BYTES, cudaMemcpyHostToDevice);
    return x;
}

void back(float *x, size_t bytes = BYTES) {
    cudaMemcpy(host.data(), x, bytes, cudaMemcpyDeviceToHost);
}

void free_all(std::vector<void *> all) {
    for (void *x : all) cudaFree(x);
}

double sum(const float *x, int from, int to) {
    double total = 0;
    for (int i = from; i < to; i++) total += x[i];
    return total;
}

void one_launch(void (*after)(float *y)) {
    float *x = on_device(), *y = device<float>(N);
    twice<<<1, N>>>(x, y);  // LAUNCH
    after(y);
    free_all({x, y});
}

float *nowhere;
volatile int zero;

int deeper(int n) {  // RECURSES
    volatile char room[4096];
    room[0] = (char)n;
    return n < 0 ? 0 : room[0] + deeper(n + 1);
}

void work_alone(int number, bool *right) {
    cudaStream_t stream;
    cudaStreamCreate(&stream);
    float *x = device<float>(N), *y = device<float>(N);
    std::vector<float> mine(N, (float)number);
    for (int i = 0; i < 4; i++) {
        cudaMemcpyAsync(x, mine.data(), BYTES, cudaMemcpyHostToDevice, stream);
        twice<<<1, N, 0, stream>>>(x, y);
        cudaMemcpyAsync(mine.data(), y, BYTES, cudaMemcpyDeviceToHost, stream);
        cudaStreamSynchronize(stream);
    }
    *right = mine[N - 1] == 16 * number;
    free_all({x, y});
    cudaStreamDestroy(stream);
}

std::map<std::string, void (*)()> cases = {
    // ---- Results that nobody reads ----
    {"forgotten", [] { one_launch([](float *) { cudaDeviceSynchronize(); }); }},
    {"copied", [] { one_launch([](float *y) { back(y); }); }},
    {"left_at_exit", [] { one_launch([](float *) { exit(0); }); }},
    {"found_wrong", [] { one_launch([](float *) { exit(host[0] == 2 ? 0 : 3); }); }},
    {"read_by_the_host", [] { one_launch([](float *y) { printf("%g\n", y[0]); }); }},
    {"call_failed", [] { one_launch([](float *y) {
        if (cudaMemcpy(host.data(), y, BYTES, cudaMemcpyHostToDevice) != cudaSuccess) exit(3);
    }); }},
    {"by_product", [] {
        float *x = on_device(), *y = device<float>(N), *half = device<float>(N);
        two_results<<<1, N>>>(x, y, half);
        back(y);
        free_all({x, y, half});
    }},
    {"part_copied", [] { one_launch([](float *y) { back(y, sizeof(float)); }); }},
    {"other_kernel", [] { one_launch([](float *y) {
        float *z = device<float>(N);
        twice<<<1, N>>>(y, z);
        back(z);
        cudaFree(z);
    }); }},
    {"written_over", [] { one_launch([](float *y) { cudaMemset(y, 0, BYTES); }); }},
    {"launched_again", [] { one_launch([](float *y) {
        float *x = on_device();
        twice<<<1, N>>>(x, y);
        cudaFree(x);
    }); }},
    {"by_product_of_a_second", [] {
        float *x = on_device(), *y = device<float>(N), *half = device<float>(N);
        twice<<<1, N>>>(x, y);
        in_place<<<1, N>>>(y);
        two_results<<<1, N>>>(x, y, half);
        twice<<<1, N>>>(y, x);
        back(x);
        free_all({x, y, half});
    }},
    {"changed_in_place", [] {
        float *x = on_device();
        in_place<<<1, N>>>(x);  // LAUNCH
        free_all({x});
    }},
    {"added_up", [] {
        float *x = on_device(), *y = device<float>(N);
        add_up<<<1, N>>>(x, y);  // LAUNCH
        free_all({x, y});
    }},
    {"by_atomics", [] {
        float *x = on_device();
        int *total = device<int>(1);
        cudaMemset(total, 0, sizeof(int));
        count_up<<<1, N>>>(total);
        free_all({x, total});
    }},
    {"nothing_given", [] {
        float *x = device<float>(N);
        cudaMemset(x, 0, BYTES);
        in_place<<<1, N>>>(x);
        free_all({x});
    }},
    {"managed", [] {
        float *x = on_device(), *y;
        cudaMallocManaged(&y, BYTES);
        twice<<<1, N>>>(x, y);
        cudaDeviceSynchronize();
        free_all({x, y});
    }},
    // ---- Copies of n bytes where n elements were meant ----
    {"short", [] { one_launch([](float *y) {
        cudaMemcpy(host.data(), y, N, cudaMemcpyDeviceToHost);  // COPY
        printf("%g\n", sum(host.data(), 0, N));
    }); }},
    {"short_until_it_differs", [] { one_launch([](float *y) {
        cudaMemcpy(host.data(), y, N, cudaMemcpyDeviceToHost);  // COPY
        for (int i = 0; i < N; i++)
            if (host[i] != 2) exit(1);
    }); }},
    {"short_and_unread", [] { one_launch([](float *y) {
        back(y, N);
        printf("%g\n", sum(host.data(), 0, N / 4));
    }); }},
    {"short_and_then_written", [] { one_launch([](float *y) {
        back(y, N);
        for (int i = N / 4; i < N; i++) host[i] = 0;
        printf("%g\n", sum(host.data(), 0, N));
    }); }},
    {"first_quarter", [] { one_launch([](float *y) {
        float both[N / 2] = {};
        cudaMemcpy(both, y, N, cudaMemcpyDeviceToHost);
        printf("%g\n", sum(both, 0, N / 4) + both[N / 4]);
    }); }},
    {"in_parts", [] { one_launch([](float *y) {
        for (int part = 0; part < 4; part++)
            cudaMemcpy(host.data() + part * N / 4, y + part * N / 4, N, cudaMemcpyDeviceToHost);
        printf("%g\n", sum(host.data(), 0, N));
    }); }},
    {"of_two_widths", [] {
        float *x = on_device(), *y = device<float>(N);
        two_widths<<<1, N>>>(x, y);
        back(y, N);
        printf("%g\n", sum(host.data(), 0, N));
        free_all({x, y});
    }},
    // ---- Ends ----
    {"null", [] { one_launch([](float *y) {
        back(y);
        nowhere[3] = 1;  // FOLLOWS NULL
    }); }},
    {"before_any_launch", [] {
        printf("%g\n", *nowhere);  // READS NULL
    }},
    {"in_the_library", [] {
        printf("%zu\n", strlen(reinterpret_cast<char *>(nowhere)));  // ASKS THE LIBRARY
    }},
    {"by_zero", [] {
        printf("%d\n", 7 / zero);  // DIVIDES
    }},
    {"too_deep", [] { printf("%d\n", deeper(0)); }},
    {"leak", [] { device<float>(N); }},
    {"leak_and_error", [] {
        device<float>(N);
        exit(3);
    }},
    // ---- Several threads of the host, each with a stream and arrays of its own ----
    {"threads", [] {
        bool right[4];
        std::vector<std::thread> all;
        for (int i = 0; i < 4; i++) all.emplace_back(work_alone, i + 1, right + i);
        for (std::thread &one : all) one.join();
        printf("%d\n", right[0] && right[1] && right[2] && right[3]);
    }},
};

int main(int argc, char **argv) {
    if (argc > 1)
        cases.at(argv[1])();
    else
        for (auto &entry : cases) printf("%s\n", entry.first.c_str());
}
