// Looks wrong and is right: one barrier a turn is enough, because the buffers take turns. Whoever
// writes a buffer again has passed the barrier that all its readers came to.
#include "zoo.cuh"

__global__ void smooth(float *x, int steps)
{
    __shared__ float buffer[2][128];
    int t = threadIdx.x;
    float value = x[t];
    for (int s = 0; s < steps; ++s) {
        float *cells = buffer[s % 2];
        cells[t] = value;
        __syncthreads();
        value = 0.5f * (cells[t] + cells[(t + 1) % 128]);
    }
    x[t] = value;
}

int main()
{
    float *x = ramp<float>(128);
    smooth<<<1, 128>>>(x, 5);
    finish();
    print_sum(x, 128);
}
