// Looks wrong and is right: threads write neighbouring bytes of one word. Bytes have owners, words
// have not.
#include "zoo.cuh"

__global__ void label(unsigned char *shades, short *ranks)
{
    __shared__ unsigned char cells[64];
    int t = threadIdx.x;
    cells[t] = static_cast<unsigned char>(3 * t);
    shades[t] = cells[t];
    ranks[t] = static_cast<short>(-t);
}

int main()
{
    unsigned char *shades = filled<unsigned char>(64, 0);
    short *ranks = filled<short>(64, 0);
    label<<<1, 64>>>(shades, ranks);
    finish();
    print_sum(shades, 64);
    print_sum(ranks, 64);
}
