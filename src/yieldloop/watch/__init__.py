"""A loop that can be asked: what its tasks wait for, what blocked it, what happened just before.

What lives here: all that looks at loops, built on the engine's recorder, its probe and its state. What may not: anything that the
loop itself needs to run.
"""
