/* nvToolsExtCudaRt.h: names for a profiler. The lab has none. */
#include "nvtx3/nvToolsExt.h"
