"""Level 4: transports, which put a file descriptor, the poller and the bytes together.

What lives here: reading, writing, half-closing, closing; who is told what, and in which order. What may not: policy (names,
retries, who may connect): that is ``loop/``. A transport knows its loop only as an `engine.core.Core` that can also `call_soon`,
`call_exception_handler` and `get_debug`.
"""
