/* stream.cpp: streams, events, and waiting.

   Everything is done when it is asked for, in the order of the host's calls. That is one of the
   orders a card may choose, whatever the streams and events of the program allow. */
#define LAB_RUNTIME
#include "lab/stream.h"

#include <time.h>

#include "error.h"
#include "lab/device.h"
#include "observe.h"
#include "print.h"

struct CUstream_st {
    unsigned flags;
    int priority;
    bool alive;
};

struct CUevent_st {
    unsigned flags;
    bool recorded, alive;
    double time; /* seconds */
};

namespace lab {

static double seconds() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/* A stream that the program made, or one of those that are always there. */
static bool valid(cudaStream_t s) {
    return s == nullptr || s == cudaStreamLegacy || s == cudaStreamPerThread || s->alive;
}

static cudaError_t make_stream(cudaStream_t *out, unsigned flags, int priority, const char *name) {
    if (!out || flags > cudaStreamNonBlocking)
        return done(name, cudaErrorInvalidValue);
    *out = new CUstream_st{flags, priority, true};
    observe::stream_made(*out, flags & cudaStreamNonBlocking);
    return done(name, cudaSuccess);
}

static cudaError_t make_event(cudaEvent_t *out, unsigned flags, const char *name) {
    if (!out)
        return done(name, cudaErrorInvalidValue);
    *out = new CUevent_st{flags, false, true, 0};
    return done(name, cudaSuccess);
}

}

using namespace lab;

cudaError_t cudaDeviceSynchronize() {
    flush_output();
    observe::synchronised(nullptr, true, __builtin_return_address(0));
    return waited("cudaDeviceSynchronize", cudaSuccess, {}, __builtin_return_address(0));
}

/* ---- Streams ------------------------------------------------------------------------------- */

cudaError_t cudaStreamCreate(cudaStream_t *s) { return make_stream(s, 0, 0, "cudaStreamCreate"); }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags) {
    return make_stream(s, flags, 0, "cudaStreamCreateWithFlags");
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *s, unsigned flags, int priority) {
    return make_stream(s, flags, priority, "cudaStreamCreateWithPriority");
}

/* The memory stays, so that a stale handle is an error and not a fault. */
cudaError_t cudaStreamDestroy(cudaStream_t s) {
    if (!s || !valid(s) || s == cudaStreamLegacy || s == cudaStreamPerThread)
        return done("cudaStreamDestroy", cudaErrorInvalidResourceHandle);
    s->alive = false;
    return done("cudaStreamDestroy", cudaSuccess);
}

cudaError_t cudaStreamSynchronize(cudaStream_t s) {
    if (!valid(s))
        return done("cudaStreamSynchronize", cudaErrorInvalidResourceHandle);
    flush_output();
    observe::synchronised(s, false, __builtin_return_address(0));
    return waited("cudaStreamSynchronize", cudaSuccess, {}, __builtin_return_address(0));
}

cudaError_t cudaStreamQuery(cudaStream_t s) {
    if (!valid(s))
        return done("cudaStreamQuery", cudaErrorInvalidResourceHandle);
    flush_output();
    observe::synchronised(s, false, __builtin_return_address(0));
    return waited("cudaStreamQuery", cudaSuccess);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
    if (!valid(s) || !e || !e->alive)
        return done("cudaStreamWaitEvent", cudaErrorInvalidResourceHandle);
    observe::event_waited(e, s, false, __builtin_return_address(0));
    return done("cudaStreamWaitEvent", cudaSuccess);
}

cudaError_t cudaStreamAddCallback(cudaStream_t s, cudaStreamCallback_t function, void *data,
                                  unsigned) {
    if (!valid(s))
        return done("cudaStreamAddCallback", cudaErrorInvalidResourceHandle);
    function(s, cudaSuccess, data);
    return done("cudaStreamAddCallback", cudaSuccess);
}

cudaError_t cudaLaunchHostFunc(cudaStream_t s, cudaHostFn_t function, void *data) {
    if (!valid(s))
        return done("cudaLaunchHostFunc", cudaErrorInvalidResourceHandle);
    function(data);
    return done("cudaLaunchHostFunc", cudaSuccess);
}

cudaError_t cudaStreamAttachMemAsync(cudaStream_t, void *, size_t, unsigned) {
    return done("cudaStreamAttachMemAsync", cudaSuccess);
}

/* ---- Events -------------------------------------------------------------------------------- */

cudaError_t cudaEventCreate(cudaEvent_t *e) { return make_event(e, 0, "cudaEventCreate"); }

cudaError_t cudaEventCreate(cudaEvent_t *e, unsigned flags) {
    return make_event(e, flags, "cudaEventCreate");
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags) {
    return make_event(e, flags, "cudaEventCreateWithFlags");
}

cudaError_t cudaEventDestroy(cudaEvent_t e) {
    if (!e || !e->alive)
        return done("cudaEventDestroy", cudaErrorInvalidResourceHandle);
    e->alive = false;
    return done("cudaEventDestroy", cudaSuccess);
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
    if (!e || !e->alive || !valid(s))
        return done("cudaEventRecord", cudaErrorInvalidResourceHandle);
    e->recorded = true;
    e->time = seconds();
    observe::event_recorded(e, s, __builtin_return_address(0));
    return done("cudaEventRecord", cudaSuccess);
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t e, cudaStream_t s, unsigned) {
    return cudaEventRecord(e, s);
}

cudaError_t cudaEventSynchronize(cudaEvent_t e) {
    if (!e || !e->alive)
        return done("cudaEventSynchronize", cudaErrorInvalidResourceHandle);
    flush_output();
    observe::event_waited(e, nullptr, true, __builtin_return_address(0));
    return waited("cudaEventSynchronize", cudaSuccess);
}

cudaError_t cudaEventQuery(cudaEvent_t e) {
    if (!e || !e->alive)
        return done("cudaEventQuery", cudaErrorInvalidResourceHandle);
    observe::event_waited(e, nullptr, true, __builtin_return_address(0));
    return waited("cudaEventQuery", cudaSuccess);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
    if (!milliseconds || !start || !end || !start->recorded || !end->recorded)
        return done("cudaEventElapsedTime", cudaErrorInvalidResourceHandle);
    if ((start->flags | end->flags) & cudaEventDisableTiming)
        return done("cudaEventElapsedTime", cudaErrorInvalidResourceHandle);
    *milliseconds = static_cast<float>((end->time - start->time) * 1e3);
    return waited("cudaEventElapsedTime", cudaSuccess);
}
