// A host pointer inside a struct: the struct was copied to the device, what it points to was not.
#include "zoo.cuh"

struct Vector {
    float *data;
    int n;
};

__global__ void twice(const Vector *v)
{
    if (threadIdx.x < v->n) {
        v->data[threadIdx.x] *= 2.0f;  // EXPECT host-pointer
    }
}

int main()
{
    std::vector<float> host(50, 1.0f);
    float *data = on_device(host);
#ifdef FIXED
    Vector vector{data, 50};
#else
    Vector vector{host.data(), 50};
#endif
    Vector *v = filled(1, vector);
    twice<<<1, 64>>>(v);
    finish();
    print_sum(data, 50);
    CHECK(cudaFree(v));
}
