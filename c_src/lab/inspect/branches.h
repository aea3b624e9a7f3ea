/* branches.h: how much of a warp takes part in each basic block.

   The n-th execution of a block by each lane, counted since the warp last met, is taken to be one
   execution by the warp. So the executions of a warp are the highest count of a lane, and those
   that all lanes take part in are the lowest. The rest are split. Of these some are scattered: their
   lanes are not simply the first ones, as those of the last warp in `if (t < k)` are. */
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

namespace lab::inspect {

/* One basic block in one launch. */
struct Branch {
    uint64_t warps = 0, lanes = 0, split = 0, scattered = 0;
};

class Branches {
public:
    void add(uint32_t block, uint32_t lane) {
        if (block >= counts_.size()) counts_.resize(block + 1);
        Count &count = counts_[block];
        if (!count.listed) list(count, block);
        count.of[lane]++;
    }

    // The warp has met, with these lanes alive since it met before.
    void close(uint32_t alive, std::vector<Branch> &branches) {
        for (uint32_t block : listed_) {
            Count &count = counts_[block];
            count.listed = false;
            uint32_t most = 0, least = ~0u, beyond = 0; // `beyond`: what a lane ran, one before it not
            uint64_t sum = 0;
            for (uint32_t lanes = alive; lanes; lanes &= lanes - 1) {
                uint32_t n = count.of[__builtin_ctz(lanes)];
                most = n > most ? n : most;
                if (n > least) beyond = n - least > beyond ? n - least : beyond;
                least = n < least ? n : least;
                sum += n;
            }
            branches[block].warps += most;
            branches[block].lanes += sum;
            branches[block].split += most - least;
            branches[block].scattered += beyond;
        }
        listed_.clear();
    }

private:
    struct Count {
        uint32_t of[32];
        bool listed = false;
    };

    void list(Count &count, uint32_t block) {
        memset(count.of, 0, sizeof count.of);
        count.listed = true;
        listed_.push_back(block);
    }

    std::vector<Count> counts_;
    std::vector<uint32_t> listed_;
};

} // namespace lab::inspect
