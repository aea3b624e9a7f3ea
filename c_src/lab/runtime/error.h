/* error.h: what an API call returns, and the errors that stay. error.cpp tells the rules. */
#ifndef LAB_ERROR_H
#define LAB_ERROR_H

#include "lab/errors.h"
#include "thread.h"

namespace lab {

/* Every API call ends with `return done(name, error)`: what it returns is remembered, and when the
   context is lost, that is what it returns. */
cudaError_t done(const char *name, cudaError_t error, Site site = {}, void *pc = nullptr);

/* A call that waits for kernels: the error of one that went wrong shows here, and stays. */
cudaError_t waited(const char *name, cudaError_t error, Site site = {}, void *pc = nullptr);

/* A kernel went wrong; or a launch was refused, which leaves the context whole. */
void kernel_failed(const LaunchInfo &launch, cudaError_t error);
void launch_refused(const LaunchInfo &launch, cudaError_t error);

/* The error that makes every call fail; cudaSuccess while all is well. */
cudaError_t lost();
void forget_errors(); /* cudaDeviceReset */

/* At exit: reports an error that nobody asked for. */
void look_for_ignored_errors(int exit_status);

const char *text_of(cudaError_t error);
const char *name_of(cudaError_t error);

}

#endif
