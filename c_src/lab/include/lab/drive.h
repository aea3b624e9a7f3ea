/* drive.h: runs one kernel on inputs that are drawn. The driver program that
   `etude lab run FILE --kernel NAME` writes includes it; nothing else does.

   A Spec says for each parameter of the kernel what it is to be given. Which C++ type that is comes
   from the kernel's own signature, so that templates need nothing more. Arrays go to the device by
   cudaMalloc and cudaMemcpy, as in any program. After the launch a line of JSON for each array says
   what became of it. */
#ifndef LAB_DRIVE_H
#define LAB_DRIVE_H

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace lab::drive {

enum Fill { normal, uniform, range, constant };

struct Spec {
    const char *name;
    size_t count; /* elements of an array; of a number 0 */
    Fill fill;
    double value; /* of constant, and of a number */
};

/* SplitMix64 (Steele, Lea and Flood 2014): small, and the same numbers everywhere. */
struct Random {
    uint64_t state;

    uint64_t next() {
        uint64_t z = (state += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    double unit() { return (next() >> 11) * 0x1p-53; }
    double gauss() { /* Box and Muller 1958 */
        double radius = std::sqrt(-2 * std::log(1 - unit()));
        return radius * std::cos(6.283185307179586 * unit());
    }
};

/* The numbers that a type is made of: float for float4, the type itself for most. */
template <class T, class = void> struct Part {
    using type = T;
};
template <class T> struct Part<T, std::void_t<decltype(T::x)>> {
    using type = std::remove_cv_t<decltype(T::x)>;
};

/* Whole numbers are below `count`, so that they can be indices. */
template <class N> N drawn(const Spec &spec, size_t i, Random &random) {
    if constexpr (std::is_integral_v<N>) {
        switch (spec.fill) {
        case constant: return N(spec.value);
        case range: return N(i);
        default: return N(random.next() % (spec.count ? spec.count : 1));
        }
    } else {
        switch (spec.fill) {
        case constant: return N(float(spec.value));
        case range: return N(float(i));
        case uniform: return N(float(random.unit()));
        default: return N(float(random.gauss()));
        }
    }
}

template <class N> constexpr bool is_number =
    std::is_arithmetic_v<N> || (std::is_constructible_v<N, float> && sizeof(N) <= 8);

template <class N> double as_double(const N &x) {
    if constexpr (std::is_arithmetic_v<N>)
        return double(x);
    else
        return double(float(x));
}

inline uint64_t digest(const void *data, size_t bytes) { /* FNV-1a */
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ static_cast<const unsigned char *>(data)[i]) * 0x100000001b3u;
    return hash;
}

inline void checked(cudaError_t status, const char *what) {
    if (status == cudaSuccess)
        return;
    std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(status));
    std::exit(1);
}

/* A number: it is given as it is. */
template <class P> struct Argument {
    P value{};

    Argument(const Spec &spec, Random &random) {
        if constexpr (is_number<P>)
            value = spec.fill == constant ? P(spec.value) : drawn<P>(spec, 0, random);
    }
    P given() { return value; }
    void tell(FILE *) {}
};

/* An array. */
template <class T> struct Argument<T *> {
    using Element = std::remove_cv_t<T>;
    using Named = typename Part<Element>::type;
    /* A vector of bool has no memory of its own. */
    using Number = std::conditional_t<std::is_same_v<Named, bool>, unsigned char, Named>;
    static constexpr size_t width = sizeof(Element) / sizeof(Number);

    const Spec &spec;
    std::vector<Number> before;
    Element *device = nullptr;

    Argument(const Spec &s, Random &random) : spec(s), before(s.count * width) {
        if constexpr (is_number<Number>)
            for (size_t i = 0; i < before.size(); i++) {
                before[i] = drawn<Number>(spec, i, random);
                if constexpr (std::is_same_v<Named, bool>)
                    before[i] &= 1;
            }
        /* As cudaMalloc does it, but findings call the memory by the parameter's name. */
        checked(allocate_device((void **)&device, bytes() ? bytes() : 1, sizeof(T), spec.name, {}),
                spec.name);
        checked(cudaMemcpy(device, before.data(), bytes(), cudaMemcpyHostToDevice), spec.name);
    }
    size_t bytes() const { return before.size() * sizeof(Number); }
    T *given() { return device; }

    void tell(FILE *out) {
        std::vector<Number> after(before.size());
        checked(cudaMemcpy(after.data(), device, bytes(), cudaMemcpyDeviceToHost), spec.name);
        checked(cudaFree(device), spec.name);
        size_t changed = 0;
        double low = INFINITY, high = -INFINITY, sum = 0;
        std::fprintf(out, "{\"name\":\"%s\",\"count\":%zu,\"width\":%zu,\"const\":%s,\"first\":[",
                     spec.name, spec.count, width, std::is_const_v<T> ? "true" : "false");
        if constexpr (is_number<Number>)
            for (size_t i = 0; i < after.size(); i++) {
                double x = as_double(after[i]);
                changed += std::memcmp(&after[i], &before[i], sizeof(Number)) != 0;
                low = x < low ? x : low;
                high = x > high ? x : high;
                sum += x;
                if (i < 8)
                    std::fprintf(out, "%s\"%.6g\"", i ? "," : "", x);
            }
        std::fprintf(out,
                     "],\"changed\":%zu,\"min\":\"%g\",\"max\":\"%g\",\"mean\":\"%g\","
                     "\"digest\":\"%016llx\"}\n",
                     changed, low, high, after.empty() ? 0 : sum / double(after.size()),
                     (unsigned long long)digest(after.data(), bytes()));
    }
};

template <class... P, class Go, size_t... I>
int run_with(const Spec *specs, uint64_t seed, FILE *out, Go go, std::index_sequence<I...>) {
    Random random{seed};
    std::tuple<Argument<std::remove_cv_t<std::remove_reference_t<P>>>...> arguments{
        Argument<std::remove_cv_t<std::remove_reference_t<P>>>(specs[I], random)...};
    go(std::get<I>(arguments).given()...);
    cudaError_t status = cudaGetLastError();
    cudaError_t later = cudaDeviceSynchronize();
    if (status == cudaSuccess)
        status = later;
    if (status != cudaSuccess) {
        std::fprintf(stderr, "The launch failed: %s\n", cudaGetErrorString(status));
        return 1;
    }
    (std::get<I>(arguments).tell(out), ...);
    return 0;
}

/* `kernel` only tells the types; `go` launches. Results are written to the file `path`. */
template <class... P, class Go>
int run(void (*kernel)(P...), const Spec *specs, uint64_t seed, const char *path, Go go) {
    (void)kernel;
    FILE *out = std::fopen(path, "w");
    if (!out)
        return 1;
    int status = run_with<P...>(specs, seed, out, go, std::index_sequence_for<P...>{});
    std::fclose(out);
    return status;
}

}

#endif
