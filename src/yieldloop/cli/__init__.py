"""The command line: ``python -m yieldloop run PROGRAM.py`` and its small sisters.

Level 7: it may import everything below, and nothing below may import it. What lives here: reading the command line
(``main``), running a program as ``python`` would (``program``), giving that program our loop (``install``), and telling
what this install is (``info``). What may not: anything that a program needs which does not come by the command line.
"""
