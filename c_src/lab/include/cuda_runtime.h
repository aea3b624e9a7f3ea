/* cuda_runtime.h: what a CUDA program sees of the lab. The pieces are in lab/. */
#ifndef LAB_CUDA_RUNTIME_H
#define LAB_CUDA_RUNTIME_H

#define ETUDE_LAB 1
#ifndef __CUDACC__
#define __CUDACC__ 1
#endif
#define CUDART_VERSION 13000

#include "lab/vector.h"
#include "lab/index.h"
#include "lab/launch.h"
#include "lab/shared.h"
#include "lab/sync.h"
#include "lab/atomic.h"
#include "lab/warp.h"
#include "lab/math.h"
#include "lab/load.h"
#include "lab/errors.h"
#include "lab/device.h"
#include "lab/memory.h"
#include "lab/stream.h"
#include "lab/program.h"

#endif
