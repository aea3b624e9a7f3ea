/* observers.h: what hooks.cpp asks of observers.cpp, which keeps the inspector's view of launches,
   blocks, warps and threads. The functions of observe.h are defined there too. */
#pragma once
#include <cstdint>
#include "order.h"

namespace lab::inspect {

void basic_block(Lane &lane, uintptr_t pc);
/* A loop that polls a volatile flag would never end if nobody else ran. */
void volatile_access(Lane &lane, void *address, uint32_t size, bool is_write, uintptr_t pc);
void index_out_of_array(Lane &lane, const char *array, int64_t index, uintptr_t pc);

} // namespace lab::inspect
