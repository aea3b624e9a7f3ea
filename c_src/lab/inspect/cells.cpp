/* cells.cpp: where shadow memory comes from, and ranges of definedness. */
#include "cells.h"
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace lab::inspect {

void *reserve(size_t bytes) {
    void *at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at != MAP_FAILED) return at;
    static const char text[] = "lab: no address space is left for the shadow of the program's "
                               "memory; try smaller arrays\n";
    (void)!write(2, text, sizeof text - 1);
    _exit(70);
}

void unreserve(void *at, size_t bytes) { munmap(at, bytes); }

Cell *Cells::bytes_of(Cell &cell) {
    if (!cell.split) {
        Four four;
        for (Cell &byte : four.bytes) byte = cell;
        split_.push_back(four);
        cell.split = (uint32_t)split_.size();
    }
    return split_[cell.split - 1].bytes;
}

void Cells::release() {
    if (cells_) unreserve(cells_, count_ * sizeof(Cell));
    cells_ = nullptr;
    std::vector<Four>().swap(split_);
}

void Defined::start_undefined(size_t bytes) {
    if (bits_) {
        memset(bits_, 0, bytes / 8 + 1);
        return;
    }
    reserved_ = bytes / 8 + 16; // a word may be read at the last byte
    bits_ = static_cast<uint8_t *>(reserve(reserved_));
}

bool Defined::any(size_t at, size_t n) const {
    for (; n > 32; at += 32, n -= 32)
        if (word(at) & mask(32)) return true;
    return word(at) & mask((uint32_t)n);
}

bool Defined::all(size_t at, size_t n) const {
    for (; n > 32; at += 32, n -= 32)
        if (!few(at, 32)) return false;
    return few(at, (uint32_t)n);
}

void Defined::set(size_t at, size_t n, bool defined) {
    for (; n && at % 8; at++, n--) {
        uint8_t bit = (uint8_t)(1 << at % 8);
        bits_[at / 8] = (uint8_t)(defined ? bits_[at / 8] | bit : bits_[at / 8] & ~bit);
    }
    memset(bits_ + at / 8, defined ? 0xff : 0, n / 8);
    at += n / 8 * 8;
    uint8_t rest = (uint8_t)((1 << n % 8) - 1);
    if (rest)
        bits_[at / 8] = (uint8_t)(defined ? bits_[at / 8] | rest : bits_[at / 8] & ~rest);
}

void Defined::copy(size_t to, const Defined &from, size_t at, size_t n) {
    if (to % 8 == 0 && at % 8 == 0) {
        memmove(bits_ + to / 8, from.bits_ + at / 8, n / 8);
        to += n / 8 * 8;
        at += n / 8 * 8;
        n %= 8;
    }
    for (size_t i = 0; i < n; i++) set(to + i, 1, from.bit(at + i));
}

void Defined::release() {
    if (bits_) unreserve(bits_, reserved_);
    bits_ = nullptr;
}

} // namespace lab::inspect
