// pairs.cu: one mistake at a time, and beside it the same without it. `./pairs guard wrong` runs a
// mistake, `./pairs guard right` its twin. test_found.py says what has to be found, and at which
// comment.
#include <cooperative_groups.h>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

constexpr int N = 100;

template <class T> T *device(int n, bool fill = true) {
    T *p;
    cudaMalloc(&p, n * sizeof(T));
    if (fill) cudaMemset(p, 0, n * sizeof(T));
    return p;
}

// ---- Addresses ----------------------------------------------------------------------------------

__global__ void guard(float *x, int n, bool wrong) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (wrong ? i <= n : i < n)
        x[i] = 1;  // STORE BEYOND
}

__global__ void touch(float *x) { x[threadIdx.x] += 1; }  // TOUCH

__global__ void as_vectors(float *x, int shift) {
    float4 v = *(float4 *)(x + shift);  // LOAD VECTOR
    x[0] = v.x + v.y;
}

__global__ void shared_row(float *x, int column) {
    __shared__ float a[4][8];
    a[threadIdx.x / 8][threadIdx.x % 8] = 1;
    __syncthreads();
    x[threadIdx.x] = a[1][column];  // BEYOND ROW
}

__global__ void shared_end(float *x, int shift) {
    __shared__ float a[32];
    float *p = a;
    p[threadIdx.x + shift] = 1;  // BEYOND SHARED
    x[threadIdx.x] = 1;
}

__global__ void dynamic(float *x) {
    extern __shared__ float a[];
    a[threadIdx.x] = 1;  // DYNAMIC
    x[threadIdx.x] = a[threadIdx.x];
}

__global__ void local_array(float *x, int n) {
    float a[4] = {1, 2, 3, 4};
    for (int i = 0; i < n; i++)
        x[i] = a[i];  // BEYOND LOCAL
}

// ---- Memory that was never written --------------------------------------------------------------

__global__ void sum_up(const float *x, float *y) {
    atomicAdd(y, x[threadIdx.x]);  // LOAD UNWRITTEN
}

__global__ void shared_unwritten(float *y, bool wrong) {
    __shared__ float a[32];
    if (!wrong || threadIdx.x < 31)
        a[threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] = a[31 - threadIdx.x];  // SHARED UNWRITTEN
}

struct Padded {
    char tag;
    float value;
};

__global__ void write_members(Padded *p) {
    p[threadIdx.x].tag = 1;
    p[threadIdx.x].value = 2;
}

__global__ void copy_structs(const Padded *p, Padded *q) { q[threadIdx.x] = p[threadIdx.x]; }

// ---- Races --------------------------------------------------------------------------------------

__global__ void neighbours(float *y, bool wrong) {
    __shared__ float s[64];
    s[threadIdx.x] = threadIdx.x;  // STORE OWN
    if (!wrong)
        __syncthreads();
    y[threadIdx.x] = s[63 - threadIdx.x];  // LOAD OTHER
}

__global__ void tiles(const float *x, float *y, bool wrong) {
    __shared__ float s[64];
    float sum = 0;
    for (int k = 0; k < 4; k++) {
        s[threadIdx.x] = x[k * 64 + threadIdx.x];  // STORE TILE
        __syncthreads();
        for (int i = 0; i < 64; i++)
            sum += s[i];  // LOAD TILE
        if (!wrong)
            __syncthreads();
    }
    y[threadIdx.x] = sum;
}

__global__ void last_warp(float *y, bool wrong) {
    __shared__ float s[32];
    s[threadIdx.x] = 1;
    __syncwarp();
    for (int k = 16; k > 0; k /= 2) {
        float other = threadIdx.x < k ? s[threadIdx.x + k] : 0;  // LANE LOADS
        if (!wrong)
            __syncwarp();
        s[threadIdx.x] += other;  // LANE STORES
        if (!wrong)
            __syncwarp();
    }
    if (threadIdx.x == 0)
        *y = s[0];
}

__global__ void volatile_warp(float *y, bool wrong) {
    __shared__ float s[64];
    s[threadIdx.x] = 1;
    __syncthreads();
    if (wrong) {
        volatile float *v = s;
        if (threadIdx.x < 32)
            v[threadIdx.x] += v[threadIdx.x + 16];  // VOLATILE
    }
    __syncthreads();
    if (threadIdx.x == 0)
        *y = s[0];
}

__global__ void shuffled(float *y, bool wrong) {
    __shared__ float s[32];
    s[threadIdx.x] = 1;  // BEFORE SHUFFLE
    int one = __shfl_xor_sync(~0u, 1, 1);
    if (!wrong)
        __syncwarp();
    y[threadIdx.x] = s[(threadIdx.x + one) % 32];  // AFTER SHUFFLE
}

__global__ void histogram(int *bins, bool wrong) {
    if (wrong)
        bins[threadIdx.x % 4] += 1;  // ADD PLAINLY
    else
        atomicAdd(&bins[threadIdx.x % 4], 1);
}

__global__ void blocks_share(float *y, bool wrong) {
    if (threadIdx.x == 0)
        y[wrong ? 0 : blockIdx.x] = blockIdx.x;  // EVERY BLOCK
}

__global__ void flag_all(int *found, bool wrong) {
    if (threadIdx.x % 2 == 0)
        *found = wrong ? threadIdx.x : 1;  // SAME CELL
}

__global__ void add_then_load(int *y, bool wrong) {
    __shared__ int sum;
    if (threadIdx.x == 0)
        sum = 0;
    __syncthreads();
    atomicAdd(&sum, 1);  // ADD
    if (!wrong)
        __syncthreads();
    if (threadIdx.x == 0)
        *y = sum;  // LOAD SUM
}

__device__ unsigned ticket;

__global__ void last_block(float *part, float *y, bool wrong) {
    __shared__ bool last;
    if (threadIdx.x == 0) {
        part[blockIdx.x] = 1;  // STORE PART
        if (!wrong)
            __threadfence();
        last = atomicInc(&ticket, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x < gridDim.x)
        atomicAdd(y, part[threadIdx.x]);  // LOAD PART
}

__global__ void hand_over(float *data, int *flag, float *y, bool wrong) {
    if (threadIdx.x)
        return;
    if (blockIdx.x == 0) {
        *data = 7;  // STORE DATA
        if (!wrong)
            __threadfence();
        *(volatile int *)flag = 1;
    } else {
        while (*(volatile int *)flag == 0) {
        }
        __threadfence();
        *y = *data;  // LOAD DATA
    }
}

__global__ void locked(int *lock, int *sum, bool wrong) {
    if (threadIdx.x == 0) {
        while (atomicCAS(lock, 0, 1) != 0) {
        }
        *sum += 1;  // UNDER LOCK
        if (!wrong)
            __threadfence();
        atomicExch(lock, 0);
    }
}

__global__ void flag_in_shared(float *y, bool wrong) {
    __shared__ volatile int flag;
    __shared__ float data;
    if (threadIdx.x == 0) {
        flag = 0;
        data = 0;
    }
    __syncthreads();
    if (wrong) {
        if (threadIdx.x == 32) {
            data = 1;
            __threadfence_block();
            flag = 1;  // RAISE FLAG
        } else if (threadIdx.x == 0)
            while (flag == 0) {  // POLL FLAG
            }
    }
    __syncthreads();
    y[threadIdx.x] = data;
}

__global__ void whole_grid(float *x, float *y, bool wrong) {
    x[blockIdx.x] = 1;  // BEFORE GRID
    if (!wrong)
        cooperative_groups::this_grid().sync();
    *(y + blockIdx.x) = x[(blockIdx.x + 1) % gridDim.x];  // AFTER GRID
}

__global__ void single_bytes(unsigned char *x, bool wrong) {
    x[threadIdx.x] = 1;  // STORE BYTE
    if (wrong)
        x[(threadIdx.x + 1) % blockDim.x] += 1;  // ADD TO NEXT BYTE
}

__global__ void stale_cell(float *y, bool wrong) {
    __shared__ float total;
    if (threadIdx.x == 0)
        total = 1;
    __syncthreads();
    float mean = total / 2;  // LOAD TOTAL
    if (!wrong)
        __syncthreads();
    if (threadIdx.x == 0)
        total = 0;  // CLEAR TOTAL
    y[threadIdx.x] = mean;
}

struct Pair {
    float key, value;
};

__global__ void whole_structs(Pair *p, bool wrong) {
    if (threadIdx.x < 32)
        p[threadIdx.x] = Pair{1, (float)threadIdx.x};  // STORE PAIR
    if (!wrong)
        __syncthreads();
    if (threadIdx.x >= 32) {
        Pair mine = p[63 - threadIdx.x];  // LOAD PAIR
        p[threadIdx.x] = mine;
    }
}

__global__ void fill(float *x, float value) { x[threadIdx.x] = value; }  // FILL
__global__ void use(const float *x, float *y) { y[threadIdx.x] = x[threadIdx.x]; }  // USE

__global__ void add_in_block(int *sum, bool wrong) {
    if (wrong)
        atomicAdd_block(sum, 1);  // ADD IN BLOCK
    else
        atomicAdd(sum, 1);
}

// ---- What the scheduler finds -------------------------------------------------------------------

__global__ void branches_wait(float *y, bool wrong) {
    if (wrong && threadIdx.x % 2)
        __syncthreads();  // ODD WAITS
    else
        __syncthreads();  // EVEN WAITS
    y[threadIdx.x] = 1;
}

__global__ void spin(int *flag, bool wrong) {
    if (wrong && threadIdx.x == 0)
        while (atomicAdd(flag, 0) == 0) {  // SPIN
        }
}

__global__ void gone_lanes(float *y, bool wrong) {
    if (wrong && threadIdx.x >= 16)
        return;
    y[threadIdx.x] = __shfl_down_sync(~0u, 1.0f, 16);  // SHUFFLE
}

// ---- The cases ----------------------------------------------------------------------------------

std::map<std::string, std::function<void(bool)>> cases = {
    {"guard", [](bool wrong) {
        float *x = device<float>(N);
        guard<<<1, 128>>>(x, N, wrong);
        cudaDeviceSynchronize();
        cudaFree(x);
    }},
    {"after_free", [](bool wrong) {
        float *x = device<float>(32), *other = device<float>(32);
        if (wrong) cudaFree(x);
        touch<<<1, 32>>>(x);
        cudaDeviceSynchronize();
        if (!wrong) cudaFree(x);
        cudaFree(other);
    }},
    {"misaligned", [](bool wrong) {
        float *x = device<float>(32);
        as_vectors<<<1, 1>>>(x, wrong ? 1 : 4);
        printf("%s\n", cudaGetErrorName(cudaDeviceSynchronize()));
        cudaFree(x);
    }},
    {"shared_row", [](bool wrong) {
        float *x = device<float>(32);
        shared_row<<<1, 32>>>(x, wrong ? 8 : 7);
        cudaDeviceSynchronize();
        cudaFree(x);
    }},
    {"shared_end", [](bool wrong) {
        float *x = device<float>(32);
        shared_end<<<1, 32>>>(x, wrong ? 1 : 0);
        cudaDeviceSynchronize();
        cudaFree(x);
    }},
    {"dynamic", [](bool wrong) {
        float *x = device<float>(32);
        dynamic<<<1, 32, wrong ? 32 : 32 * sizeof(float)>>>(x);
        cudaDeviceSynchronize();
        cudaFree(x);
    }},
    {"local_array", [](bool wrong) {
        float *x = device<float>(8);
        local_array<<<1, 1>>>(x, wrong ? 5 : 4);
        cudaDeviceSynchronize();
        cudaFree(x);
    }},
    {"null", [](bool wrong) {
        float *x = device<float>(32);
        touch<<<1, 32>>>(wrong ? nullptr : x);
        printf("%s\n", cudaGetErrorName(cudaDeviceSynchronize()));
        cudaFree(x);
    }},
    {"host_pointer", [](bool wrong) {
        float *x = device<float>(32);
        std::vector<float> mine(32);
        touch<<<1, 32>>>(wrong ? mine.data() : x);
        printf("%s\n", cudaGetErrorName(cudaDeviceSynchronize()));
        cudaFree(x);
    }},
    {"unwritten", [](bool wrong) {
        float *x = device<float>(32, !wrong), *y = device<float>(1);
        sum_up<<<1, 32>>>(x, y);
        cudaDeviceSynchronize();
        cudaFree(x), cudaFree(y);
    }},
    {"unwritten_copy", [](bool wrong) {
        float *x = device<float>(32, !wrong), *copy = device<float>(32), *y = device<float>(1);
        cudaMemcpy(copy, x, 32 * sizeof(float), cudaMemcpyDeviceToDevice);
        sum_up<<<1, 32>>>(copy, y);
        cudaDeviceSynchronize();
        cudaFree(x), cudaFree(copy), cudaFree(y);
    }},
    {"unwritten_managed", [](bool wrong) {
        float *x, *y = device<float>(1);
        cudaMallocManaged(&x, 32 * sizeof(float));
        if (!wrong)
            for (int i = 0; i < 32; i++) x[i] = 0;
        sum_up<<<1, 32>>>(x, y);
        cudaDeviceSynchronize();
        cudaFree(x), cudaFree(y);
    }},
    {"written_by_library", [](bool) {
        float *x, *y = device<float>(1);
        cudaMallocManaged(&x, 32 * sizeof(float));
        FILE *file = fopen("/dev/zero", "rb");
        size_t n = fread(x, sizeof(float), 32, file);
        fclose(file);
        sum_up<<<1, (int)n>>>(x, y);
        cudaDeviceSynchronize();
        cudaFree(x), cudaFree(y);
    }},
    {"shared_unwritten", [](bool wrong) {
        float *y = device<float>(32);
        shared_unwritten<<<1, 32>>>(y, wrong);
        cudaDeviceSynchronize();
        cudaFree(y);
    }},
    {"padding", [](bool) {
        Padded *p = device<Padded>(32, false), *q = device<Padded>(32, false);
        write_members<<<1, 32>>>(p);
        copy_structs<<<1, 32>>>(p, q);
        cudaDeviceSynchronize();
        cudaFree(p), cudaFree(q);
    }},
    {"neighbours", [](bool wrong) {
        float *y = device<float>(64);
        neighbours<<<1, 64>>>(y, wrong);
        cudaDeviceSynchronize();
        cudaFree(y);
    }},
    {"tiles", [](bool wrong) {
        float *x = device<float>(256), *y = device<float>(64);
        tiles<<<1, 64>>>(x, y, wrong);
        cudaDeviceSynchronize();
        cudaFree(x), cudaFree(y);
    }},
    {"last_warp", [](bool wrong) {
        float *y = device<float>(1);
        last_warp<<<1, 32>>>(y, wrong);
        cudaDeviceSynchronize();
        cudaFree(y);
    }},
    {"volatile_warp", [](bool wrong) {
        float *y = device<float>(1);
        volatile_warp<<<1, 64>>>(y, wrong);
        cudaDeviceSynchronize();
        cudaFree(y);
    }},
    {"shuffled", [](bool wrong) {
        float *y = device<float>(32);
        shuffled<<<1, 32>>>(y, wrong);
        cudaDeviceSynchronize();
        cudaFree(y);
    }},
    {"histogram", [](bool wrong) {
        int *bins = device<int>(4);
        histogram<<<2, 64>>>(bins, wrong);
        cudaDeviceSynchronize();
        cudaFree(bins);
    }},
    {"blocks_share", [](bool wrong) {
        float *y = device<float>(4);
        blocks_share<<<4, 32>>>(y, wrong);
        cudaDeviceSynchronize();
        cudaFree(y);
    }},
    {"flag_all", [](bool wrong) {
        int *found = device<int>(1);
        flag_all<<<1, 32>>>(found, wrong);
        cudaDeviceSynchronize();
        cudaFree(found);
    }},
    {"add_then_load", [](bool wrong) {
        int *y = device<int>(1);
        add_then_load<<<1, 64>>>(y, wrong);
        cudaDeviceSynchronize();
        cudaFree(y);
    }},
    {"last_block", [](bool wrong) {
        float *part = device<float>(8), *y = device<float>(1);
        last_block<<<8, 32>>>(part, y, wrong);
        cudaDeviceSynchronize();
        cudaFree(part), cudaFree(y);
    }},
    {"hand_over", [](bool wrong) {
        float *data = device<float>(1), *y = device<float>(1);
        int *flag = device<int>(1);
        hand_over<<<2, 32>>>(data, flag, y, wrong);
        cudaDeviceSynchronize();
        cudaFree(data), cudaFree(y), cudaFree(flag);
    }},
    {"locked", [](bool wrong) {
        int *lock = device<int>(1), *sum = device<int>(1);
        locked<<<4, 32>>>(lock, sum, wrong);
        cudaDeviceSynchronize();
        cudaFree(lock), cudaFree(sum);
    }},
    {"flag_in_shared", [](bool wrong) {
        float *y = device<float>(64);
        flag_in_shared<<<1, 64>>>(y, wrong);
        cudaDeviceSynchronize();
        cudaFree(y);
    }},
    {"whole_grid", [](bool wrong) {
        float *x = device<float>(4), *y = device<float>(4);
        void *arguments[] = {&x, &y, &wrong};
        cudaLaunchCooperativeKernel((void *)whole_grid, dim3(4), dim3(1), arguments, 0, 0);
        cudaDeviceSynchronize();
        cudaFree(x), cudaFree(y);
    }},
    {"stale_cell", [](bool wrong) {
        float *y = device<float>(64);
        stale_cell<<<1, 64>>>(y, wrong);
        cudaDeviceSynchronize();
        cudaFree(y);
    }},
    {"single_bytes", [](bool wrong) {
        unsigned char *x = device<unsigned char>(64);
        single_bytes<<<1, 64>>>(x, wrong);
        cudaDeviceSynchronize();
        cudaFree(x);
    }},
    {"whole_structs", [](bool wrong) {
        Pair *p = device<Pair>(64);
        whole_structs<<<1, 64>>>(p, wrong);
        cudaDeviceSynchronize();
        cudaFree(p);
    }},
    {"add_in_block", [](bool wrong) {
        int *sum = device<int>(1);
        add_in_block<<<2, 32>>>(sum, wrong);
        cudaDeviceSynchronize();
        cudaFree(sum);
    }},
    {"two_streams", [](bool wrong) {
        float *x = device<float>(32), *y = device<float>(32);
        cudaStream_t a, b;
        cudaEvent_t filled;
        cudaStreamCreate(&a), cudaStreamCreate(&b), cudaEventCreate(&filled);
        fill<<<1, 32, 0, a>>>(x, 1);
        cudaEventRecord(filled, a);
        if (!wrong) cudaStreamWaitEvent(b, filled, 0);
        use<<<1, 32, 0, b>>>(x, y);
        cudaDeviceSynchronize();
        cudaStreamDestroy(a), cudaStreamDestroy(b), cudaEventDestroy(filled);
        cudaFree(x), cudaFree(y);
    }},
    {"copy_and_kernel", [](bool wrong) {
        float *x = device<float>(32), *y = device<float>(32), *pinned;
        cudaMallocHost(&pinned, 32 * sizeof(float));
        for (int i = 0; i < 32; i++) pinned[i] = 1;
        cudaStream_t a, b;
        cudaStreamCreate(&a), cudaStreamCreate(&b);
        cudaMemcpyAsync(x, pinned, 32 * sizeof(float), cudaMemcpyHostToDevice, a);  // COPY IN
        use<<<1, 32, 0, wrong ? b : a>>>(x, y);
        cudaDeviceSynchronize();
        cudaMemcpy(pinned, y, 32 * sizeof(float), cudaMemcpyDeviceToHost);
        cudaStreamDestroy(a), cudaStreamDestroy(b);
        cudaFree(x), cudaFree(y), cudaFreeHost(pinned);
    }},
    {"default_stream", [](bool) {  // the default stream stands between the two others
        float *x = device<float>(32), *y = device<float>(32);
        cudaStream_t a, b;
        cudaStreamCreate(&a), cudaStreamCreate(&b);
        fill<<<1, 32, 0, a>>>(x, 1);
        fill<<<1, 32>>>(y, 1);
        use<<<1, 32, 0, b>>>(x, y);
        cudaDeviceSynchronize();
        cudaStreamDestroy(a), cudaStreamDestroy(b);
        cudaFree(x), cudaFree(y);
    }},
    {"nonblocking_stream", [](bool wrong) {  // does not wait for the default stream
        float *x = device<float>(32), *y = device<float>(32);
        cudaStream_t stream;
        cudaStreamCreateWithFlags(&stream, wrong ? cudaStreamNonBlocking : cudaStreamDefault);
        fill<<<1, 32>>>(x, 1);
        use<<<1, 32, 0, stream>>>(x, y);
        cudaDeviceSynchronize();
        cudaStreamDestroy(stream);
        cudaFree(x), cudaFree(y);
    }},
    // ---- The host ----
    {"device_pointer", [](bool wrong) {
        float *x = device<float>(32), mine[32];
        cudaMemcpy(mine, x, sizeof mine, cudaMemcpyDeviceToHost);
        printf("%g\n", wrong ? x[3] : mine[3]);  // HOST LOADS
        cudaFree(x);
    }},
    {"device_memcpy", [](bool wrong) {
        float *x = device<float>(32);
        std::vector<float> mine(32);
        if (wrong)
            memcpy(mine.data(), x, mine.size() * sizeof(float));  // HOST COPIES
        else
            cudaMemcpy(mine.data(), x, mine.size() * sizeof(float), cudaMemcpyDeviceToHost);
        printf("%g\n", mine[3]);
        cudaFree(x);
    }},
    {"managed", [](bool wrong) {
        float *x;
        cudaMallocManaged(&x, 32 * sizeof(float));
        fill<<<1, 32>>>(x, 1);
        if (!wrong) cudaDeviceSynchronize();
        printf("%g\n", x[3]);  // HOST READS MANAGED
        cudaDeviceSynchronize();
        cudaFree(x);
    }},
    {"async_copy", [](bool wrong) {
        float *x = device<float>(32), *mine;
        cudaMallocHost(&mine, 32 * sizeof(float));
        cudaStream_t stream;
        cudaStreamCreate(&stream);
        cudaMemcpyAsync(mine, x, 32 * sizeof(float), cudaMemcpyDeviceToHost, stream);  // COPY OUT
        if (!wrong) cudaStreamSynchronize(stream);
        printf("%g\n", mine[3]);  // HOST READS BUFFER
        cudaDeviceSynchronize();
        cudaStreamDestroy(stream);
        cudaFree(x), cudaFreeHost(mine);
    }},
    {"async_reuse", [](bool wrong) {
        float *x = device<float>(32), *mine;
        cudaMallocHost(&mine, 32 * sizeof(float));
        for (int i = 0; i < 32; i++) mine[i] = 1;
        cudaStream_t stream;
        cudaStreamCreate(&stream);
        cudaMemcpyAsync(x, mine, 32 * sizeof(float), cudaMemcpyHostToDevice, stream);  // COPY IN 2
        if (!wrong) cudaStreamSynchronize(stream);
        mine[3] = 2;  // HOST WRITES BUFFER
        cudaDeviceSynchronize();
        cudaStreamDestroy(stream);
        cudaFree(x), cudaFreeHost(mine);
    }},
    // ---- The scheduler and the API ----
    {"branches_wait", [](bool wrong) {
        float *y = device<float>(64);
        branches_wait<<<1, 64>>>(y, wrong);
        cudaDeviceSynchronize();
        cudaFree(y);
    }},
    {"spin", [](bool wrong) {
        int *flag = device<int>(1);
        spin<<<2, 32>>>(flag, wrong);
        if (cudaDeviceSynchronize() == cudaSuccess) cudaFree(flag);
    }},
    {"gone_lanes", [](bool wrong) {
        float *y = device<float>(32);
        gone_lanes<<<1, 32>>>(y, wrong);
        cudaDeviceSynchronize();
        cudaFree(y);
    }},
    {"leak", [](bool wrong) {
        float *x = device<float>(32);
        touch<<<1, 32>>>(x);
        cudaDeviceSynchronize();
        if (!wrong) cudaFree(x);
    }},
    {"freed_twice", [](bool wrong) {
        float *x = device<float>(32);
        cudaFree(x);
        if (wrong) printf("%s\n", cudaGetErrorName(cudaFree(x)));
    }},
    {"abort", [](bool wrong) {
        float *x = device<float>(N);
        guard<<<1, 128>>>(x, N, wrong);
        cudaDeviceSynchronize();
        if (wrong) abort();
        cudaFree(x);
    }},
    {"too_many_threads", [](bool wrong) {
        float *x = device<float>(2048);
        touch<<<1, wrong ? 2048 : 1024>>>(x);
        cudaDeviceSynchronize();
        cudaFree(x);
    }},
};

int main(int argc, char **argv) {
    if (argc > 2)
        cases.at(argv[1])(std::string(argv[2]) == "wrong");
    else
        for (auto &entry : cases) printf("%s\n", entry.first.c_str());
}
