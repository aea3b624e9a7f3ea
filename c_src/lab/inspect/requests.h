/* requests.h: what a warp asks of memory at once. On a card the lanes of a warp that execute one
   load together make one request; the memory system answers it in sectors of 32 bytes, and
   shared memory in passes, one if no bank is asked for two different words.

   The lanes of the lab are not in step, so requests are put together afterwards: the n-th
   execution of a spot by each lane, counted since the warp last met at a barrier, is one
   request. A lane that runs further ahead than the window has to wait for the others.

   Exact: which addresses a request holds where all lanes take the same path. Modelled: the
   pairing where they do not; a pass for each further word of a bank (8-byte accesses by half
   warps, 16-byte ones by quarters). Not modelled: caches. */
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

namespace lab::inspect {

struct Object;

enum class Op : uint8_t { load, store, atomic };

struct Cost {
    uint32_t sectors = 0;   // of 32 bytes, touched by the request
    uint32_t ideal = 0;     // that would hold the same bytes, lying side by side
    uint32_t conflicts = 0; // passes beyond the first
};

/* address[l] of the lanes in the mask, `size` bytes each. */
Cost cost_in_memory(uint32_t lanes, const uint32_t *address, uint32_t size);
Cost cost_in_shared(uint32_t lanes, const uint32_t *address, uint32_t size, Op op);
Cost cost_in_constant(uint32_t lanes, const uint32_t *address, uint32_t size);

enum class Kind : uint8_t { memory, shared, constant };

/* The counters of one spot in one launch. */
struct Traffic {
    uint32_t spot = 0, size = 0; // spot 0: not executed in this launch
    Kind kind = Kind::memory;
    Op op = Op::load;
    uint64_t requests = 0, lanes = 0, sectors = 0, ideal = 0, conflicts = 0, bytes = 0;
    const Object *object = nullptr; // what the example lies in
    uint32_t example_lanes = 0;  // the request that cost most, and of those the first
    uint32_t example_waste = 0;
    uint32_t example[32];

    void add(uint32_t lanes_mask, const uint32_t *address);
};

/* The requests of one warp that are not complete yet. */
class Requests {
public:
    static constexpr uint32_t window = 64; // executions a lane may be ahead of its warp

    // One execution of the spot in `slot` by a lane. False if the window is full: let other lanes
    // run, or close the oldest requests, and ask again.
    bool add(uint32_t slot, uint32_t lane, uint32_t address, Traffic &traffic);

    // False once the window had to be closed without some lanes, until the warp meets again. A lane
    // that waits for another block's news must not look busy to the scheduler.
    bool may_catch_up(uint32_t slot) const { return !open_[slot].left_behind; }

    // Counts the older half of the window as it is, because the missing lanes do not come.
    void close_half(uint32_t slot, Traffic &traffic);

    // The warp has met: whatever is open is complete. `traffic` is indexed by slot.
    void close(std::vector<Traffic> &traffic);

    // How often a lane has executed the slot since the warp last met.
    uint32_t executions(uint32_t slot, uint32_t lane) const {
        return slot < open_.size() && open_[slot].listed ? open_[slot].count[lane] : 0;
    }

    void start(uint32_t lanes) { missing_ = ~lanes; }
    void lane_ended(uint32_t lane) { missing_ |= 1u << lane; }
    uint32_t alive() const { return ~missing_; }

private:
    struct Request {
        uint32_t lanes = 0;
        uint32_t address[32];
    };

    struct Open {
        uint32_t count[32];
        uint32_t base = 0; // requests before this one are counted
        uint32_t capacity = 0;
        bool listed = false; // was executed since the warp last met
        bool left_behind = false; // some requests were closed without lanes that were alive
        std::unique_ptr<Request[]> ring;
    };

    void grow(Open &open);
    void list(uint32_t slot);
    void count_one(Open &open, Traffic &traffic);

    std::vector<Open> open_;
    std::vector<uint32_t> listed_;
    uint32_t missing_ = 0; // lanes that never come: ended, or beyond the end of the block
};

} // namespace lab::inspect
