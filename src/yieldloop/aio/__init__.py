"""Level 6: what users await.

Coroutines stay interpreted, so that a task's stack and await chain can be read. Everything here works on any asyncio loop, the
standard library's included.
"""

from yieldloop.aio.graph import *  # noqa: F403
from yieldloop.aio.locks import *  # noqa: F403
from yieldloop.aio.queues import *  # noqa: F403
from yieldloop.aio.runners import *  # noqa: F403
from yieldloop.aio.streams import *  # noqa: F403
from yieldloop.aio.taskgroups import *  # noqa: F403
from yieldloop.aio.tasks import *  # noqa: F403
from yieldloop.aio.threads import *  # noqa: F403
from yieldloop.aio.timeouts import *  # noqa: F403
from yieldloop.aio.waiting import *  # noqa: F403
