/* step.cu: one step of SGD with momentum, of Adam, AdamW and RMSprop.
   Reference: packages/etude/src/etude/ops/step.py. On the CPU: c_src/cpu/step.c.

   Plan. One pass over memory, 16 bytes at a time: p, g and the moments are read once and written
   once, in place where the caller says so (out=). What depends on hyper alone is computed in double
   and rounded once, by one thread of each block, since hyper is memory of the device. Arrays come
   as a table of pointers, a parameter a row and a parameter a row of blocks of the grid: a model's
   many small parameters are one launch. ETUDE_REAL is 32 or 64. */
