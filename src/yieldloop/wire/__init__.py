"""Level 3, sans-I/O: objects that are fed bytes and events, and hand back bytes and decisions.

What lives here: the stream buffer (bytes received), the write queue (bytes to be sent), the flow control between them, and TLS.
What may not: sockets, file descriptors, a loop, a clock, `async def`. Whatever is tested here is tested with plain bytes.

Rule for the editor: the modules are compiled from these same `.py` files; a `.pxd` beside each names the C types. A new
attribute goes into `__slots__`, into `__init__` and into the `.pxd`, in the same order.
"""
