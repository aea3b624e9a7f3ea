/* reduce.h: a place of its own for what c_src/lab/include/cooperative_groups.h holds. */
#include "../cooperative_groups.h"
