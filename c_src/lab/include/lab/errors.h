/* errors.h: the errors of the runtime API, with the numbers and texts that they have on a card.

   LAB_ERRORS(row) calls row(number, name, text) for each. Those of a kernel that went wrong (700
   and most above) are sticky: every later call returns them, as the context is lost. */
#ifndef LAB_ERRORS_H
#define LAB_ERRORS_H

#define LAB_ERRORS(row)                                                                            \
    row(0, cudaSuccess, "no error")                                                                \
    row(1, cudaErrorInvalidValue, "invalid argument")                                              \
    row(2, cudaErrorMemoryAllocation, "out of memory")                                             \
    row(3, cudaErrorInitializationError, "initialization error")                                   \
    row(4, cudaErrorCudartUnloading, "driver shutting down")                                       \
    row(5, cudaErrorProfilerDisabled, "profiler disabled while using external profiling tool")     \
    row(6, cudaErrorProfilerNotInitialized,                                                        \
        "profiler not initialized: call cudaProfilerInitialize()")                                 \
    row(7, cudaErrorProfilerAlreadyStarted, "profiler already started")                            \
    row(8, cudaErrorProfilerAlreadyStopped, "profiler already stopped")                            \
    row(9, cudaErrorInvalidConfiguration, "invalid configuration argument")                        \
    row(12, cudaErrorInvalidPitchValue, "invalid pitch argument")                                  \
    row(13, cudaErrorInvalidSymbol, "invalid device symbol")                                       \
    row(17, cudaErrorInvalidDevicePointer, "invalid device pointer")                               \
    row(18, cudaErrorInvalidTexture, "invalid texture reference")                                  \
    row(21, cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy")                  \
    row(22, cudaErrorAddressOfConstant, "invalid address of constant")                             \
    row(35, cudaErrorInsufficientDriver,                                                           \
        "CUDA driver version is insufficient for CUDA runtime version")                            \
    row(36, cudaErrorCallRequiresNewerDriver,                                                      \
        "API call is not supported in the installed CUDA driver")                                  \
    row(46, cudaErrorDevicesUnavailable, "CUDA-capable device(s) is/are busy or unavailable")      \
    row(49, cudaErrorIncompatibleDriverContext, "incompatible driver context")                     \
    row(52, cudaErrorMissingConfiguration, "__global__ function call is not configured")           \
    row(98, cudaErrorInvalidDeviceFunction, "invalid device function")                             \
    row(100, cudaErrorNoDevice, "no CUDA-capable device is detected")                              \
    row(101, cudaErrorInvalidDevice, "invalid device ordinal")                                     \
    row(201, cudaErrorDeviceUninitialized, "invalid device context")                               \
    row(209, cudaErrorNoKernelImageForDevice,                                                      \
        "no kernel image is available for execution on the device")                                \
    row(214, cudaErrorECCUncorrectable, "uncorrectable ECC error encountered")                     \
    row(215, cudaErrorUnsupportedLimit, "limit is not supported on this architecture")             \
    row(217, cudaErrorPeerAccessUnsupported,                                                       \
        "peer access is not supported between these two devices")                                  \
    row(218, cudaErrorInvalidPtx, "a PTX JIT compilation failed")                                  \
    row(219, cudaErrorInvalidGraphicsContext, "invalid OpenGL or DirectX context")                 \
    row(222, cudaErrorUnsupportedPtxVersion,                                                       \
        "the provided PTX was compiled with an unsupported toolchain.")                            \
    row(226, cudaErrorContained,                                                                   \
        "Invalid access of peer GPU memory over nvlink or a hardware error")                       \
    row(400, cudaErrorInvalidResourceHandle, "invalid resource handle")                            \
    row(401, cudaErrorIllegalState, "the operation cannot be performed in the present state")      \
    row(500, cudaErrorSymbolNotFound, "named symbol not found")                                    \
    row(600, cudaErrorNotReady, "device not ready")                                                \
    row(700, cudaErrorIllegalAddress, "an illegal memory access was encountered")                  \
    row(701, cudaErrorLaunchOutOfResources, "too many resources requested for launch")             \
    row(702, cudaErrorLaunchTimeout, "the launch timed out and was terminated")                    \
    row(703, cudaErrorLaunchIncompatibleTexturing, "launch uses incompatible texturing mode")      \
    row(704, cudaErrorPeerAccessAlreadyEnabled, "peer access is already enabled")                  \
    row(705, cudaErrorPeerAccessNotEnabled, "peer access has not been enabled")                    \
    row(708, cudaErrorSetOnActiveProcess, "cannot set while device is active in this process")     \
    row(709, cudaErrorContextIsDestroyed, "context is destroyed")                                  \
    row(710, cudaErrorAssert, "device-side assert triggered")                                      \
    row(712, cudaErrorHostMemoryAlreadyRegistered,                                                 \
        "part or all of the requested memory range is already mapped")                             \
    row(713, cudaErrorHostMemoryNotRegistered,                                                     \
        "pointer does not correspond to a registered memory region")                               \
    row(715, cudaErrorIllegalInstruction, "an illegal instruction was encountered")                \
    row(716, cudaErrorMisalignedAddress, "misaligned address")                                     \
    row(717, cudaErrorInvalidAddressSpace,                                                         \
        "operation not supported on global/shared address space")                                  \
    row(718, cudaErrorInvalidPc, "invalid program counter")                                        \
    row(719, cudaErrorLaunchFailure, "unspecified launch failure")                                 \
    row(720, cudaErrorCooperativeLaunchTooLarge, "too many blocks in cooperative launch")          \
    row(800, cudaErrorNotPermitted, "operation not permitted")                                     \
    row(801, cudaErrorNotSupported, "operation not supported")                                     \
    row(900, cudaErrorStreamCaptureUnsupported,                                                    \
        "operation not permitted when stream is capturing")                                        \
    row(999, cudaErrorUnknown, "unknown error")

#define LAB_ROW(number, name, text) name = number,
enum cudaError { LAB_ERRORS(LAB_ROW) };
#undef LAB_ROW
typedef enum cudaError cudaError_t;

#endif
