/* clean.h: what the programs in this folder share. Each calls the kernels of one family of
   c_src/cuda at small shapes, for the lab to watch (test_clean.py). Given an argument, a program
   takes shapes that do not fit packs of 16 bytes. */
#ifndef ETUDE_CLEAN_H
#define ETUDE_CLEAN_H

#include <cuda_runtime.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <vector>

#include "etude.h"

/* Memory of the device, freed at the end, and the context that kernels get. */
struct Device {
    etude_context ctx = {};
    std::vector<void *> all;

    Device()
    {
        ctx.version = ETUDE_INTERFACE;
        ctx.scratch = scratch;
        ctx.impl = this;
    }
    ~Device()
    {
        for (void *p : all)
            must(cudaFree(p));
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
    template <class T> T *empty(int64_t n) { return (T *)bytes((size_t)n * sizeof(T)); }

    template <class T> T *given(const std::vector<T> &values)
    {
        T *p = empty<T>((int64_t)values.size());
        must(cudaMemcpy(p, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
        return p;
    }
    /* n numbers around 0 */
    float *numbers(int64_t n)
    {
        std::vector<float> values((size_t)n);
        for (size_t i = 0; i < values.size(); i++)
            values[i] = (float)(i * 7 % 11) / 4 - 1;
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
    /* Ends the program where a kernel has failed. */
    void ok(int status)
    {
        must(cudaDeviceSynchronize());
        if (status != ETUDE_OK) {
            fprintf(stderr, "status %d: %s\n", status, ctx.error);
            exit(2);
        }
    }
};

#endif
