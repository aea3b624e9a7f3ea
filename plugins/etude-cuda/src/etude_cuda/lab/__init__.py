"""The lab: CUDA programs on a CPU, every thread of them, every access seen.

A program goes through the source pass (``source.py``), g++ (``build.py``) and a process of its own
(``program.py``); one kernel gets a driver program first (``kernel.py``). The commands are in
``commands.py``. What runs is C++, in c_src/lab. This file imports nothing, so that the source pass
runs where etude is not installed.
"""
