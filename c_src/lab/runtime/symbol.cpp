/* symbol.cpp: variables of the card: __device__, __constant__ and __managed__.

   They enter the table of allocations before main, without a pc: nobody allocated them. */
#define LAB_RUNTIME
#include "error.h"
#include "lab/memory.h"
#include "memory.h"

namespace lab {

Symbol::Symbol(const void *address, size_t bytes, const char *name, Kind kind, const char *file,
               int line) {
    Space space = kind == constant  ? Space::constant
                  : kind == managed ? Space::managed
                                    : Space::global;
    Allocation a{static_cast<char *>(const_cast<void *>(address)),
                 bytes,
                 0,
                 space,
                 name,
                 {file, line},
                 nullptr};
    enter_allocation(a);
}

static Allocation symbol(const void *address) {
    Allocation a = find_allocation(address);
    return a.base == address && !a.pc ? a : Allocation{};
}

cudaError_t symbol_address(void **out, const void *address) {
    Allocation a = symbol(address);
    *out = a.base;
    return done("cudaGetSymbolAddress", a ? cudaSuccess : cudaErrorInvalidSymbol);
}

cudaError_t symbol_size(size_t *out, const void *address) {
    Allocation a = symbol(address);
    *out = a.bytes;
    return done("cudaGetSymbolSize", a ? cudaSuccess : cudaErrorInvalidSymbol);
}

}
