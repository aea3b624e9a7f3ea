/* memory.cpp: memory of the card, which is the host's, and the table that knows whose is whose.

   Allocations begin at multiples of 256 bytes, as on a card. In inspect mode a freed one is kept
   for a while, so that its address means nothing else yet when a kernel still uses it.
   LAB_NO_TOUCH=1 puts each allocation on pages of its own, which only kernels and copies reach. */
#define LAB_RUNTIME
#include "memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <deque>
#include <map>
#include <mutex>

#include "device.h"
#include "error.h"
#include "lab/memory.h"
#include "report.h"

namespace lab {

constexpr size_t ALIGN = 256;
constexpr size_t KEPT = 256u << 20; /* bytes of freed memory that inspect mode holds back */
constexpr size_t PAGE = 65536;      /* a multiple of every page size there is */

struct Table {
    std::recursive_mutex lock;
    std::map<uintptr_t, Allocation> live; /* by address */
    std::deque<Allocation> kept;
    size_t kept_bytes = 0, in_use = 0;
    int touching = 0;
};

/* Never destroyed: symbols of the program enter before main and nothing leaves after it. */
static Table &table() {
    static Table &t = *new Table();
    return t;
}

static const bool no_touch = [] {
    const char *text = getenv("LAB_NO_TOUCH");
    return text && *text == '1';
}();

static size_t pages(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

/* In inspect mode 64 KiB on both sides of each block belong to nobody. */
static size_t with_gaps(size_t bytes) { return pages(bytes) + 2 * PAGE; }

static bool guarded(const Allocation &a) { return no_touch && a.space == Space::global; }

const char *word_of(Space space) {
    switch (space) {
    case Space::global: return "global";
    case Space::managed: return "managed";
    case Space::pinned: return "pinned";
    case Space::constant: return "constant";
    case Space::shared: return "shared";
    case Space::host: return "host";
    }
    return "";
}

/* ---- The table ----------------------------------------------------------------------------- */

static Allocation find(Table &t, uintptr_t address) {
    auto after = t.live.upper_bound(address);
    if (after == t.live.begin())
        return {};
    const Allocation &a = std::prev(after)->second;
    return address - reinterpret_cast<uintptr_t>(a.base) < a.bytes ? a : Allocation{};
}

Allocation find_allocation(const void *address) {
    Table &t = table();
    std::lock_guard<std::recursive_mutex> hold(t.lock);
    return find(t, reinterpret_cast<uintptr_t>(address));
}

Allocation nearest_allocation(const void *address) {
    Table &t = table();
    std::lock_guard<std::recursive_mutex> hold(t.lock);
    auto at = reinterpret_cast<uintptr_t>(address);
    auto after = t.live.upper_bound(at);
    if (after == t.live.begin())
        return after == t.live.end() ? Allocation{} : after->second;
    const Allocation &below = std::prev(after)->second;
    if (after == t.live.end())
        return below;
    uintptr_t past = at - reinterpret_cast<uintptr_t>(below.base) - below.bytes;
    return past <= after->first - at ? below : after->second;
}

void enter_allocation(const Allocation &a) {
    Table &t = table();
    {
        std::lock_guard<std::recursive_mutex> hold(t.lock);
        t.live[reinterpret_cast<uintptr_t>(a.base)] = a;
        if (a.pc && (a.space == Space::global || a.space == Space::managed))
            t.in_use += a.bytes;
    }
    observe::allocated(a); /* which waits for a launch of another thread, so it holds no lock */
}

size_t device_bytes_in_use() { return table().in_use; }

/* ---- Getting and giving back --------------------------------------------------------------- */

static char *get_memory(size_t bytes, Space space) {
    if (no_touch && space == Space::global) {
        int reach = table().touching ? PROT_READ | PROT_WRITE : PROT_NONE;
        void *p = mmap(nullptr, pages(bytes), reach, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return p == MAP_FAILED ? nullptr : static_cast<char *>(p);
    }
    if (inspecting) {
        void *p = mmap(nullptr, with_gaps(bytes), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        return p == MAP_FAILED ? nullptr : static_cast<char *>(p) + PAGE;
    }
    return static_cast<char *>(aligned_alloc(ALIGN, (bytes + ALIGN - 1) / ALIGN * ALIGN));
}

static void give_back(const Allocation &a) {
    if (guarded(a))
        munmap(a.base, pages(a.bytes));
    else if (inspecting) // the addresses are not given again: a late access still has a name
        madvise(a.base - PAGE, with_gaps(a.bytes), MADV_DONTNEED);
    else
        free(a.base);
}

static void give_back_later(Table &t, const Allocation &a) {
    if (!inspecting)
        return give_back(a);
    t.kept.push_back(a);
    t.kept_bytes += a.bytes;
    while (t.kept_bytes > KEPT) {
        t.kept_bytes -= t.kept.front().bytes;
        give_back(t.kept.front());
        t.kept.pop_front();
    }
}

static cudaError_t allocate(void **out, size_t bytes, size_t element, Space space, const char *name,
                            Site site, void *pc) {
    if (!out)
        return done(name, cudaErrorInvalidValue, site, pc);
    if (lost())
        return done(name, lost(), site, pc);
    *out = nullptr;
    if (bytes == 0)
        return done(name, cudaSuccess, site, pc);
    bool on_card = space != Space::pinned;
    char *base = nullptr;
    if (!on_card || bytes <= card().memory - table().in_use)
        base = get_memory(bytes, space);
    if (!base)
        return done(name, cudaErrorMemoryAllocation, site, pc);
    enter_allocation({base, bytes, element, space, name, site, pc});
    *out = base;
    return done(name, cudaSuccess, site, pc);
}

cudaError_t allocate_device(void **out, size_t bytes, size_t element, const char *name, Site site) {
    return allocate(out, bytes, element, Space::global, name, site, __builtin_return_address(0));
}

cudaError_t allocate_managed(void **out, size_t bytes, size_t element, unsigned, Site site) {
    if (!bytes)
        return done("cudaMallocManaged", cudaErrorInvalidValue, site, __builtin_return_address(0));
    return allocate(out, bytes, element, Space::managed, "cudaMallocManaged", site,
                    __builtin_return_address(0));
}

cudaError_t allocate_pinned(void **out, size_t bytes, size_t element, const char *name, Site site) {
    return allocate(out, bytes, element, Space::pinned, name, site, __builtin_return_address(0));
}

cudaError_t allocate_pitched(void **out, size_t *pitch, size_t width, size_t height, Site site) {
    *pitch = (width + 511) / 512 * 512;
    return allocate(out, *pitch * height, 0, Space::global, "cudaMallocPitch", site,
                    __builtin_return_address(0));
}

/* Why a pointer cannot be freed, in words; empty if it can. */
static std::string objection(const Allocation &a, const void *p, bool host_memory,
                             const char *name) {
    if (!a)
        return "was given a pointer that no allocation of the card begins at: it belongs to the "
               "host, or was freed before";
    if (a.base != p)
        return "was given a pointer into the middle of an allocation of " +
               std::to_string(a.bytes) + " bytes (" + where(a.site) + ")";
    if (a.space == Space::constant || a.pc == nullptr)
        return std::string("was given the variable ") + a.name + ", which was not allocated";
    if (host_memory != (a.space == Space::pinned))
        return std::string("was given memory that ") + a.name + " returned at " + where(a.site) +
               (host_memory ? "; it wants cudaFree" : "; it wants cudaFreeHost");
    (void)name;
    return "";
}

static cudaError_t release(void *p, bool host_memory, const char *name, Site site, void *pc) {
    if (!p || lost())
        return waited(name, cudaSuccess, site, pc);
    Table &t = table();
    std::unique_lock<std::recursive_mutex> hold(t.lock);
    Allocation a = find(t, reinterpret_cast<uintptr_t>(p));
    std::string wrong = objection(a, p, host_memory, name);
    if (!wrong.empty()) {
        hold.unlock();
        Finding f;
        f.kind = "invalid-free";
        f.words = std::string(name) + " at " + where(site) + " " + wrong + ".";
        f.places = {Place("free", site, pc)};
        report(f);
        return done(name, cudaErrorInvalidValue, site, pc);
    }
    t.live.erase(reinterpret_cast<uintptr_t>(p));
    if (!host_memory)
        t.in_use -= a.bytes;
    hold.unlock();
    observe::freed(a, pc);
    hold.lock();
    give_back_later(t, a);
    hold.unlock();
    return waited(name, cudaSuccess, site, pc);
}

/* ---- LAB_NO_TOUCH -------------------------------------------------------------------------- */

static void protect_all(Table &t, int reach) {
    for (auto &[at, a] : t.live)
        if (guarded(a))
            mprotect(a.base, pages(a.bytes), reach);
}

Touch::Touch() {
    if (!no_touch)
        return;
    Table &t = table();
    std::lock_guard<std::recursive_mutex> hold(t.lock);
    if (t.touching++ == 0)
        protect_all(t, PROT_READ | PROT_WRITE);
}

Touch::~Touch() {
    if (!no_touch)
        return;
    Table &t = table();
    std::lock_guard<std::recursive_mutex> hold(t.lock);
    if (--t.touching == 0)
        protect_all(t, PROT_NONE);
}

/* ---- At exit ------------------------------------------------------------------------------- */

/* Allocations that were never freed, one finding for each line that made some. After an error that
   stays no memory can be freed, so there is nothing to blame. A program that ends with a status
   other than 0 has most likely ended early, before it came to its cudaFree. */
void report_leaks(int exit_status) {
    if (lost())
        return;
    struct Leak {
        Allocation first;
        uint64_t count = 0, bytes = 0;
    };
    std::map<std::string, Leak> leaks;
    for (auto &[at, a] : table().live) {
        if (!a.pc)
            continue;
        Leak &leak = leaks[std::string(a.name) + where(a.site)];
        if (!leak.count++)
            leak.first = a;
        leak.bytes += a.bytes;
    }
    for (auto &[key, leak] : leaks) {
        const Allocation &a = leak.first;
        Finding f;
        f.kind = "leak";
        f.words = std::to_string(leak.bytes) + " bytes that " + a.name + " returned at " +
                  where(a.site) + " were never freed.";
        if (exit_status) {
            f.words += " The program ended early, with status " + std::to_string(exit_status) +
                       ", which may be before it came to its cudaFree.";
            f.detail = "{\"ended_early\":" + std::to_string(exit_status) + "}";
        }
        f.places = {Place("allocation", a.site, a.pc)};
        f.object = {a.name, word_of(a.space), leak.bytes, 0, a.pc, a.site};
        f.count = leak.count;
        report(f);
    }
}

cudaError_t host_device_pointer(void **out, void *host) {
    Allocation a = find_allocation(host);
    bool pinned = a && a.space == Space::pinned;
    *out = pinned ? host : nullptr;
    return done("cudaHostGetDevicePointer", pinned ? cudaSuccess : cudaErrorInvalidValue);
}

}

using namespace lab;

cudaError_t cudaFree(void *p, Site site) {
    return release(p, false, "cudaFree", site, __builtin_return_address(0));
}

cudaError_t cudaFreeAsync(void *p, cudaStream_t, Site site) {
    return release(p, false, "cudaFreeAsync", site, __builtin_return_address(0));
}

cudaError_t cudaFreeHost(void *p, Site site) {
    return release(p, true, "cudaFreeHost", site, __builtin_return_address(0));
}

cudaError_t cudaHostRegister(void *p, size_t bytes, unsigned) {
    if (!p || !bytes)
        return done("cudaHostRegister", cudaErrorInvalidValue);
    if (find_allocation(p))
        return done("cudaHostRegister", cudaErrorHostMemoryAlreadyRegistered);
    enter_allocation({static_cast<char *>(p),
                      bytes,
                      0,
                      Space::pinned,
                      "cudaHostRegister",
                      {},
                      __builtin_return_address(0)});
    return done("cudaHostRegister", cudaSuccess);
}

cudaError_t cudaHostUnregister(void *p, Site site) {
    Table &t = table();
    std::unique_lock<std::recursive_mutex> hold(t.lock);
    Allocation a = find(t, reinterpret_cast<uintptr_t>(p));
    if (!a || a.base != p || strcmp(a.name, "cudaHostRegister") != 0)
        return done("cudaHostUnregister", cudaErrorHostMemoryNotRegistered, site);
    t.live.erase(reinterpret_cast<uintptr_t>(p));
    hold.unlock();
    observe::freed(a, __builtin_return_address(0));
    return done("cudaHostUnregister", cudaSuccess, site);
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *out, const void *p) {
    if (!out)
        return done("cudaPointerGetAttributes", cudaErrorInvalidValue);
    Allocation a = find_allocation(p);
    void *pointer = const_cast<void *>(p);
    bool pinned = a.space == Space::pinned;
    if (!a)
        *out = {cudaMemoryTypeUnregistered, -2, nullptr, pointer};
    else if (a.space == Space::managed)
        *out = {cudaMemoryTypeManaged, 0, pointer, pointer};
    else
        *out = {pinned ? cudaMemoryTypeHost : cudaMemoryTypeDevice, 0, pointer,
                pinned ? pointer : nullptr};
    return done("cudaPointerGetAttributes", cudaSuccess);
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *total) {
    *total = card().memory;
    *free = card().memory - device_bytes_in_use();
    return done("cudaMemGetInfo", cudaSuccess);
}
