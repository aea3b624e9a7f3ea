/* cells.h: shadow memory. Beside each word of an object lies a cell with the last write and two
   reads by different threads; beside each byte, a bit that says whether it was ever written.

   A mark is twelve bytes: when, who, at which spot. Accesses of less than a word split their cell
   into one for each byte. Both tables are reserved as a whole and cost memory where touched:
   ten bytes for one of the program's. */
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lab::inspect {

using Tick = uint32_t; // counts whatever orders accesses: barriers, fences, launches; see order.h

struct Mark {
    Tick tick = 0; // 0: nothing here
    uint32_t thread = 0;
    uint32_t what = 0; // spot << 10 | turn << 4 | flags

    // block_scope: an atomic that is one for its own block only
    static constexpr uint32_t write = 1, atomic = 2, is_volatile = 4, block_scope = 8;
    static constexpr uint32_t last_turn = 63;

    uint32_t spot() const { return what >> 10; }
    // How often the thread had executed the spot since it last met others; at most last_turn.
    uint32_t turn() const { return what >> 4 & last_turn; }
    bool is(uint32_t flag) const { return what & flag; }
};

struct Cell {
    Mark write;
    Mark other[2]; // reads; or atomics that a later one by another thread has replaced
    uint32_t split = 0; // which four byte cells stand for it
};

/* Zeroed memory that is reserved at once and committed when touched. */
void *reserve(size_t bytes);
void unreserve(void *at, size_t bytes);

class Cells {
public:
    Cells() = default;
    Cells(const Cells &) = delete;
    ~Cells() { release(); }

    Cell *of(size_t bytes) {
        if (!cells_) {
            count_ = bytes / 4 + 1;
            cells_ = static_cast<Cell *>(reserve(count_ * sizeof(Cell)));
        }
        return cells_;
    }
    Cell *if_any() const { return cells_; }

    // The four cells of the bytes of a word; they begin as copies of the word's.
    Cell *bytes_of(Cell &cell);
    Cell *bytes_if_split(Cell &cell) { return cell.split ? split_[cell.split - 1].bytes : nullptr; }

    void release();

private:
    struct Four {
        Cell bytes[4];
    };
    Cell *cells_ = nullptr;
    size_t count_ = 0;
    std::vector<Four> split_;
};

/* A bit for each byte of an object: was it ever written? */
class Defined {
public:
    Defined() = default;
    Defined(const Defined &) = delete;
    ~Defined() { release(); }

    // Until this is called all bytes count as defined.
    void start_undefined(size_t bytes);
    bool tracked() const { return bits_ != nullptr; }

    // Up to 57 bytes from `at`.
    bool few(size_t at, uint32_t n) const { return !(~word(at) & mask(n)); }
    void set_few(size_t at, uint32_t n) { store(at, mask(n)); }

    bool any(size_t at, size_t n) const;
    bool all(size_t at, size_t n) const;
    void set(size_t at, size_t n, bool defined = true);
    void copy(size_t to, const Defined &from, size_t at, size_t n);
    bool bit(size_t at) const { return bits_[at / 8] >> at % 8 & 1; }

    void release();

private:
    static uint64_t mask(uint32_t n) { return (1ull << n) - 1; }
    uint64_t word(size_t at) const {
        uint64_t w;
        __builtin_memcpy(&w, bits_ + at / 8, 8);
        return w >> at % 8;
    }
    void store(size_t at, uint64_t m) {
        uint64_t w;
        __builtin_memcpy(&w, bits_ + at / 8, 8);
        w |= m << at % 8;
        __builtin_memcpy(bits_ + at / 8, &w, 8);
    }

    uint8_t *bits_ = nullptr;
    size_t reserved_ = 0;
};

} // namespace lab::inspect
