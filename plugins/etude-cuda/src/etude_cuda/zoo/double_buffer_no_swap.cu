// Two buffers that never take turns: a step reads the buffer that it writes.
#include "zoo.cuh"

__global__ void smooth(float *x, int steps)
{
    __shared__ float buffer[2][128];
    int t = threadIdx.x, now = 0;
    buffer[now][t] = x[t];
    __syncthreads();
    for (int s = 0; s < steps; ++s) {
        float value = 0.5f * (buffer[now][t] + buffer[now][(t + 1) % 128]);  // EXPECT race
#ifdef FIXED
        now = 1 - now;
#endif
        buffer[now][t] = value;  // EXPECT race
        __syncthreads();
    }
    x[t] = buffer[now][t];
}

int main()
{
    float *x = ramp<float>(128);
    smooth<<<1, 128>>>(x, 4);
    finish();
    print_sum(x, 128);
}
