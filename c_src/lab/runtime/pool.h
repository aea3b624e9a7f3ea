/* pool.h: the CPU threads that share the blocks of a launch. pool.cpp. */
#ifndef LAB_POOL_H
#define LAB_POOL_H

#include "launch.h"

namespace lab {

/* Runs the launch to its end, on this CPU thread and as many others as are worth it. */
void run_on_pool(Launching &launching);

void pool_after_fork();

}

#endif
