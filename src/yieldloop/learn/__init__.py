"""`yieldloop learn`: steps through a chapter of the guide, or through the reader's own file, forward and back.

What lives here: the recording of a run as a walk document (`tracer`, in a process of its own, with `sight`, which sees who holds
what, `frames`, `names` and `words`), and what shows it: `printing` (plain text), `screen` (the terminal), `web` (the page of
`yieldloop.watch`).
What may not: an event loop of its own; a drawing that is not made from a real run.
"""
