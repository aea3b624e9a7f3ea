// What the animals share: a check of every status, and arrays on the device in one call.
//
// An animal is a whole program of a screenful. `#ifdef FIXED` holds its correct twin; a comment
// EXPECT at the end of a line says what the lab must find there in the wrong one.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cuda_runtime.h>
#include <vector>

#define CHECK(call)                                                                              \
    do {                                                                                         \
        cudaError_t status_ = (call);                                                            \
        if (status_ != cudaSuccess) {                                                            \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, cudaGetErrorString(status_)); \
            std::exit(1);                                                                        \
        }                                                                                        \
    } while (0)

constexpr unsigned ALL = 0xffffffff;  // all lanes of a warp

// An array on the device that holds what a host array holds.
template <typename T> T *on_device(const std::vector<T> &host)
{
    T *device;
    CHECK(cudaMalloc(&device, host.size() * sizeof(T)));
    CHECK(cudaMemcpy(device, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice));
    return device;
}

// n cells on the device, all `value`.
template <typename T> T *filled(int n, T value) { return on_device(std::vector<T>(n, value)); }

// 0, 1, 2, ... on the device.
template <typename T> T *ramp(int n)
{
    std::vector<T> host(n);
    for (int i = 0; i < n; ++i) {
        host[i] = static_cast<T>(i);
    }
    return on_device(host);
}

// Waits for the kernels, and asks whether they went well.
inline void finish()
{
    CHECK(cudaGetLastError());
    CHECK(cudaDeviceSynchronize());
}

// Prints the sum of n cells of a device array, and frees it.
template <typename T> void print_sum(T *device, int n)
{
    std::vector<T> host(n);
    CHECK(cudaMemcpy(host.data(), device, n * sizeof(T), cudaMemcpyDeviceToHost));
    CHECK(cudaFree(device));
    double sum = 0.0;
    for (T value : host) {
        sum += static_cast<double>(value);
    }
    std::printf("%.6g\n", sum);
}
