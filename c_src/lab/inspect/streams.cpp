/* streams->cpp: vectors of progress, one number for each stream. */
#include "streams.h"
#include <algorithm>

namespace lab::inspect {

LAB_FIRST Lasting<Streams> streams;

namespace {

void join(Progress &into, const Progress &more) {
    if (into.size() < more.size()) into.resize(more.size());
    for (size_t i = 0; i < more.size(); i++) into[i] = std::max(into[i], more[i]);
}

/* cudaStreamLegacy, a name for the default stream. */
void *const legacy_stream = reinterpret_cast<void *>(1);

Tick of(const Progress &progress, uint32_t stream) {
    return stream < progress.size() ? progress[stream] : 0;
}

void raise(Progress &progress, uint32_t stream, Tick to) {
    if (progress.size() <= stream) progress.resize(stream + 1);
    progress[stream] = std::max(progress[stream], to);
}

} // namespace

uint32_t Streams::number(void *stream) {
    if (!stream || stream == legacy_stream) return 0;
    for (uint32_t i = 1; i < streams_.size(); i++)
        if (streams_[i].handle == stream) return i;
    streams_.emplace_back();
    streams_.back().handle = stream;
    return (uint32_t)streams_.size() - 1;
}

void Streams::set_nonblocking(void *stream) { streams_[number(stream)].nonblocking = true; }

Work &Streams::begin(void *handle, uintptr_t pc, uint32_t path) {
    uint32_t s = number(handle);
    Stream &stream = streams_[s];
    join(stream.known, host_);
    raise(stream.known, s, tick + 1);
    // The default stream waits for the streams that do not opt out, and they wait for it.
    for (uint32_t i = 0; i < streams_.size(); i++)
        if (i != s && (s == 0 || i == 0) && !streams_[s ? s : i].nonblocking) {
            join(stream.known, streams_[i].known);
            raise(stream.known, i, tick + 1);
        }
    Work *work = new Work;
    work->begin = ++tick;
    work->end = ~0u;
    work->stream = s;
    work->pc = pc;
    work->path = path;
    prune();
    works_.push_back(work);
    seen_by_.push_back(stream.known);
    return *work;
}

/* Works that the host has waited for need not be looked at again. */
void Streams::prune() {
    while (pruned_ < works_.size() && of(host_, works_[pruned_]->stream) >= works_[pruned_]->end)
        pruned_++;
}

Tick Streams::floor(const Work &work) const {
    const Progress &known = seen_by_.back(); // asked of the latest work only
    for (size_t i = pruned_; i + 1 < works_.size(); i++)
        if (of(known, works_[i]->stream) < works_[i]->end) return works_[i]->begin;
    return work.begin;
}

const Work *Streams::at(Tick t) const {
    auto after = std::upper_bound(works_.begin(), works_.end(), t,
                                  [](Tick a, const Work *w) { return a < w->begin; });
    return after == works_.begin() ? nullptr : *std::prev(after);
}

bool Streams::ordered(const Work &work, Tick t) const {
    const Work *before = at(t);
    if (!before || before == &work) return true;
    auto place = std::lower_bound(works_.begin(), works_.end(), work.begin,
                                  [](const Work *w, Tick a) { return w->begin < a; });
    return of(seen_by_[place - works_.begin()], before->stream) >= before->end;
}

void Streams::host_waits(void *stream) {
    if (!number(stream)) { // the default stream has waited for the others
        for (uint32_t i = 0; i < streams_.size(); i++)
            if (!streams_[i].nonblocking) raise(host_, i, tick);
    } else {
        uint32_t s = number(stream);
        join(host_, streams_[s].known);
        raise(host_, s, tick);
    }
    prune();
}

void Streams::host_waits_all() {
    for (uint32_t i = 0; i < streams_.size(); i++) raise(host_, i, tick);
    prune();
}

void Streams::event_recorded(void *event, void *stream) {
    uint32_t s = number(stream);
    Progress now = streams_[s].known;
    raise(now, s, tick);
    for (auto &e : events_)
        if (e.first == event) {
            e.second = now;
            return;
        }
    events_.emplace_back(event, now);
}

void Streams::event_waited(void *event, void *stream, bool host) {
    for (auto &e : events_)
        if (e.first == event) join(host ? host_ : streams_[number(stream)].known, e.second);
    prune();
}

bool Streams::host_knows(Tick t) const {
    const Work *work = at(t);
    return !work || of(host_, work->stream) >= work->end;
}

bool Streams::host_knows_all() const {
    for (size_t i = pruned_; i < works_.size(); i++)
        if (of(host_, works_[i]->stream) < works_[i]->end) return false;
    return true;
}

bool ordered_before_launch(const LaunchView &launch, Tick at) {
    return streams->ordered(*launch.work, at);
}

} // namespace lab::inspect
