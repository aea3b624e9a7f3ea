/* warp.cpp: meetings of lanes: shuffles, votes, matches, reductions, __syncwarp, __activemask.

   A meeting is a mask and a kind. It is complete when every lane of the mask has come to it or
   returned; the last to come works out the results and lets the others go. Lanes run one after
   another in between: nothing else keeps them together. */
#define LAB_RUNTIME
#include "lab/warp.h"

#include "observe.h"
#include "report.h"
#include "worker.h"

namespace lab {

static const char *word_of(int kind) {
    switch (static_cast<Meet>(kind)) {
    case Meet::sync: return "__syncwarp";
    case Meet::shuffle: return "shuffle";
    case Meet::ballot: return "vote";
    case Meet::match_any:
    case Meet::match_all: return "match";
    default: return "reduction";
    }
}

static std::string hexadecimal(unsigned mask) {
    char text[12];
    snprintf(text, sizeof text, "0x%08x", mask);
    return text;
}

static bool at_meeting(const Thread &t, const Thread &with) {
    return t.wait == Wait::warp && t.mask == with.mask && t.kind == with.kind;
}

static bool returned(const Thread &t) { return t.done == t.block->serial; }

/* The lanes that are at the meeting of t. */
static unsigned present(const Thread &t) {
    const Warp &w = *t.warp;
    unsigned lanes = 0;
    for (unsigned i = 0; i < w.lanes; i++)
        if (t.mask >> i & 1 && at_meeting(w.threads[i], t))
            lanes |= 1u << i;
    return lanes;
}

/* ---- Results ------------------------------------------------------------------------------- */

static uint64_t reduced(Meet kind, uint64_t a, uint64_t b) {
    auto x = static_cast<unsigned>(a), y = static_cast<unsigned>(b);
    auto sx = static_cast<int>(x), sy = static_cast<int>(y);
    switch (kind) {
    case Meet::min: return x < y ? x : y;
    case Meet::max: return x > y ? x : y;
    case Meet::min_signed: return static_cast<unsigned>(sx < sy ? sx : sy);
    case Meet::max_signed: return static_cast<unsigned>(sx > sy ? sx : sy);
    case Meet::bit_and: return x & y;
    case Meet::bit_or: return x | y;
    case Meet::bit_xor: return x ^ y;
    default: return x + y;
    }
}

static void report_inactive(const Thread &t, unsigned from) {
    const Thread *other = from < t.warp->lanes ? &t.warp->threads[from] : nullptr;
    Finding f;
    f.kind = "shuffle-inactive";
    f.launch = t.block->launch;
    f.scope = "warp";
    f.words = "in " + name_of(*f.launch) + ", " + name_of(t) + " (lane " + std::to_string(t.lane) +
              ") reads by a shuffle at " + where(t.site) + " from lane " + std::to_string(from);
    if (!(t.mask >> from & 1))
        f.words += ", which is not in the mask " + hexadecimal(t.mask);
    else if (!other)
        f.words += ", which the block does not have";
    else if (returned(*other))
        f.words += ", which has returned";
    else
        f.words += ", which is not there";
    f.words += ". What it gets is undefined.";
    f.places = {Place("shuffle", t)};
    if (other && !returned(*other))
        f.places.push_back(Place("elsewhere", *other));
    report(f);
}

static uint64_t shuffled(const Thread &t, unsigned lanes) {
    auto from = static_cast<unsigned>(t.argument);
    if (t.argument < 0)
        return t.offer;
    if (lanes >> from & 1)
        return t.warp->threads[from].offer;
    report_inactive(t, from);
    return t.offer;
}

/* Works out the result of every lane of a meeting. */
static void work_out(Thread &t, unsigned lanes) {
    Thread *threads = t.warp->threads;
    Meet kind = static_cast<Meet>(t.kind);
    unsigned yes = 0;
    uint64_t all = 0;
    bool first = true, same = true;
    for (unsigned i = 0; i < 32; i++) {
        if (!(lanes >> i & 1))
            continue;
        if (threads[i].offer)
            yes |= 1u << i;
        same = same && threads[i].offer == t.offer;
        all = first ? threads[i].offer : reduced(kind, all, threads[i].offer);
        first = false;
    }
    for (unsigned i = 0; i < 32; i++) {
        if (!(lanes >> i & 1))
            continue;
        Thread &each = threads[i];
        switch (kind) {
        case Meet::sync: break;
        case Meet::shuffle: each.result = shuffled(each, lanes); break;
        case Meet::ballot: each.result = yes; break;
        case Meet::match_all: each.result = same ? lanes : 0; break;
        case Meet::match_any:
            each.result = 0;
            for (unsigned j = 0; j < 32; j++)
                if (lanes >> j & 1 && threads[j].offer == each.offer)
                    each.result |= 1u << j;
            break;
        default: each.result = all & 0xffffffff; break;
        }
    }
}

/* ---- Coming and going ---------------------------------------------------------------------- */

/* The meeting of t takes place with the lanes that are there. */
void close_meeting(Worker &worker, Thread &t) {
    Warp &w = *t.warp;
    unsigned lanes = present(t);
    work_out(t, lanes);
    List list;
    for (unsigned i = 0; i < w.lanes; i++)
        if (lanes >> i & 1)
            list.push(&w.threads[i]);
    w.waiting &= ~lanes;
    w.block->meetings -= list.count;
    worker.release(list, Wait::warp);
}

/* Whether every lane of the mask has come or returned; if so the meeting takes place. */
bool try_meeting(Worker &worker, Thread &t) {
    Warp &w = *t.warp;
    unsigned there = w.lanes == 32 ? ~0u : (1u << w.lanes) - 1;
    unsigned missing = t.mask & there & ~w.waiting;
    for (; missing; missing &= missing - 1)
        if (!returned(w.threads[__builtin_ctz(missing)]))
            return false;
    unsigned wanted = t.mask & there & w.waiting;
    if (present(t) != wanted)
        return false;
    close_meeting(worker, t);
    return true;
}

static void report_mask(const Thread &t) {
    Finding f;
    f.kind = "shuffle-mask";
    f.launch = t.block->launch;
    f.scope = "warp";
    f.words = "in " + name_of(*f.launch) + ", the mask " + hexadecimal(t.mask) + " of the " +
              word_of(t.kind) + " at " + where(t.site) +
              " leaves out the lane that calls it: " + name_of(t) + " is lane " +
              std::to_string(t.lane) + ".";
    f.places = {Place(word_of(t.kind), t)};
    report(f);
}

uint64_t meet(Meet kind, unsigned mask, uint64_t offer, int lane, Site site) {
    Thread *t = now;
    Worker &worker = this_worker();
    t->site = site;
    t->pc = __builtin_return_address(0);
    t->mask = mask;
    t->kind = static_cast<int>(kind);
    t->offer = offer;
    t->argument = lane;
    observe::arrive(*t, Wait::warp, mask, t->pc);
    if (!(mask >> t->lane & 1)) {
        report_mask(*t);
        t->mask |= 1u << t->lane;
        work_out(*t, 1u << t->lane);
        return t->result;
    }
    pulse.changes++;
    t->wait = Wait::warp;
    t->warp->waiting |= 1u << t->lane;
    t->block->meetings++;
    try_meeting(worker, *t);
    worker.leave();
    return t->result;
}

unsigned together(Site site) {
    Thread *t = now;
    t->site = site;
    t->pc = __builtin_return_address(0);
    t->wait = Wait::together;
    observe::arrive(*t, Wait::together, 1u << t->lane, t->pc);
    t->block->meetings++;
    this_worker().leave();
    return static_cast<unsigned>(t->result);
}

}
