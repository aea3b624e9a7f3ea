/* cuda_runtime.h: what a CUDA program sees of the lab. The pieces are in lab/. */
#ifndef LAB_CUDA_RUNTIME_H
#define LAB_CUDA_RUNTIME_H

#define ETUDE_LAB 1
#ifndef __CUDACC__
#define __CUDACC__ 1
#endif
#define CUDART_VERSION 13000
#define __CUDACC_VER_MAJOR__ 13
#define __CUDACC_VER_MINOR__ 0
/* The guards of NVIDIA's own headers: other headers ask by them what has been included. */
#define __CUDA_RUNTIME_H__
#define __CUDA_RUNTIME_API_H__
#define __DRIVER_TYPES_H__

#include "lab/watched.h"

/* What a program under nvcc has without asking. */
#include <cmath>
#include <cstdlib>
#include <new>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
