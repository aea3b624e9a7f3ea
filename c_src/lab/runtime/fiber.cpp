/* fiber.cpp: stacks and the switch between them.

   A switch saves the registers that a function must preserve, exchanges the stack pointers and
   restores the same registers of the other fiber: some twenty instructions, no system call. By hand
   for x86-64 and aarch64, with swapcontext elsewhere, which is ten times slower.

   Stacks come in slabs of 64, as address space: the kernel gives memory to the pages that a thread
   touches. Below each lies a guard page, so that a thread that recurses too far faults. */
#define LAB_RUNTIME
#include "fiber.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

namespace lab {

size_t stack_bytes = [] {
    const char *text = getenv("LAB_STACK");
    size_t kib = text ? strtoul(text, nullptr, 10) : 0;
    return (kib < 16 ? 256 : kib) * 1024;
}();

#if defined(__x86_64__)

extern "C" void lab_switch(void **from, void *to);
extern "C" void lab_begin();
asm(R"(
.text
.globl lab_switch
.hidden lab_switch
.type lab_switch, @function
lab_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size lab_switch, .-lab_switch
.globl lab_begin
.hidden lab_begin
.type lab_begin, @function
lab_begin:
    movq %r12, %rdi
    call *%rbx
    ud2
.size lab_begin, .-lab_begin
)");

/* The stack of a fiber that has not begun: what lab_switch pops. The call in lab_begin wants the
   stack pointer at a multiple of 16, as every call does. */
void prepare(Fiber &fiber, void (*entry)(void *), void *argument) {
    void **top = reinterpret_cast<void **>(fiber.bottom + stack_bytes);
    top -= 2;
    *--top = nullptr;
    *--top = nullptr;
    void **sp = top - 7;
    sp[0] = sp[1] = sp[2] = nullptr;         /* r15, r14, r13 */
    sp[3] = argument;                        /* r12 */
    sp[4] = reinterpret_cast<void *>(entry); /* rbx */
    sp[5] = nullptr;                         /* rbp: the end of the chain of frames */
    sp[6] = reinterpret_cast<void *>(lab_begin);
    fiber.stack_pointer = sp;
}

void switch_fiber(Fiber &from, Fiber &to) { lab_switch(&from.stack_pointer, to.stack_pointer); }

#elif defined(__aarch64__)

extern "C" void lab_switch(void **from, void *to);
extern "C" void lab_begin();
asm(R"(
.text
.globl lab_switch
.hidden lab_switch
.type lab_switch, %function
lab_switch:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
.size lab_switch, .-lab_switch
.globl lab_begin
.hidden lab_begin
.type lab_begin, %function
lab_begin:
    mov x0, x20
    blr x19
    brk #1
.size lab_begin, .-lab_begin
)");

/* The stack of a fiber that has not begun: what lab_switch loads, x19 to x30 and d8 to d15. */
void prepare(Fiber &fiber, void (*entry)(void *), void *argument) {
    void **sp = reinterpret_cast<void **>(fiber.bottom + stack_bytes) - 24;
    for (int i = 0; i < 20; i++)
        sp[i] = nullptr;
    sp[0] = reinterpret_cast<void *>(entry);      /* x19 */
    sp[1] = argument;                             /* x20 */
    sp[11] = reinterpret_cast<void *>(lab_begin); /* x30 */
    fiber.stack_pointer = sp;
}

void switch_fiber(Fiber &from, Fiber &to) { lab_switch(&from.stack_pointer, to.stack_pointer); }

#else

static void begin(unsigned high, unsigned low) {
    auto address = (static_cast<uint64_t>(high) << 32) | low;
    auto *fiber = reinterpret_cast<Fiber *>(static_cast<uintptr_t>(address));
    fiber->entry(fiber->argument);
}

void prepare(Fiber &fiber, void (*entry)(void *), void *argument) {
    fiber.entry = entry;
    fiber.argument = argument;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.bottom;
    fiber.context.uc_stack.ss_size = stack_bytes;
    fiber.context.uc_link = nullptr;
    auto address = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(&fiber));
    makecontext(&fiber.context, reinterpret_cast<void (*)()>(begin), 2,
                static_cast<unsigned>(address >> 32), static_cast<unsigned>(address));
}

void switch_fiber(Fiber &from, Fiber &to) { swapcontext(&from.context, &to.context); }

#endif

/* ---- Stacks -------------------------------------------------------------------------------- */

constexpr unsigned PER_SLAB = 64;

struct Slab {
    Slab *next;     /* of all workers' */
    Slab *next_own; /* of this worker's */
    char *memory;
    bool guarded;
    Fiber fibers[PER_SLAB];
};

static Slab *all_slabs; /* of every worker. A signal handler reads it, so it only ever grows */

static size_t page() {
    static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return bytes;
}

bool FiberStore::grow() {
    size_t each = page() + stack_bytes;
    size_t bytes = each * PER_SLAB;
    void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    auto *slab = new Slab();
    slab->memory = static_cast<char *>(memory);
    slab->guarded = true;
    for (unsigned i = PER_SLAB; i-- > 0;) {
        char *guard = slab->memory + i * each;
        /* The system allows some 65,000 regions: a grid of more threads than half of that, all of
           them waiting, does without guard pages for the rest. */
        if (slab->guarded && mprotect(guard, page(), PROT_NONE) != 0)
            slab->guarded = false;
        slab->fibers[i].bottom = guard + page();
        put(&slab->fibers[i]);
    }
    slab->next_own = slabs_;
    slabs_ = slab;
    slab->next = __atomic_load_n(&all_slabs, __ATOMIC_ACQUIRE);
    while (!__atomic_compare_exchange_n(&all_slabs, &slab->next, slab, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
    }
    return true;
}

Fiber *FiberStore::get() {
    if (!free_ && !grow())
        return nullptr;
    Fiber *fiber = free_;
    free_ = fiber->next;
    return fiber;
}

void FiberStore::recall() {
    free_ = nullptr;
    for (Slab *slab = slabs_; slab; slab = slab->next_own)
        for (Fiber &fiber : slab->fibers)
            put(&fiber);
}

bool in_guard_page(const void *address) {
    size_t each = page() + stack_bytes;
    for (Slab *slab = __atomic_load_n(&all_slabs, __ATOMIC_ACQUIRE); slab; slab = slab->next) {
        auto offset = static_cast<size_t>(static_cast<const char *>(address) - slab->memory);
        if (offset < each * PER_SLAB && offset % each < page())
            return slab->guarded;
    }
    return false;
}

}
