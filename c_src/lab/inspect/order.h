/* order.h: what happened before what. Two accesses to one cell, one of them a write, race unless
   one is ordered before the other by a barrier, a launch, or a hand-over.

   Time is a count of ordering events (Tick). A mark in shadow memory keeps the tick of its access;
   a thread knows, of each other thread, up to which tick that one's accesses lie before its own:
     its block   up to the last __syncthreads           BlockView::met
     its warp    lane by lane, by __syncwarp            WarpView::known
     the grid    up to the last grid sync               LaunchView::floor
     the device  up to the launches that are ordered before this one (streams.h)
     anyone      what atomics and flags handed over     Clock
   A hand-over is a fence, then an atomic (or a volatile store), then an atomic of another thread on
   the same address (or a volatile load, then a fence). Without the fence it hands over nothing.
   Shuffles and votes let lanes meet, but order no memory. */
#pragma once
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>
#include "branches.h"
#include "cells.h"
#include "requests.h"
#include "spots.h"
#include "../runtime/observe.h"

namespace lab::inspect {

extern Tick tick; // of the latest ordering event; a new one does ++tick

/* What is known of threads, by hand-overs. Threads are numbered through the launch. */
struct Clock {
    std::unordered_map<uint32_t, Tick> blocks, threads;
    Tick everybody = 0; // known of all: set when the tables grow too large

    bool covers(uint32_t block, uint32_t thread, Tick at) const;
    void join(const Clock &other);
    bool empty() const { return blocks.empty() && threads.empty() && !everybody; }

private:
    void bound();
};

using Shared_clock = std::shared_ptr<Clock>;

/* A clock that is null until something is known. */
void join(Shared_clock &into, const Shared_clock &more);

struct Work; // streams.h

struct LaunchView {
    LaunchInfo *info = nullptr;
    Work *work = nullptr;
    Tick begin = 0, floor = 0; // accesses before `floor` are ordered before this launch
    uint32_t block_threads = 1;
    uint64_t accesses = 0;
    std::vector<Traffic> traffic; // by Spot::slot
    std::vector<Branch> branches;  // by number of the basic block

    struct Release {
        Shared_clock device, block;
        uint32_t of_block = 0;
    };
    bool fences = false; // has any thread fenced? If not, nothing is handed over
    std::unordered_set<uint32_t> unfenced; // blocks that raised a flag without a fence before it
    std::unordered_map<uintptr_t, Release> releases;
};

struct WarpView {
    Requests requests;
    Branches branches;
    std::unique_ptr<Tick[]> known; // [lane][lane]; from the first __syncwarp on
    uint32_t alive_before = 0;     // lanes that were alive when it last met
    bool met_alone = false;        // has it met since the block last did?
    bool met_loosely = false;      // was that by a shuffle or vote, which order no memory?

    Tick *known_by(uint32_t lane) { return known.get() + lane * 32; }
};

struct Lane;

struct BlockView {
    LaunchView *launch = nullptr;
    uint32_t number = 0;
    uint32_t first = 0; // number of its first thread in the launch
    uint32_t count = 0;
    Tick begin = 0, met = 0;
    uintptr_t last_barrier = 0; // the pc of it
    bool clocked = false;       // does a thread have a clock?
    bool unfenced = false;      // has a thread raised a flag without a fence before it?
    Shared_clock learned, fenced, fenced_block;
    std::vector<Lane> lanes;
    std::vector<std::unique_ptr<WarpView>> warps;
};

/* One thread, as the inspector sees it: Thread::seen. */
struct Lane {
    uint32_t id = 0; // number in the launch
    uint32_t lane = 0;
    uint32_t warp_number = 0;
    uint32_t path = 0; // its call stack
    uintptr_t stack_low = 0; // its fiber's stack: local memory
    WarpView *warp = nullptr;
    BlockView *block = nullptr;
    uint32_t read_spot = 0; // its latest access, if that was a load
    uintptr_t read_address = 0;
    // learned: known by hand-over. fenced: what an atomic of it may hand on, to the device or in
    // its block. unfenced: read from a volatile flag, counts from the next fence on.
    Shared_clock learned, fenced, fenced_block, unfenced;
};

bool ordered_slowly(const Lane &lane, const Mark &mark);
bool ordered_before_launch(const LaunchView &launch, Tick at);

/* Is the marked access ordered before what the lane does now? */
inline bool ordered(const Lane &lane, const Mark &mark, bool in_shared) {
    const BlockView &block = *lane.block;
    if (mark.tick < (in_shared ? block.begin : block.launch->floor)) return true;
    if (mark.tick < block.launch->begin) return ordered_before_launch(*block.launch, mark.tick);
    if (mark.thread == lane.id) return true;
    if (mark.thread - block.first < block.count) {
        if (mark.tick < block.met) return true;
        uint32_t other = mark.thread - block.first;
        if (lane.warp->known && other / 32 == lane.warp_number &&
            mark.tick < lane.warp->known_by(lane.lane)[other % 32])
            return true;
    }
    return (block.clocked || block.learned) && ordered_slowly(lane, mark);
}

void barrier_passed(BlockView &block, uintptr_t pc);
void warp_passed(WarpView &warp, Lane *const *lanes, uint32_t count);
void grid_passed(LaunchView &launch, const std::vector<BlockView *> &blocks);
void fence_passed(Lane &lane, Scope scope);
void acquired(Lane &lane, uintptr_t address);       // by an atomic
void acquired_volatile(Lane &lane, uintptr_t address);
void released(Lane &lane, uintptr_t address);       // by an atomic
void released_volatile(Lane &lane, uintptr_t address);

} // namespace lab::inspect
