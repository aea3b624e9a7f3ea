/* kernel.cpp: what is said about a kernel by name: how much shared memory it may ask for.

   cudaFuncSetAttribute is a macro here, which hands over the text that names the kernel. A launch
   knows its kernel by text too. The text of template arguments may differ between the two (T and
   float), so only what stands before them counts. */
#define LAB_RUNTIME
#include "lab/kernel.h"

#include <map>
#include <mutex>

#include "device.h"
#include "error.h"
#include "launch.h"
#include "report.h"

namespace lab {

static std::mutex lock;
static std::map<std::string, size_t> &granted() {
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

}
