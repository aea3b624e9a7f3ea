/* kernel.cpp: what is said about a kernel by name: how much shared memory it may ask for.

   cudaFuncSetAttribute is a macro here, which hands over the text that names the kernel. A launch
   knows its kernel by text too. The text of template arguments may differ between the two (T and
   float), so only what stands before them counts. */
#define LAB_RUNTIME

#include <map>
#include <mutex>

#include "device.h"
#include "error.h"
#include "lab/program.h"
#include "launch.h"
#include "report.h"

namespace lab {

static std::mutex lock;
static std::map<std::string, size_t> &granted() {
    static auto &map = *new std::map<std::string, size_t>();
    return map;
}

static std::map<std::string, size_t> &static_shared() {
    static auto &map = *new std::map<std::string, size_t>();
    return map;
}

/* "(const void *)&reduce<float, 4>" is "reduce". */
static std::string plain(const char *text) {
    std::string name = text;
    size_t cast = name.find(')');
    if (name[0] == '(' && cast != std::string::npos)
        name = name.substr(cast + 1);
    name = name.substr(0, name.find('<'));
    size_t first = name.find_first_not_of(" &:(");
    size_t last = name.find_last_not_of(" )");
    return first == std::string::npos ? "" : name.substr(first, last - first + 1);
}

size_t shared_limit(const char *kernel) {
    std::lock_guard<std::mutex> hold(lock);
    auto found = granted().find(plain(kernel));
    return found == granted().end() ? SHARED_LIMIT : found->second;
}

cudaError_t set_attribute(const char *kernel, cudaFuncAttribute attribute, int value) {
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout)
        return done("cudaFuncSetAttribute", cudaSuccess);
    bool fits = value >= 0 && static_cast<size_t>(value) <= card().shared_optin;
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || !fits)
        return done("cudaFuncSetAttribute", cudaErrorInvalidValue);
    std::lock_guard<std::mutex> hold(lock);
    granted()[plain(kernel)] = static_cast<size_t>(value) < SHARED_LIMIT ? SHARED_LIMIT : value;
    return done("cudaFuncSetAttribute", cudaSuccess);
}

/* The shared arrays of a kernel are known once it has run, its registers never. */
void remember_static_shared(const char *kernel, size_t bytes) {
    std::lock_guard<std::mutex> hold(lock);
    static_shared()[plain(kernel)] = bytes;
}

cudaError_t function_attributes(cudaFuncAttributes *out, const char *kernel) {
    *out = {};
    out->sharedSizeBytes = static_shared()[plain(kernel)];
    out->maxThreadsPerBlock = THREAD_LIMIT;
    out->binaryVersion = out->ptxVersion = card().major * 10 + card().minor;
    out->maxDynamicSharedSizeBytes = static_cast<int>(shared_limit(kernel));
    return done("cudaFuncGetAttributes", cudaSuccess);
}

cudaError_t no_such_kernel(const char *kernel, Site site) {
    Finding f;
    f.kind = "unsupported";
    f.words = std::string("the launch at ") + where(site) + " gives its kernel as " + kernel +
              ", a void pointer; the lab needs the kernel's type. Write the kernel's name.";
    f.places = {Place("launch", site)};
    report(f);
    return done("cudaLaunchKernel", cudaErrorInvalidDeviceFunction, site);
}

cudaError_t status_of_launch() { return cudaPeekAtLastError(); }

cudaError_t occupancy(int *blocks, int threads, size_t shared) {
    if (!blocks || threads < 1)
        return done("cudaOccupancyMaxActiveBlocksPerMultiprocessor", cudaErrorInvalidValue);
    *blocks = blocks_that_fit(static_cast<unsigned>(threads), shared);
    return done("cudaOccupancyMaxActiveBlocksPerMultiprocessor", cudaSuccess);
}

cudaError_t best_block(int *grid, int *block, size_t (*shared)(void *, int), void *data,
                       int limit) {
    int top = limit > 0 && limit < static_cast<int>(THREAD_LIMIT) ? limit : THREAD_LIMIT;
    int most = 0;
    for (int threads = top / 32 * 32; threads > 0; threads -= 32) {
        int fit = blocks_that_fit(static_cast<unsigned>(threads), shared(data, threads));
        if (fit * threads > most) {
            most = fit * threads;
            *block = threads;
            *grid = fit * card().sms;
        }
    }
    return done("cudaOccupancyMaxPotentialBlockSize", most ? cudaSuccess : cudaErrorInvalidValue);
}

}
