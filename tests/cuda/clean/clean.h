/* clean.h: what the programs in this folder share. Each calls the kernels of one family of
   c_src/cuda at small shapes, for the lab to watch (test_clean.py). Given an argument, a program
   takes shapes that do not fit packs of 16 bytes. Where CLEAN_RESULTS names a file, it writes all
   its arrays there after each call, for tests/lab/mutate to compare. */
#ifndef ETUDE_CLEAN_H
#define ETUDE_CLEAN_H

#include <cuda_runtime.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <type_traits>
#include <vector>

#include "etude.h"

/* An array of the device: what its elements are, and how many bytes they take. */
struct Array {
    void *data;
    char kind; /* as NumPy has it: f, i or u */
    size_t width, bytes;
};

/* Memory of the device, freed at the end, and the context that kernels get. */
struct Device {
    etude_context ctx = {};
    std::vector<void *> all;
    std::vector<Array> arrays;
    FILE *results = NULL;

    Device()
    {
        if (const char *name = getenv("CLEAN_RESULTS"))
            results = fopen(name, "wb");
        ctx.version = ETUDE_INTERFACE;
        ctx.scratch = scratch;
        ctx.impl = this;
    }
    ~Device()
    {
        for (void *p : all)
            must(cudaFree(p));
        if (results)
            fclose(results);
    }
    Device(const Device &) = delete;

    static void must(cudaError_t status)
    {
        if (status != cudaSuccess) {
            fprintf(stderr, "%s\n", cudaGetErrorString(status));
            exit(2);
        }
    }
    void *bytes(size_t n)
    {
        void *p = NULL;
        must(cudaMalloc(&p, n ? n : 1));
        all.push_back(p);
        return p;
    }
    static void *scratch(etude_context *ctx, size_t n) { return ((Device *)ctx->impl)->bytes(n); }

    /* n elements that no kernel may read before it has written them */
    template <class T> T *empty(int64_t n)
    {
        char kind = std::is_floating_point<T>::value ? 'f' : std::is_signed<T>::value ? 'i' : 'u';
        T *p = (T *)bytes((size_t)n * sizeof(T));
        arrays.push_back({p, kind, sizeof(T), (size_t)n * sizeof(T)});
        return p;
    }

    template <class T> T *given(const std::vector<T> &values)
    {
        T *p = empty<T>((int64_t)values.size());
        must(cudaMemcpy(p, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
        return p;
    }
    /* n numbers from -1 to 1 around `middle`, others in each array */
    float *numbers(int64_t n, float middle = 0) { return scaled(n, 1, middle); }

    /* n numbers up to `size` from `middle` */
    float *scaled(int64_t n, float size, float middle = 0)
    {
        std::vector<float> values((size_t)n);
        for (uint32_t i = 0, from = 77 * (uint32_t)all.size(); i < values.size(); i++)
            values[i] = ((float)((from + i) * 2654435761u >> 16 & 1023) / 512 - 1) * size + middle;
        return given(values);
    }
    /* n numbers, every third one of them special */
    float *specials(int64_t n)
    {
        const float some[] = {0, -0.0f, INFINITY, -INFINITY, NAN, 1, -1, 0.5f, 2, 3, -2.5f, 1e-30f,
                              -70, 100, 12345.678f, -3e38f, 3e38f, 7, -0.5f, 6.5f};
        std::vector<float> values((size_t)n);
        for (uint32_t i = 0; i < values.size(); i++)
            values[i] = i % 3 ? (float)(i * 2654435761u >> 16 & 1023) / 128 - 4
                              : some[(i / 3 * 7 + all.size()) % (sizeof some / sizeof *some)];
        return given(values);
    }
    /* n whole numbers from 0 to limit - 1 */
    int64_t *indices(int64_t n, int64_t limit)
    {
        std::vector<int64_t> values((size_t)n);
        for (size_t i = 0; i < values.size(); i++)
            values[i] = (int64_t)(i * 7919 % (size_t)limit);
        return given(values);
    }
    /* n bools */
    uint8_t *bools(int64_t n)
    {
        std::vector<uint8_t> values((size_t)n);
        for (size_t i = 0; i < values.size(); i++)
            values[i] = i % 3 == 0;
        return given(values);
    }
    /* Ends the program where a kernel has failed, or has not failed as it should. */
    void ok(int status, int expected = ETUDE_OK)
    {
        must(cudaDeviceSynchronize());
        if (status != expected) {
            fprintf(stderr, "status %d: %s\n", status, ctx.error);
            exit(2);
        }
        if (results)
            write_arrays();
    }
    void write_arrays()
    {
        for (const Array &a : arrays) {
            std::vector<char> values(a.bytes);
            must(cudaMemcpy(values.data(), a.data, a.bytes, cudaMemcpyDeviceToHost));
            fprintf(results, "%c%zu %zu\n", a.kind, a.width, a.bytes / a.width);
            fwrite(values.data(), 1, a.bytes, results);
        }
    }
};

#endif
