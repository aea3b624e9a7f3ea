// What the twelve programs share: a check of every status, numbers to compute with, a verdict.
//
// The programs beside this file are what a course would set as exercises. nvcc builds them for a
// card and the lab runs them on a CPU, from the same text.
#pragma once

#include <cmath>
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

// Argument number `at` of the program, or `otherwise` where there is none.
inline int argument(int argc, char **argv, int at, int otherwise)
{
    return at < argc ? std::atoi(argv[at]) : otherwise;
}

// n numbers from [-1, 1), the same for the same seed on every machine.
inline std::vector<float> uniform(int n, unsigned seed)
{
    std::vector<float> x(n);
    for (float &value : x) {
        seed = seed * 1664525u + 1013904223u;
        value = static_cast<float>(seed >> 8) / static_cast<float>(1 << 23) - 1.0f;
    }
    return x;
}

// The largest distance of two arrays; NaN counts as infinitely far.
inline double distance(const std::vector<float> &x, const std::vector<float> &y)
{
    double far = x.size() == y.size() ? 0.0 : INFINITY;
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
        double d = std::fabs(static_cast<double>(x[i]) - y[i]);
        far = d <= far ? far : std::isnan(d) ? INFINITY : d;
    }
    return far;
}

// Says how far the card is from the CPU; 1, a bad exit status, where that is too far.
inline int verdict(const char *what, double error, double bound)
{
    bool right = error <= bound;
    std::printf("%s: largest error %.1e, %s\n", what, error, right ? "ok" : "WRONG");
    return right ? 0 : 1;
}

inline int blocks_for(int n, int block) { return (n + block - 1) / block; }
