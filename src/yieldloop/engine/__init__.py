"""Level 1: what runs.

Handles, the ready queue, timers, the iteration, Future, Task, the probe. What may not live here: sockets, file descriptors,
``async def``. Every file but the two marked ``_`` twins is plain Python that Cython compiles untouched, with the C types of its
attributes in the ``.pxd`` beside it.
"""
