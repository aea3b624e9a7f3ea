/* streams.h: the order of launches and copies, and what the host has waited for.

   Works are carried out one after another by the lab, but a card need not do so: two works are
   ordered if they are in one stream, if the default stream stands between them, if an event
   connects them, or if the host waited for the first before it asked for the second. */
#pragma once
#include <cstdint>
#include <string>
#include <vector>
#include "order.h"

namespace lab::inspect {

/* A launch or an asynchronous copy. */
struct Work {
    Tick begin = 0, end = 0;
    uint32_t stream = 0;
    uint64_t launch = 0; // its number, 0 for a copy
    dim3 grid, block;
    uintptr_t pc = 0; // where the host asked for it
    uint32_t path = 0;
    bool output_taken = false; // has anybody after it read what it stored?
};

/* For each stream, the tick up to which its works are known to be over. */
using Progress = std::vector<Tick>;

class Streams {
public:
    uint32_t number(void *stream);
    void set_nonblocking(void *stream);

    Work &begin(void *stream, uintptr_t pc, uint32_t path);
    void end(Work &work) { work.end = ++tick; }
    // Accesses before this tick are all ordered before the work, which is the latest one.
    Tick floor(const Work &work) const;
    // Is the work that was going on at the tick ordered before this one?
    bool ordered(const Work &work, Tick at) const;

    void host_waits(void *stream);
    void host_waits_all();
    void event_recorded(void *event, void *stream);
    void event_waited(void *event, void *stream, bool host);
    bool host_knows(Tick at) const;
    bool host_knows_all() const;

    const Work *at(Tick t) const;
    bool several() const { return streams_.size() > 1; }

private:
    struct Stream {
        void *handle = nullptr;
        bool nonblocking = false;
        Tick last = 0;     // the end of its latest work
        Progress known; // what its next work is ordered after
    };

    void prune();

    std::vector<Stream> streams_{1}; // 0 is the default stream
    std::vector<Work *> works_;
    std::vector<Progress> seen_by_; // of each work, when it began
    size_t pruned_ = 0;               // works before this one are over for everybody
    Progress host_;
    std::vector<std::pair<void *, Progress>> events_;
};

extern Lasting<Streams> streams;

} // namespace lab::inspect
