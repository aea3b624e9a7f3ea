"""The core: what an op is, what a call of one is, and who runs it. Read in this order.

    errors given shapes layout      what an op is: a row of the table, on arrays
      conventions table array
    columns state                   who runs it: the columns of a device, those in force
    tape tensor dispatch            what a call is: the record of it, and the way to it
    autograd methods creation random  what people call, with ``etude/functional/``

Each file imports only what stands before it. The ops themselves are in ``etude/ops/``, backends in
``etude/backends/``; nothing here knows either.
"""
