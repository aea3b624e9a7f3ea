/* scan.h: it is all in cooperative_groups.h. */
#include "../cooperative_groups.h"
