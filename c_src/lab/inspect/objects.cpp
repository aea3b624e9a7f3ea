/* objects->cpp: the table of allocations, a map by address. */
#include "objects.h"
#include <algorithm>
#include "streams.h"

namespace lab::inspect {

LAB_FIRST Lasting<Objects> objects;

const char *space_name(Space space) {
    switch (space) {
    case Space::global: return "global";
    case Space::managed: return "managed";
    case Space::pinned: return "pinned";
    case Space::constant: return "constant";
    case Space::shared: return "shared";
    case Space::host: return "host";
    }
    return "host";
}

void Output::take() {
    if (writer) taken = writer->output_taken = true;
}

Object &Objects::enter(uintptr_t begin, size_t bytes, Space space) {
    auto i = table_.upper_bound(begin);
    if (i != table_.begin()) {
        const Object &before = *std::prev(i)->second;
        if (before.begin + std::max<size_t>(before.bytes, 1) > begin) --i;
    }
    while (i != table_.end() && i->first < begin + std::max<size_t>(bytes, 1)) {
        free(*i->second);
        i = table_.erase(i);
    }
    Object *object = new Object;
    object->begin = begin;
    object->bytes = bytes;
    object->end = begin + bytes;
    object->space = space;
    object->id = ++count_;
    table_[begin] = object;
    for (uintptr_t g = begin / granule; g <= object->end / granule; g++)
        near_[g / 8] |= (uint8_t)(1 << g % 8);
    return *object;
}

void Objects::free(Object &object) {
    object.freed = true;
    object.end = object.begin;
    object.cells.release();
    object.defined.release();
}

Object *Objects::around(uintptr_t a) const {
    auto i = table_.upper_bound(a);
    if (i == table_.begin()) return nullptr;
    Object *object = std::prev(i)->second;
    return a < object->begin + object->bytes ? object : nullptr;
}

Object *Objects::at(uintptr_t a) const {
    auto i = table_.find(a);
    return i == table_.end() ? nullptr : i->second;
}

Object *Objects::nearest(uintptr_t a, size_t reach) const {
    auto i = table_.upper_bound(a);
    Object *best = nullptr;
    size_t distance = reach + 1;
    if (i != table_.end() && i->first - a < distance) {
        best = i->second;
        distance = i->first - a;
    }
    if (i != table_.begin()) {
        Object *before = std::prev(i)->second;
        // An index too large is commoner than one below zero, so at equal distance it is this one.
        if (a - (before->begin + before->bytes) <= distance) best = before;
    }
    return best;
}

} // namespace lab::inspect
