"""Exercises of chapter 12, solved: python -m pytest guide/exercises/12_mini.py"""

from importlib import import_module

import mini
import mini_streams

chapter12 = import_module("12_mini")


class TaskGroup:
    """1. Waits for all tasks that were made in it. The first one to fail takes the others along."""

    async def __aenter__(self):
        self.tasks = []
        return self

    def create_task(self, coro):
        task = mini.create_task(coro)
        self.tasks.append(task)
        return task

    def cancel(self):
        for task in self.tasks:
            task.cancel()

    async def __aexit__(self, kind, error, trace):
        if error is not None:
            self.cancel()
        try:
            await mini.gather(*self.tasks)
        except BaseException:
            self.cancel()
            await mini.gather(*self.tasks, return_exceptions=True)
            raise


def test_a_group_ends_when_all_its_tasks_have_ended():
    async def main():
        async with TaskGroup() as group:
            tasks = [group.create_task(mini.sleep(delay, delay)) for delay in (0.002, 0.001)]
        return [task.result() for task in tasks]

    assert mini.run(main()) == [0.002, 0.001]


def test_one_that_fails_takes_the_others_along():
    async def fail():
        raise LookupError("nothing there")

    async def main():
        try:
            async with TaskGroup() as group:
                other = group.create_task(mini.sleep(3600))
                group.create_task(fail())
        except LookupError:
            return other.cancelled()

    assert mini.run(main())


class PretendedLoop(mini.Loop):
    """2. Time goes by only when there is nothing else to do, and then at once."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.select = self.selector.select
        self.selector.select = self.let_time_go_by

    def time(self):
        return self.now

    def let_time_go_by(self, timeout):
        if timeout:
            self.now += timeout
            timeout = 0
        return self.select(timeout)


def test_a_year_is_over_at_once():
    async def year():
        for _ in range(365):
            await mini.sleep(24 * 3600)
        return mini.get_running_loop().time()

    loop = PretendedLoop()
    assert loop.run_until_complete(year()) == 365 * 24 * 3600
    loop.close()


async def fetch_several(port, paths):
    """3. Several pages over one connection, one after another."""
    reader, writer = await mini_streams.open_connection("127.0.0.1", port)
    try:
        bodies = []
        for path in paths:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            _status, headers = await chapter12.read_head(reader)
            bodies.append((await reader.readexactly(int(headers["content-length"]))).decode())
        return bodies
    finally:
        writer.close()


def test_one_connection_serves_several_requests():
    async def main():
        site = chapter12.Site()
        server = await mini_streams.start_server(site.serve, "127.0.0.1", 0)
        bodies = await fetch_several(server.sockets[0].getsockname()[1], ["/hello", "/open", "/wait"])
        server.close()
        await server.wait_closed()
        return bodies

    assert mini.run(main()) == ["hello", "opened", "the gate is open now"]
