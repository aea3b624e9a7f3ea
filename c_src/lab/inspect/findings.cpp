/* findings.cpp: counting findings, and writing them down at the end. */
#include "findings.h"
#include "streams.h"
#include "../runtime/report.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <tuple>

namespace lab::inspect {

namespace {

using Key = std::tuple<std::string, uintptr_t, uintptr_t, std::string>;

std::map<Key, size_t> &table() {
    static std::map<Key, size_t> *keys = new std::map<Key, size_t>; // outlives static destructors
    return *keys;
}

std::vector<Finding> &all() {
    static std::vector<Finding> *findings = new std::vector<Finding>;
    return *findings;
}

/* Shared arrays are objects of their block; for the reader it is one array of the program. */
std::string object_key(const Object *object) {
    if (!object) return "";
    if (object->space == Space::shared) return "shared " + object->name;
    return std::to_string(object->id);
}

Key key_of(const char *kind, uintptr_t a, uintptr_t b, const Object *object) {
    return {kind, a < b ? a : b, a < b ? b : a, object_key(object)};
}

const char *reach_name(Reach reach) {
    switch (reach) {
    case Reach::warp: return "warp";
    case Reach::block: return "block";
    case Reach::grid: return "grid";
    case Reach::streams: return "streams";
    case Reach::none: break;
    }
    return nullptr;
}

void set_thread(Place &place, uint32_t thread, dim3 grid, dim3 block) {
    uint32_t threads = block.x * block.y * block.z;
    uint32_t b = thread / threads, t = thread % threads;
    unsigned index[6] = {b % grid.x, b / grid.x % grid.y,   b / grid.x / grid.y,
                         t % block.x, t / block.x % block.y, t / block.x / block.y};
    memcpy(place.thread, index, sizeof index);
    place.host = false;
}

} // namespace

Place place_of(const Lane &lane, const char *role, uintptr_t pc, uint32_t size, uint32_t flags) {
    Place place;
    place.role = role;
    place.pc = pc;
    place.path = lane.path;
    place.size = size;
    place.atomic = flags & Mark::atomic;
    place.is_volatile = flags & Mark::is_volatile;
    const LaunchInfo &info = *lane.block->launch->info;
    set_thread(place, lane.id, info.grid, info.block);
    return place;
}

Place place_of(const Mark &mark, uint32_t size) {
    Place place;
    place.role = mark.is(Mark::atomic) ? "atomic" : mark.is(Mark::write) ? "write" : "read";
    const Spot &spot = spots->by_id(mark.spot());
    place.pc = spot.pc;
    place.path = spot.path;
    place.size = size;
    place.atomic = mark.is(Mark::atomic);
    place.is_volatile = mark.is(Mark::is_volatile);
    const Work *work = streams->at(mark.tick);
    if (work && work->launch) set_thread(place, mark.thread, work->grid, work->block);
    return place;
}

Finding *known(const char *kind, uintptr_t pc, uintptr_t other_pc, const Object *object,
               Reach reach) {
    auto found = table().find(key_of(kind, pc, other_pc, object));
    if (found == table().end()) return nullptr;
    Finding &finding = all()[found->second];
    if (finding.reach < reach) return nullptr;
    finding.count++;
    return &finding;
}

Finding *find(const Finding &finding) {
    uintptr_t a = finding.places.empty() ? 0 : finding.places.front().pc;
    uintptr_t b = finding.places.empty() ? 0 : finding.places.back().pc;
    Key key = key_of(finding.kind, a, b, finding.object);
    auto found = table().find(key);
    if (found == table().end()) {
        table()[key] = all().size();
        all().push_back(finding);
        all().back().order = next_finding();
        return &all().back();
    }
    Finding &old = all()[found->second];
    uint64_t count = old.count + finding.count, order = old.order;
    if (finding.reach > old.reach) old = finding;
    old.count = count;
    old.order = order;
    return &old;
}

std::string hex(uintptr_t pc) {
    char text[24];
    snprintf(text, sizeof text, "\"0x%zx\"", (size_t)pc);
    return text;
}

std::string stack_json(uint32_t path) {
    std::string out = "[";
    for (uintptr_t pc : spots->stack(path)) out += (out.size() > 1 ? "," : "") + hex(pc);
    return out + "]";
}

namespace {

std::string place_json(const Place &place) {
    std::string out = "{\"role\":" + quoted(place.role) + ",\"thread\":";
    if (place.host)
        out += "null";
    else
        for (int i = 0; i < 6; i++)
            out += (i ? "," : "[") + std::to_string(place.thread[i]) + (i == 5 ? "]" : "");
    out += ",\"pc\":" + hex(place.pc) + ",\"stack\":" + stack_json(place.path);
    out += ",\"size\":" + std::to_string(place.size);
    out += std::string(",\"atomic\":") + (place.atomic ? "true" : "false");
    return out + ",\"volatile\":" + (place.is_volatile ? "true" : "false") + "}";
}

std::string object_json(const Object &object, int64_t offset) {
    std::string out = "{\"name\":" + quoted(object.name);
    out += std::string(",\"space\":\"") + space_name(object.space) + "\"";
    out += ",\"bytes\":" + std::to_string(object.bytes);
    out += ",\"offset\":" + std::to_string(offset);
    if (object.element) out += ",\"element\":" + std::to_string(object.element);
    if (!object.file.empty())
        out += ",\"declared\":[" + quoted(object.file) + "," + std::to_string(object.line) + "]";
    if (object.allocated_pc)
        out += ",\"allocated_pc\":" + hex(object.allocated_pc) +
               ",\"allocated_stack\":" + stack_json(object.allocated_path);
    if (object.freed_pc)
        out += ",\"freed_pc\":" + hex(object.freed_pc) +
               ",\"freed_stack\":" + stack_json(object.freed_path);
    return out + "}";
}

std::string finding_json(const Finding &f) {
    std::string out = std::string("{\"event\":\"finding\",\"kind\":\"") + f.kind + "\"";
    out += ",\"launch\":" + std::to_string(f.launch) + ",\"places\":[";
    for (size_t i = 0; i < f.places.size(); i++) out += (i ? "," : "") + place_json(f.places[i]);
    out += "]";
    if (f.object) out += ",\"object\":" + object_json(*f.object, f.offset);
    if (const char *name = reach_name(f.reach)) out += std::string(",\"scope\":\"") + name + "\"";
    out += ",\"count\":" + std::to_string(f.count) + ",\"order\":" + std::to_string(f.order);
    return out + ",\"detail\":{" + f.detail + "}}";
}

bool is(const Finding &f, const char *kind) { return !strcmp(f.kind, kind); }

bool has_race_at(uintptr_t pc, const std::string &object) {
    for (const Finding &f : all())
        if (is(f, "race") && object_key(f.object) == object)
            for (const Place &place : f.places)
                if (place.pc == pc) return true;
    return false;
}

/* A pair that also raced with different values is no same-value race. A load that found nothing
   written because it did not wait for the store is a race, told as that. */
bool withdrawn(const Finding &f) {
    if (is(f, "same-value-race"))
        return table().count(
            key_of("race", f.places.front().pc, f.places.back().pc, f.object));
    return is(f, "uninitialized") && has_race_at(f.places[0].pc, object_key(f.object));
}

} // namespace

void emit_findings() {
    for (const Finding &finding : all())
        if (!withdrawn(finding)) write_event(finding_json(finding));
    all().clear();
    table().clear();
}

} // namespace lab::inspect
