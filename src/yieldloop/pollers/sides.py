"""The two sides of a file descriptor, as bits of one number, in the words of every poller.

What lives here: the numbers, for interpreted and compiled files alike. What may not: the kernel's own flags.
"""

from __future__ import annotations

READ = 1  # readable, or at its end
WRITE = 2  # writable
STALE = 4  # not a side: the event came from a file that the descriptor no longer is
BORROWED = 8  # not a side: the registration was left by one who does not promise to forget the descriptor
