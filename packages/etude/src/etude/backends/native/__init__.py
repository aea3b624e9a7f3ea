"""Kernels in C: from an op call to a call of a function of etude.h.

    header      reads etude.h: the function types, and the text of the glue
    kernel      the kernels of one op, and who carries a call over into C
    geometry    strides, collapsing, copies: what a kernel needs to know of its arrays
    numbers     the sizes and attributes a kernel takes, matched by name with the op's row
    dense pointwise matrices axes copies
                the calling conventions: what happens between the op call and the kernel call
    bind        which convention an op follows
    library     opens a shared library and makes a column of it
    record      the records of native calls, and running them again

Each file imports only what stands before it. A new op whose kernel takes its arrays contiguous
needs nothing here: its row in ``etude/ops/`` says it all.
"""
