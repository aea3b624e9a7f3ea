// Bodies that attract one another: all pairs, several steps in one cooperative launch.
//
//     n_body [bodies steps]
//
// float4 holds place and mass. A block walks over all bodies in tiles of its own size. Between the
// force and the move the whole grid must wait, and does so without a new launch.
#include "course.cuh"
#include <cassert>
#include <cooperative_groups.h>

namespace cg = cooperative_groups;

constexpr int BLOCK = 64;
constexpr float SOFTENING = 0.05f, DT = 0.01f;

__host__ __device__ inline void add_pull(float4 me, float4 other, float3 &pull)
{
    float dx = other.x - me.x, dy = other.y - me.y, dz = other.z - me.z;
    float r2 = dx * dx + dy * dy + dz * dz + SOFTENING * SOFTENING;
#ifdef __CUDA_ARCH__
    float inverse = rsqrtf(r2);
#else
    float inverse = 1.0f / sqrtf(r2);
#endif
    float scale = other.w * inverse * inverse * inverse;
    pull.x += dx * scale;
    pull.y += dy * scale;
    pull.z += dz * scale;
}

__host__ __device__ inline void move(float4 &body, float4 &speed, float3 pull)
{
    speed.x += DT * pull.x;
    speed.y += DT * pull.y;
    speed.z += DT * pull.z;
    body.x += DT * speed.x;
    body.y += DT * speed.y;
    body.z += DT * speed.z;
}

__global__ void simulate(float4 *bodies, float4 *speeds, int n, int steps)
{
    __shared__ float4 tile[BLOCK];
    cg::grid_group grid = cg::this_grid();
    assert(blockDim.x == BLOCK);
    const int i = blockIdx.x * BLOCK + threadIdx.x;
    for (int step = 0; step < steps; ++step) {
        const float4 me = i < n ? bodies[i] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        float3 pull = make_float3(0.0f, 0.0f, 0.0f);
        for (int first = 0; first < n; first += BLOCK) {
            const int j = first + threadIdx.x;
            tile[threadIdx.x] = j < n ? bodies[j] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
            __syncthreads();
            for (const float4 &other : tile) {
                add_pull(me, other, pull);  // what is past the end has no mass
            }
            __syncthreads();
        }
        grid.sync();  // everybody has read the places of this step
        if (i < n) {
            float4 moved = me, speed = speeds[i];
            move(moved, speed, pull);
            bodies[i] = moved;
            speeds[i] = speed;
        }
        grid.sync();  // and the next step sees all of the new ones
    }
}

int main(int argc, char **argv)
{
    int n = argument(argc, argv, 1, 150), steps = argument(argc, argv, 2, 2);
    std::vector<float> drawn = uniform(4 * n, 16);
    float4 *bodies;
    float4 *speeds;  // three numbers and a spare one, for one load of 16 bytes
    CHECK(cudaMallocManaged(&bodies, n * sizeof(float4)));
    CHECK(cudaMallocManaged(&speeds, n * sizeof(float4)));
    std::vector<float4> now(n), next(n);
    std::vector<float4> right_speeds(n, make_float4(0.0f, 0.0f, 0.0f, 0.0f));
    for (int i = 0; i < n; ++i) {
        float mass = (drawn[4 * i + 3] + 1.5f) / n;
        now[i] = bodies[i] = make_float4(drawn[4 * i], drawn[4 * i + 1], drawn[4 * i + 2], mass);
        speeds[i] = right_speeds[i];
    }
    int together = 0;
    CHECK(cudaDeviceGetAttribute(&together, cudaDevAttrCooperativeLaunch, 0));
    if (!together) {
        std::printf("n_body: this card has no cooperative launch\n");
        return 1;
    }
    void *arguments[] = {&bodies, &speeds, &n, &steps};
    CHECK(cudaLaunchCooperativeKernel((void *)simulate, dim3(blocks_for(n, BLOCK)), dim3(BLOCK),
                                      arguments, 0, nullptr));
    CHECK(cudaDeviceSynchronize());

    for (int step = 0; step < steps; ++step) {
        for (int i = 0; i < n; ++i) {
            float3 pull = make_float3(0.0f, 0.0f, 0.0f);
            for (int j = 0; j < n; ++j) {
                add_pull(now[i], now[j], pull);
            }
            next[i] = now[i];
            move(next[i], right_speeds[i], pull);
        }
        now = next;
    }
    std::vector<float> found, right;
    for (int i = 0; i < n; ++i) {
        found.insert(found.end(), {bodies[i].x, bodies[i].y, bodies[i].z});
        right.insert(right.end(), {now[i].x, now[i].y, now[i].z});
    }
    CHECK(cudaFree(bodies));
    CHECK(cudaFree(speeds));
    return verdict("n_body", distance(found, right), 1e-4);
}
