// An array of structs of which one field is read: the rest of each sector is brought in vain.
#include "zoo.cuh"

struct Particle {
    float x, y, z, vx, vy, vz, mass, charge;
};

#ifdef FIXED
__global__ void energy(const float *mass, float *y)
{
    y[threadIdx.x] = 9.81f * mass[threadIdx.x];
}
#else
__global__ void energy(const Particle *p, float *y)
{
    y[threadIdx.x] = 9.81f * p[threadIdx.x].mass;  // EXPECT uncoalesced
}
#endif

int main()
{
    const int n = 256;
    float *y = filled(n, 0.0f);
#ifdef FIXED
    float *p = filled(n, 2.0f);
#else
    Particle *p = filled(n, Particle{0, 0, 0, 0, 0, 0, 2.0f, 0});
#endif
    energy<<<1, n>>>(p, y);
    finish();
    print_sum(y, n);
    CHECK(cudaFree(p));
}
