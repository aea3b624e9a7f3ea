/* copy.cpp: copies and fills, checked against the table of allocations before they are done.

   A card refuses a copy whose direction does not fit its pointers, or that leaves an allocation:
   cudaErrorInvalidValue. Here the reason is told as well: copy-direction, copy-range, or
   bytes-for-elements when the sizes differ by exactly the size of an element. */
#define LAB_RUNTIME
#include <string.h>

#include "error.h"
#include "lab/memory.h"
#include "memory.h"
#include "print.h"
#include "report.h"

namespace lab {

struct Request {
    const char *name; /* of the API call */
    void *to;
    const void *from;
    size_t bytes;
    cudaMemcpyKind kind;
    cudaStream_t stream;
    bool asynchronous;
    Site site;
    void *pc;
};

static const char *word_of(cudaMemcpyKind kind) {
    switch (kind) {
    case cudaMemcpyHostToHost: return "cudaMemcpyHostToHost";
    case cudaMemcpyHostToDevice: return "cudaMemcpyHostToDevice";
    case cudaMemcpyDeviceToHost: return "cudaMemcpyDeviceToHost";
    case cudaMemcpyDeviceToDevice: return "cudaMemcpyDeviceToDevice";
    case cudaMemcpyDefault: return "cudaMemcpyDefault";
    }
    return "an unknown kind";
}

static void complain(const char *kind, const std::string &words, const Allocation &a,
                     const void *pointer, Site site, void *pc) {
    Finding f;
    f.kind = kind;
    f.words = words;
    f.places = {Place("copy", site, pc)};
    if (a)
        f.object = {a.name,  word_of(a.space),
                    a.bytes, static_cast<const char *>(pointer) - a.base,
                    a.pc,    a.site};
    report(f);
}

static std::string describe(const Allocation &a) {
    return "an allocation of " + std::to_string(a.bytes) + " bytes (" + a.name + " at " +
           where(a.site) + ")";
}

/* Whether `bytes` from `p` on stay inside the allocation that p is in, if it is in one. */
static bool in_range(const Request &r, const void *p, const char *side) {
    Allocation a = find_allocation(p);
    if (!a)
        return true;
    size_t left = a.bytes - static_cast<size_t>(static_cast<const char *>(p) - a.base);
    if (r.bytes <= left)
        return true;
    std::string words = std::string(r.name) + " at " + where(r.site) + " copies " +
                        std::to_string(r.bytes) + " bytes " + side + " " + describe(a);
    size_t times = left == a.bytes && r.bytes % a.bytes == 0 ? r.bytes / a.bytes : 0;
    if (times > 1 && times == a.element)
        complain("bytes-for-elements",
                 words + ", " + std::to_string(times) +
                     " times too small: it was given a number "
                     "of elements where bytes are wanted. Multiply by sizeof.",
                 a, p, r.site, r.pc);
    else
        complain("copy-range", words + ", of which " + std::to_string(left) + " are left.", a, p,
                 r.site, r.pc);
    return false;
}

/* What the direction says a pointer is, against what the table knows. */
static bool fits_side(const void *p, bool device) {
    Allocation a = find_allocation(p);
    if (device)
        return a && a.space != Space::host;
    return !a || a.space == Space::pinned || a.space == Space::managed;
}

static bool right_direction(const Request &r) {
    if (r.kind == cudaMemcpyDefault)
        return true;
    bool to_device = r.kind == cudaMemcpyHostToDevice || r.kind == cudaMemcpyDeviceToDevice;
    bool from_device = r.kind == cudaMemcpyDeviceToHost || r.kind == cudaMemcpyDeviceToDevice;
    bool to_fits = fits_side(r.to, to_device), from_fits = fits_side(r.from, from_device);
    if (to_fits && from_fits)
        return true;
    const void *culprit = to_fits ? r.from : r.to;
    bool device = to_fits ? from_device : to_device;
    complain("copy-direction",
             std::string(r.name) + " at " + where(r.site) + " says " + word_of(r.kind) +
                 ", but its " + (to_fits ? "source" : "destination") + " is a pointer of the " +
                 (device ? "host" : "card") + ". The destination comes first, then the source.",
             find_allocation(culprit), culprit, r.site, r.pc);
    return false;
}

static Copy direction(const Request &r) {
    Allocation to = find_allocation(r.to), from = find_allocation(r.from);
    if (to.on_device())
        return from.on_device() ? Copy::device_to_device : Copy::host_to_device;
    return from.on_device() ? Copy::device_to_host : Copy::host_to_host;
}

static cudaError_t check(const Request &r) {
    if (r.bytes && (!r.to || !r.from))
        return cudaErrorInvalidValue;
    if (r.kind < cudaMemcpyHostToHost || r.kind > cudaMemcpyDefault)
        return cudaErrorInvalidMemcpyDirection;
    if (r.bytes && !right_direction(r))
        return cudaErrorInvalidValue;
    if (!in_range(r, r.to, "into") || !in_range(r, r.from, "from"))
        return cudaErrorInvalidValue;
    return cudaSuccess;
}

static cudaError_t finish(const Request &r, cudaError_t error) {
    if (r.asynchronous)
        return done(r.name, error, r.site, r.pc);
    flush_output();
    if (!error)
        observe::synchronised(r.stream, false, r.pc);
    return waited(r.name, error, r.site, r.pc);
}

static cudaError_t copy(const Request &r) {
    if (lost())
        return done(r.name, lost(), r.site, r.pc);
    cudaError_t error = check(r);
    if (!error && r.bytes) {
        Touch touch;
        memmove(r.to, r.from, r.bytes);
        observe::copied(r.to, r.from, r.bytes, direction(r), r.stream, r.asynchronous, r.pc);
    }
    return finish(r, error);
}

static cudaError_t copy_2d(Request r, size_t to_pitch, size_t from_pitch, size_t height) {
    if (lost())
        return done(r.name, lost(), r.site, r.pc);
    if (r.bytes > to_pitch || r.bytes > from_pitch)
        return done(r.name, cudaErrorInvalidPitchValue, r.site, r.pc);
    cudaError_t error = cudaSuccess;
    Touch touch;
    for (size_t row = 0; row < height && !(error = check(r)); row++) {
        memmove(r.to, r.from, r.bytes);
        observe::copied(r.to, r.from, r.bytes, direction(r), r.stream, r.asynchronous, r.pc);
        r.to = static_cast<char *>(r.to) + to_pitch;
        r.from = static_cast<const char *>(r.from) + from_pitch;
    }
    return finish(r, error);
}

static cudaError_t fill(const Request &r, int value) {
    if (lost())
        return done(r.name, lost(), r.site, r.pc);
    if (!r.bytes)
        return done(r.name, cudaSuccess, r.site, r.pc);
    Allocation a = find_allocation(r.to);
    if (!a) {
        complain("host-pointer",
                 std::string(r.name) + " at " + where(r.site) +
                     " was given a pointer of the host; use memset for those.",
                 a, r.to, r.site, r.pc);
        return done(r.name, cudaErrorInvalidValue, r.site, r.pc);
    }
    if (!in_range(r, r.to, "into"))
        return done(r.name, cudaErrorInvalidValue, r.site, r.pc);
    Touch touch;
    memset(r.to, value, r.bytes);
    observe::filled(r.to, r.bytes, r.stream, r.pc);
    return done(r.name, cudaSuccess, r.site, r.pc);
}

cudaError_t copy_symbol(const void *symbol, void *host, size_t bytes, size_t offset,
                        cudaMemcpyKind kind, cudaStream_t stream, bool to, const char *name,
                        Site site) {
    void *pc = __builtin_return_address(0);
    Allocation a = find_allocation(symbol);
    if (!a || a.base != symbol)
        return done(name, cudaErrorInvalidSymbol, site, pc);
    char *at = a.base + offset;
    bool asynchronous = strstr(name, "Async") != nullptr;
    if (to)
        return copy({name, at, host, bytes, kind, stream, asynchronous, site, pc});
    return copy({name, host, at, bytes, kind, stream, asynchronous, site, pc});
}

}

using namespace lab;

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, Site site) {
    return copy(
        {"cudaMemcpy", to, from, bytes, kind, nullptr, false, site, __builtin_return_address(0)});
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream, Site site) {
    return copy({"cudaMemcpyAsync", to, from, bytes, kind, stream, true, site,
                 __builtin_return_address(0)});
}

cudaError_t cudaMemcpy2D(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                         size_t width, size_t height, cudaMemcpyKind kind, Site site) {
    return copy_2d(
        {"cudaMemcpy2D", to, from, width, kind, nullptr, false, site, __builtin_return_address(0)},
        to_pitch, from_pitch, height);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind, cudaStream_t stream,
                              Site site) {
    return copy_2d({"cudaMemcpy2DAsync", to, from, width, kind, stream, true, site,
                    __builtin_return_address(0)},
                   to_pitch, from_pitch, height);
}

cudaError_t cudaMemcpyPeer(void *to, int, const void *from, int, size_t bytes) {
    return copy({"cudaMemcpyPeer",
                 to,
                 from,
                 bytes,
                 cudaMemcpyDefault,
                 nullptr,
                 false,
                 {},
                 __builtin_return_address(0)});
}

cudaError_t cudaMemset(void *at, int value, size_t bytes, Site site) {
    return fill({"cudaMemset", at, nullptr, bytes, cudaMemcpyDefault, nullptr, false, site,
                 __builtin_return_address(0)},
                value);
}

cudaError_t cudaMemsetAsync(void *at, int value, size_t bytes, cudaStream_t stream, Site site) {
    return fill({"cudaMemsetAsync", at, nullptr, bytes, cudaMemcpyDefault, stream, true, site,
                 __builtin_return_address(0)},
                value);
}

cudaError_t cudaMemset2D(void *at, size_t pitch, int value, size_t width, size_t height,
                         Site site) {
    cudaError_t error = cudaSuccess;
    for (size_t row = 0; row < height && !error; row++)
        error = fill({"cudaMemset2D", static_cast<char *>(at) + row * pitch, nullptr, width,
                      cudaMemcpyDefault, nullptr, false, site, __builtin_return_address(0)},
                     value);
    return error;
}

/* Where managed memory lies best is a card's concern; the lab has one memory. */
static cudaError_t hint(const char *name, const void *at) {
    Allocation a = find_allocation(at);
    bool managed = a && a.space == Space::managed;
    return done(name, managed ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaMemPrefetchAsync(const void *at, size_t, cudaMemLocation, unsigned, cudaStream_t) {
    return hint("cudaMemPrefetchAsync", at);
}

cudaError_t cudaMemAdvise(const void *at, size_t, cudaMemoryAdvise, cudaMemLocation) {
    return hint("cudaMemAdvise", at);
}

cudaError_t cudaMemPrefetchAsync(const void *at, size_t, int, cudaStream_t) {
    return hint("cudaMemPrefetchAsync", at);
}

cudaError_t cudaMemAdvise(const void *at, size_t, cudaMemoryAdvise, int) {
    return hint("cudaMemAdvise", at);
}
