/* order.cpp: barriers and hand-overs, the part of order.h that is not on every access's way. */
#include "order.h"
#include <algorithm>

namespace lab::inspect {

Tick tick = 1;

namespace {

constexpr size_t most_entries = 1 << 14;

void raise(std::unordered_map<uint32_t, Tick> &table, uint32_t key, Tick to) {
    Tick &at = table[key];
    at = std::max(at, to);
}

bool known_to(const Shared_clock &clock, uint32_t block, const Mark &mark) {
    return clock && clock->covers(block, mark.thread, mark.tick);
}

/* All that lies before this moment of the lane. */
Shared_clock knowledge(Lane &lane) {
    BlockView &block = *lane.block;
    auto clock = std::make_shared<Clock>();
    if (block.learned) clock->join(*block.learned);
    if (lane.learned) clock->join(*lane.learned);
    raise(clock->blocks, block.number, block.met);
    raise(clock->threads, lane.id, ++tick);
    if (lane.warp->known) {
        const Tick *known = lane.warp->known_by(lane.lane);
        uint32_t first = block.first + lane.warp_number * 32;
        for (uint32_t l = 0; l < 32; l++)
            if (known[l] > block.met) raise(clock->threads, first + l, known[l]);
    }
    return clock;
}

} // namespace

bool Clock::covers(uint32_t block, uint32_t thread, Tick at) const {
    if (at < everybody) return true;
    auto b = blocks.find(block);
    if (b != blocks.end() && at < b->second) return true;
    auto t = threads.find(thread);
    return t != threads.end() && at < t->second;
}

void Clock::join(const Clock &other) {
    for (auto &entry : other.blocks) raise(blocks, entry.first, entry.second);
    for (auto &entry : other.threads) raise(threads, entry.first, entry.second);
    everybody = std::max(everybody, other.everybody);
    bound();
}

/* A clock too large to copy at every hand-over says that everything is known. Races that only it
   would show are missed from then on; none is invented. */
void Clock::bound() {
    if (blocks.size() + threads.size() < most_entries) return;
    blocks.clear();
    threads.clear();
    everybody = tick;
}

void join(Shared_clock &into, const Shared_clock &more) {
    if (!more || into == more) return;
    if (!into) {
        into = more; // shared until one of them has to change
        return;
    }
    if (into.use_count() > 1) into = std::make_shared<Clock>(*into);
    into->join(*more);
}

bool ordered_slowly(const Lane &lane, const Mark &mark) {
    uint32_t block = mark.thread / lane.block->launch->block_threads;
    return known_to(lane.learned, block, mark) || known_to(lane.block->learned, block, mark);
}

void barrier_passed(BlockView &block, uintptr_t pc) {
    block.met = ++tick;
    block.last_barrier = pc;
    if (!block.clocked) return;
    for (Lane &lane : block.lanes) {
        join(block.learned, lane.learned);
        join(block.fenced, lane.fenced);
        join(block.fenced_block, lane.fenced_block);
        lane.learned = lane.fenced = lane.fenced_block = nullptr;
    }
}

void warp_passed(WarpView &warp, Lane *const *lanes, uint32_t count) {
    if (!warp.known) warp.known.reset(new Tick[32 * 32]());
    Tick met[32] = {};
    Shared_clock learned, fenced, fenced_block;
    for (uint32_t i = 0; i < count; i++) {
        const Tick *known = warp.known_by(lanes[i]->lane);
        for (uint32_t l = 0; l < 32; l++) met[l] = std::max(met[l], known[l]);
        join(learned, lanes[i]->learned);
        join(fenced, lanes[i]->fenced);
        join(fenced_block, lanes[i]->fenced_block);
    }
    ++tick;
    for (uint32_t i = 0; i < count; i++) met[lanes[i]->lane] = tick;
    for (uint32_t i = 0; i < count; i++) {
        std::copy(met, met + 32, warp.known_by(lanes[i]->lane));
        lanes[i]->learned = learned;
        lanes[i]->fenced = fenced;
        lanes[i]->fenced_block = fenced_block;
    }
}

void grid_passed(LaunchView &launch, const std::vector<BlockView *> &blocks) {
    launch.floor = ++tick;
    for (BlockView *block : blocks) block->met = tick;
}

void fence_passed(Lane &lane, Scope scope) {
    BlockView &block = *lane.block;
    join(lane.learned, lane.unfenced);
    lane.unfenced = nullptr;
    block.clocked = block.launch->fences = true;
    lane.fenced_block = knowledge(lane);
    if (scope != Scope::block) lane.fenced = lane.fenced_block;
}

namespace {

void learn(Shared_clock &into, Lane &lane, uintptr_t address) {
    LaunchView &launch = *lane.block->launch;
    if (!launch.fences) return;
    auto found = launch.releases.find(address);
    if (found == launch.releases.end()) return;
    join(into, found->second.device);
    if (found->second.of_block == lane.block->number) join(into, found->second.block);
    lane.block->clocked = true;
}

void release(Lane &lane, uintptr_t address, bool replace) {
    BlockView &block = *lane.block;
    LaunchView &launch = *block.launch;
    if (!block.unfenced && !lane.fenced && !block.fenced) {
        block.unfenced = true;
        launch.unfenced.insert(block.number);
    }
    if (!launch.fences) return;
    LaunchView::Release &at = launch.releases[address];
    if (replace) at.device = nullptr;
    if (replace || at.of_block != block.number) at.block = nullptr;
    at.of_block = block.number;
    join(at.device, lane.fenced);
    join(at.device, block.fenced);
    join(at.block, lane.fenced_block);
    join(at.block, block.fenced_block);
}

} // namespace

void acquired(Lane &lane, uintptr_t address) { learn(lane.learned, lane, address); }
void acquired_volatile(Lane &lane, uintptr_t address) { learn(lane.unfenced, lane, address); }
void released(Lane &lane, uintptr_t address) { release(lane, address, false); }
void released_volatile(Lane &lane, uintptr_t address) { release(lane, address, true); }

} // namespace lab::inspect
