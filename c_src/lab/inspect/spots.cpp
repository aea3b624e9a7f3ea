/* spots.cpp: the part of spots.h that runs once for each new place. */
#include "spots.h"

namespace lab::inspect {

LAB_FIRST Lasting<Spots> spots;
__thread bool on_main_thread;

uint32_t Spots::new_path(uint32_t path, uintptr_t pc) {
    uint32_t index = (uint32_t)paths_.size();
    paths_.push_back({path, pc});
    path_of_.insert(pc, path, index);
    return index;
}

Spot &Spots::new_spot(uintptr_t pc, uint32_t path) {
    uint32_t id = (uint32_t)spots_.size();
    spots_.push_back({pc, path, id, nullptr, false, 0, -1});
    spot_of_.insert(pc, path, id);
    return spots_.back();
}

std::vector<uintptr_t> Spots::stack(uint32_t path) const {
    std::vector<uintptr_t> calls;
    for (; path; path = paths_[path].parent) calls.push_back(paths_[path].pc);
    return calls;
}

} // namespace lab::inspect
