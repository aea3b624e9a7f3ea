"""What the lab does not have, and what to write instead: rows (pattern, what it is, instead).

The source pass (``source.py``) compares the beginning of words with the patterns. A
refusal inside an #if is left to the compiler, which may never see that branch.
"""

from __future__ import annotations

Row = tuple[str, str, str]

_LIBRARY = ("Write the kernel yourself (that is what the lab is for), or take it out by #ifndef "
            "ETUDE_LAB.")

#: Files that are included.
INCLUDES: tuple[Row, ...] = (
    (r"thrust/.*", "Thrust", _LIBRARY),
    (r"cub/.*", "CUB", _LIBRARY),
    (r"cuda/.*", "libcu++", "Use the functions of CUDA itself, such as atomicAdd."),
    (r"cudnn.*\.h", "cuDNN", _LIBRARY),
    (r"curand.*\.h", "cuRAND", "Draw the numbers on the host with <random> and copy them, or "
     "write a small generator (a xorshift) as a __device__ function."),
    (r"cufft.*\.h", "cuFFT", _LIBRARY),
    (r"cusparse.*\.h", "cuSPARSE", _LIBRARY),
    (r"cusolver.*\.h", "cuSOLVER", _LIBRARY),
    (r"(?:nccl|nvshmem).*\.h", "communication between cards", "Run on one device."),
    (r"(?:nvrtc|cupti|nvml).*\.h", "compiler, profiler or driver interface", _LIBRARY),
    (r"mma\.h", "tensor cores (wmma)", "Write the product with ordinary arithmetic; a card is "
     "needed for tensor cores."),
    (r"(?:cutlass|cute)/.*", "CUTLASS", _LIBRARY),
    (r"cuda_texture_types\.h|texture_.*\.h|surface_.*\.h", "textures", "Read the array itself, "
     "with indices clamped to its borders."),
)

_TEXTURES = "Read the array itself, with indices clamped to its borders."
_GRAPHS = "Launch the kernels one after the other in a stream; the order is the same."
_TENSOR = "Write the product with ordinary arithmetic; tensor cores need a card."

#: Words anywhere in the code, with the sign that follows.
WORDS: tuple[Row, ...] = (
    (r"(?:nvcuda|wmma)::", "tensor cores", _TENSOR),
    (r"thrust::", "Thrust", _LIBRARY),
    (r"cub::", "CUB", _LIBRARY),
    (r"(?:texture<|cudaTextureObject_t|cudaSurfaceObject_t|cudaArray(?:_t)?\b"
     r"|(?:tex|surf)(?:1D|2D|3D|Cubemap)\w*[(<]|cudaBindTexture"
     r"|cudaCreate(?:Texture|Surface)Object|cudaMalloc(?:3D)?Array)",
     "textures and surfaces", _TEXTURES),
    (r"cudnn[A-Z]", "cuDNN", _LIBRARY),
    (r"curand(?:[A-Z_]|\b)", "cuRAND", "Draw the numbers on the host, or write a small generator."),
    (r"cufft[A-Z]", "cuFFT", _LIBRARY),
    (r"cusparse[A-Z]", "cuSPARSE", _LIBRARY),
    (r"nccl[A-Z]", "communication between cards", "Run on one device."),
    (r"cudaGraph|cudaStreamBeginCapture|cudaStreamEndCapture", "graphs", _GRAPHS),
    (r"__cluster_dims__|cudaLaunchKernelEx|cudaLaunchAttribute", "thread block clusters",
     "Launch blocks, and let them exchange results through global memory."),
    (r"CUtensorMap|cp_async_bulk", "the tensor memory accelerator", "Copy with ordinary loads."),
    (r"cu(?:Init|Module[A-Z]\w*|LaunchKernel|Ctx[A-Z]\w*|Device[A-Z]\w*|Mem[A-Z]\w*)\(",
     "driver interface", "Use the runtime interface, the functions that begin with cuda."),
    (r"nvrtc[A-Z]", "compiler at run time", "Put the kernel into the file."),
)

#: Calls of which some are there: those that only prepare. What is refused is left to the compiler.
SOME: tuple[Row, ...] = (
    (r"cublas[A-Z]\w*\(", "cuBLAS", "Write the product as a kernel, or take it out by #ifndef "
     "ETUDE_LAB."),
)

#: Words inside functions that run on the device.
ON_DEVICE: tuple[Row, ...] = (
    (r"(?:asm|__asm__|__asm)\b", "inline PTX", "Write it in C++, or with an intrinsic such as "
     "__shfl_down_sync; CUDA C++ has one for nearly everything."),
    (r"cudaMalloc\(|cudaMemcpy\(|cudaLaunchDevice|cudaDeviceSynchronize|cudaStreamCreate",
     "runtime calls inside device code", "Make them on the host, before and after the launch."),
)
