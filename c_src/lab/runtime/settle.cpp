/* settle.cpp: what is to be done when no thread can simply go on.

   First those are let go whom the return of others has set free. Then lanes that wait for lanes
   which wait elsewhere: that is a wrong mask, it is reported, and the meeting takes place without
   them. What is left is a deadlock, and is reported as a table of who waits where. */
#define LAB_RUNTIME
#include <map>

#include "device.h"
#include "lab/warp.h"
#include "report.h"
#include "worker.h"

namespace lab {

static bool returned(const Thread &t) { return t.done == t.block->serial; }

bool Settling::settle() {
    bool any = false;
    for (Slot *slot = worker_.resident_; slot; slot = slot->next)
        any = settle_block(slot->block) || any;
    return any || settle_grid();
}

bool Settling::settle_block(Block &b) {
    bool any = false;
    if (b.barrier.count && barrier_complete(b)) {
        open_barrier(worker_, b);
        any = true;
    }
    if (!b.meetings)
        return any;
    for (unsigned i = 0; i < b.count; i++)
        if (b.threads[i].wait == Wait::warp && !returned(b.threads[i]))
            any = try_meeting(worker_, b.threads[i]) || any;
    for (unsigned w = 0; w < b.warp_count && !any; w++)
        any = settle_together(b.warps[w]);
    return any;
}

/* __activemask: those of a warp that are at one line, once none of the others can come. */
bool Settling::settle_together(Warp &w) {
    Thread *first = nullptr;
    for (unsigned i = 0; i < w.lanes && !first; i++)
        if (w.threads[i].wait == Wait::together && !returned(w.threads[i]))
            first = &w.threads[i];
    if (!first)
        return false;
    unsigned lanes = 0;
    List list;
    for (unsigned i = 0; i < w.lanes; i++) {
        Thread &t = w.threads[i];
        if (t.wait == Wait::together && !returned(t) && t.site.line == first->site.line &&
            t.site.file == first->site.file) {
            lanes |= 1u << i;
            list.push(&t);
        }
    }
    for (Thread *t = list.first; t; t = t->next)
        t->result = lanes;
    w.block->meetings -= list.count;
    worker_.release(list, Wait::together);
    return true;
}

/* grid.sync(): all blocks have begun and none has ended, and every thread is there or has returned.
   Thread 0 arrives for its block, as on a card: without it the block never comes. */
bool Settling::settle_grid() {
    const Launching &launching = *worker_.launching_;
    if (!worker_.grid.count || launching.next < launching.blocks || launching.ended)
        return false;
    uint64_t alive = 0;
    for (Slot *slot = worker_.resident_; slot; slot = slot->next) {
        if (returned(slot->threads[0]))
            return false;
        alive += slot->block.count - slot->block.returned();
    }
    if (worker_.grid.count != alive)
        return false;
    worker_.release(worker_.grid, Wait::grid);
    return true;
}

/* ---- A mask that names lanes which do not come ---------------------------------------------- */

static const char *doing(const Thread &t) {
    switch (t.wait) {
    case Wait::block: return "at __syncthreads";
    case Wait::grid: return "at grid.sync()";
    case Wait::warp: return "with lanes of its warp";
    case Wait::together: return "at __activemask";
    case Wait::spin: return "for memory to change";
    case Wait::nothing: break;
    }
    return "nowhere";
}

static void report_absent(const Thread &t, const Thread &absent) {
    char mask[12];
    snprintf(mask, sizeof mask, "0x%08x", t.mask);
    Finding f;
    f.kind = "shuffle-mask";
    f.launch = t.block->launch;
    f.scope = "warp";
    f.words = "in " + name_of(*f.launch) + ", the mask " + mask + " at " + where(t.site) +
              " names lane " + std::to_string(absent.lane) +
              ", which does not come: " + name_of(t) + " is there, " + name_of(absent) + " waits " +
              doing(absent) + " at " + where(absent.site) + ".";
    f.places = {Place("waits", t), Place("elsewhere", absent)};
    report(f);
}

bool Settling::force() {
    for (Slot *slot = worker_.resident_; slot; slot = slot->next) {
        Block &b = slot->block;
        for (unsigned i = 0; i < b.count && b.meetings; i++) {
            Thread &t = b.threads[i];
            if (t.wait != Wait::warp || returned(t))
                continue;
            for (unsigned lane = 0; lane < t.warp->lanes; lane++) {
                const Thread &other = t.warp->threads[lane];
                bool comes =
                    other.wait == Wait::warp && other.mask == t.mask && other.kind == t.kind;
                if (t.mask >> lane & 1 && !comes && !returned(other)) {
                    report_absent(t, other);
                    break;
                }
            }
            close_meeting(worker_, t);
            return true;
        }
    }
    return false;
}

/* ---- Deadlock ------------------------------------------------------------------------------ */

void Settling::deadlock() {
    Launching &launching = *worker_.launching_;
    if (!launching.fail(719))
        return;
    struct Row {
        const Thread *first = nullptr;
        unsigned count = 0;
    };
    std::map<std::string, Row> rows;
    for (Slot *slot = worker_.resident_; slot; slot = slot->next)
        for (unsigned i = 0; i < slot->block.count; i++) {
            const Thread &t = slot->threads[i];
            if (returned(t))
                continue;
            Row &row = rows[where(t.site) + " " + doing(t)];
            if (!row.count++)
                row.first = &t;
        }
    Finding f;
    f.kind = "deadlock";
    f.launch = launching.info;
    f.scope = "grid";
    f.words = "in " + name_of(*f.launch) + ", no thread can go on:";
    f.detail = "{\"waiting\":[";
    for (auto &[key, row] : rows) {
        const Thread &t = *row.first;
        bool more = &row != &rows.begin()->second;
        f.words += std::string(more ? ";" : "") + " " + std::to_string(row.count) + " wait " +
                   doing(t) + " at " + where(t.site) + " (" + name_of(t) + ")";
        f.detail += std::string(more ? "," : "") + "{\"count\":" + std::to_string(row.count) +
                    ",\"what\":" + quoted(doing(t)) + ",\"line\":" + std::to_string(t.site.line) +
                    "}";
        f.places.push_back(Place("waits", t));
        f.places.back().pc = t.pc;
    }
    uint64_t begun =
        launching.next < launching.blocks ? uint64_t(launching.next) : launching.blocks;
    f.detail += "],\"blocks_not_begun\":" + std::to_string(launching.blocks - begun) + "}";
    f.words += ".";
    if (worker_.grid.count)
        f.words += " grid.sync() waits for all blocks of the grid, and for thread 0 of each; " +
                   std::to_string(launching.ended) + " blocks have ended.";
    if (begun < launching.blocks)
        f.words += " " + std::to_string(launching.blocks - begun) +
                   " blocks have not begun: " + card().word + " holds " +
                   std::to_string(launching.resident_limit) +
                   " of this size at once, and a block that waits for one of the others waits "
                   "for ever.";
    report(f);
}

}
