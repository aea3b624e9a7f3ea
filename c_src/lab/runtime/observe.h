/* observe.h: what the lab tells whoever watches (c_src/lab/inspect), and when.

   Without LAB_INSPECT every function here is empty and costs nothing. With it they are defined in
   c_src/lab/inspect. All are called on the worker's thread; a hook may call lab::yield() when
   current() is a thread. `pc` is an address in the program, of the call that did it. */
#ifndef LAB_OBSERVE_H
#define LAB_OBSERVE_H

#include "thread.h"

namespace lab {

struct Allocation;

enum class Space { global, managed, pinned, constant, shared, host };
enum class Scope { block, device, system };
enum class Copy { host_to_host, host_to_device, device_to_host, device_to_device };

#ifdef LAB_INSPECT
#define LAB_SEEN(name, ...) void name(__VA_ARGS__);
#else
#define LAB_SEEN(name, ...)                                                                        \
    inline void name(__VA_ARGS__) {}
#endif

namespace observe {

/* A launch that passed its checks, and its end, with the error it left or 0. */
LAB_SEEN(launch_begin, LaunchInfo &)
LAB_SEEN(launch_end, LaunchInfo &, int /*error*/)
LAB_SEEN(block_begin, Block &)
LAB_SEEN(block_end, Block &)
LAB_SEEN(thread_begin, Thread &)
LAB_SEEN(thread_end, Thread &)

/* The running thread comes to a barrier; then, once, the list of those that it let go. Wait::warp
   with `exchanges` says that lanes pass values, which order nothing between them but themselves. */
LAB_SEEN(arrive, Thread &, Wait /*kind*/, unsigned /*mask*/, void * /*pc*/)
LAB_SEEN(released, Wait /*kind*/, Thread *const * /*threads*/, unsigned /*count*/)
LAB_SEEN(fence, Thread &, Scope, void * /*pc*/)

/* An atomic, before it is done and after. `changes`: it left another value than it found. */
LAB_SEEN(atomic_begin, const void * /*address*/, unsigned /*bytes*/, Scope, void * /*pc*/)
LAB_SEEN(atomic_end, const void * /*address*/, unsigned /*bytes*/, Scope, bool /*changes*/)

/* A shared array of a block is known: its first thread came upon it. Red zones lie around it. */
LAB_SEEN(shared_array, Block &, const SharedArray &)

/* An allocation, or a variable of the card (pc null); see memory.h. */
LAB_SEEN(allocated, const Allocation &)
LAB_SEEN(freed, const Allocation &, void * /*pc*/)
LAB_SEEN(copied, void * /*to*/, const void * /*from*/, size_t /*bytes*/, Copy, void * /*stream*/,
         bool /*asynchronous*/, void * /*pc*/)
LAB_SEEN(filled, void *, size_t /*bytes*/, void * /*stream*/, void * /*pc*/)

/* The host waited: for everything (null), or for what the stream holds. */
LAB_SEEN(synchronised, void * /*stream*/, bool /*everything*/, void * /*pc*/)
LAB_SEEN(stream_made, void * /*stream*/, bool /*nonblocking*/)
LAB_SEEN(event_recorded, void * /*event*/, void * /*stream*/, void * /*pc*/)
LAB_SEEN(event_waited, void * /*event*/, void * /*stream, or null: the host*/, bool /*host*/,
         void * /*pc*/)
LAB_SEEN(api, const char * /*name*/, int /*status*/, void * /*pc*/)
/* The program ends by itself, with this status; then, whichever way it ended, the last call. */
LAB_SEEN(ended, int /*status*/)
LAB_SEEN(finished, void)

}

#undef LAB_SEEN

#ifdef LAB_INSPECT
constexpr bool inspecting = true;
#else
constexpr bool inspecting = false;
#endif

}

#endif
