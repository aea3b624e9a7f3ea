/* error.cpp: the errors of the runtime API behave as on a card.

   - A call that fails returns its error and leaves it for cudaGetLastError, which forgets it.
   - A launch that is refused leaves its error there too; nothing else notices, and a copy that
     follows succeeds.
   - A kernel that goes wrong fails later: the first call that waits returns its error, and from
     then on so does every call, as the context is lost. Such errors are sticky.

   Who never asks is told at the end of the program: error-ignored. */
#define LAB_RUNTIME
#include "error.h"

#include <mutex>

#include "lab/device.h"
#include "observe.h"
#include "report.h"

namespace lab {

static thread_local cudaError_t last = cudaSuccess;
static cudaError_t pending = cudaSuccess; /* of a kernel, and no call has returned it yet */
static cudaError_t sticky = cudaSuccess;

/* An error that the program was given and has not looked at. */
struct Unasked {
    cudaError_t error = cudaSuccess;
    bool launch = false; /* refused: only cudaGetLastError tells; others return what they did */
    std::string words;
    Place place;
};
static Unasked &unasked = *new Unasked(); /* outlives the exit */
static std::mutex lock;

static void owe(cudaError_t error, bool launch, const std::string &words, const Place &place) {
    if (unasked.error == cudaSuccess)
        unasked = Unasked{error, launch, words, place};
}

static bool sticky_known; /* the program has looked at it; nobody checks every call after that */

static void asked() {
    unasked.error = cudaSuccess;
    sticky_known = sticky;
}

const char *text_of(cudaError_t error) {
#define LAB_ROW(number, name, text)                                                                \
    case name: return text;
    switch (error) { LAB_ERRORS(LAB_ROW) }
#undef LAB_ROW
    return "unrecognized error code";
}

const char *name_of(cudaError_t error) {
#define LAB_ROW(number, name, text)                                                                \
    case name: return #name;
    switch (error) { LAB_ERRORS(LAB_ROW) }
#undef LAB_ROW
    return "unrecognized error code";
}

cudaError_t lost() { return sticky; }

void forget_errors() {
    std::lock_guard<std::mutex> hold(lock);
    last = pending = sticky = cudaSuccess;
    asked();
}

cudaError_t done(const char *name, cudaError_t error, Site site, void *pc) {
    if (sticky)
        error = sticky;
    if (error && error != cudaErrorNotReady) {
        std::lock_guard<std::mutex> hold(lock);
        last = error;
        if (!sticky_known)
            owe(error, false,
                std::string(name) + " at " + where(site) + " returned " + name_of(error),
                Place("call", site, pc));
    }
    observe::api(name, error, pc);
    return error;
}

cudaError_t waited(const char *name, cudaError_t error, Site site, void *pc) {
    if (pending) {
        std::lock_guard<std::mutex> hold(lock);
        sticky = pending;
        pending = cudaSuccess;
    }
    return done(name, error, site, pc);
}

void kernel_failed(const LaunchInfo &launch, cudaError_t error) {
    std::lock_guard<std::mutex> hold(lock);
    if (!sticky && !pending)
        pending = error;
    owe(error, false, name_of(launch) + " failed with " + name_of(error),
        Place("launch", {launch.file, launch.line}, launch.pc));
}

void launch_refused(const LaunchInfo &launch, cudaError_t error) {
    std::lock_guard<std::mutex> hold(lock);
    last = error;
    owe(error, true, name_of(launch) + " was refused with " + name_of(error),
        Place("launch", {launch.file, launch.line}, launch.pc));
}

void look_for_ignored_errors(int exit_status) {
    /* A program that fails has seen something, whatever way it looked. */
    if (!unasked.error || (exit_status != 0 && !unasked.launch))
        return;
    Finding f;
    f.kind = "error-ignored";
    f.words = unasked.words + " (" + text_of(unasked.error) +
              "), and the program never asked. Check cudaGetLastError() after a launch, and what "
              "other calls return.";
    f.places = {unasked.place};
    f.detail = "{\"error\":" + quoted(name_of(unasked.error)) + "}";
    asked();
    report(f);
}

}

using namespace lab;

cudaError_t cudaGetLastError() {
    std::lock_guard<std::mutex> hold(lock);
    cudaError_t error = sticky ? sticky : last;
    last = cudaSuccess;
    if (error == unasked.error)
        asked();
    return error;
}

cudaError_t cudaPeekAtLastError() {
    std::lock_guard<std::mutex> hold(lock);
    cudaError_t error = sticky ? sticky : last;
    if (error == unasked.error)
        asked();
    return error;
}

const char *cudaGetErrorString(cudaError_t error) {
    if (error && error == unasked.error && !unasked.launch)
        asked();
    return text_of(error);
}

const char *cudaGetErrorName(cudaError_t error) {
    if (error && error == unasked.error && !unasked.launch)
        asked();
    return name_of(error);
}
