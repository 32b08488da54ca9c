"""Numbers for collectors: the text is read by a collector's own parser, OpenTelemetry's by its own SDK."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

import pytest

import yieldloop
from tests.programs import running
from yieldloop.watch import metrics, otel, watchdog

pytestmark = pytest.mark.skipif(os.environ.get("YIELDLOOP_PURE") == "1", reason="the numbers are the same at both speeds")


def read(text: str) -> dict[tuple[str, str], float]:
    """By a collector's parser: {(sample, value of its last label): number}."""
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, list(sample.labels.values())[-1]] = sample.value
    return found


class Slow(asyncio.Protocol):
    """Does not read."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.pause_reading()


def test_what_a_loop_holds_is_told_in_numbers() -> None:
    async def main() -> dict[Any, float]:
        loop = asyncio.get_running_loop()
        slow = Slow()
        server = await loop.create_server(lambda: slow, "127.0.0.1", 0)
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        transport.write(bytes(50_000_000))
        sleepers = [asyncio.create_task(asyncio.sleep(60)) for _ in range(5)]
        await asyncio.sleep(0.01)
        loop.call_soon(print)
        for _ in range(3):
            asyncio.create_task(asyncio.sleep(0))
        found = read(metrics.text())
        transport.abort()
        slow.transport.abort()
        server.close()
        for task in sleepers:
            task.cancel()
        await asyncio.sleep(0.01)
        return found

    found = yieldloop.run(main())
    name = next(label for sample, label in found if sample == "yieldloop_timers")
    assert name.startswith("EventLoop-")
    assert found["yieldloop_tasks", "running"] == 1
    assert found["yieldloop_tasks", "parked"] == 5
    assert found["yieldloop_tasks", "ready"] == 3
    assert found["yieldloop_ready_entries", name] == 4
    assert found["yieldloop_timers", name] == 5
    assert 1_000_000 < found["yieldloop_write_buffer_bytes", name] < 50_000_000
    assert found["yieldloop_transports", name] == 2
    assert found["yieldloop_sent_bytes_total", name] == 50_000_000 - found["yieldloop_write_buffer_bytes", name]
    assert found["yieldloop_received_bytes_total", name] == 0
    assert found["yieldloop_iterations_total", name] > 1
    assert found["yieldloop_polls_total", name] > 0


def test_blocks_and_lag_are_told() -> None:
    async def main() -> dict[Any, float]:
        time.sleep(0.1)
        await asyncio.sleep(0)
        time.sleep(0.1)
        return read(metrics.text())

    watchdog.table.found.clear()
    watchdog.configure(0.03)
    try:
        found = yieldloop.run(main())
    finally:
        watchdog.configure()
    assert found["yieldloop_blocks_total", "step"] == 2
    assert 0.03 < found["yieldloop_block_worst_seconds", "step"] < 5
    [lag] = [value for (sample, _), value in found.items() if sample == "yieldloop_loop_lag_seconds"]
    assert 0.02 < lag < 5


def test_another_process_tells_its_numbers() -> None:
    with running("-c", "import asyncio, yieldloop\nprint('up')\nyieldloop.run(asyncio.sleep(60))") as program:
        program.line()
        told = program.wait_until(lambda: (done := program.yieldloop("metrics", str(program.pid))).returncode == 0 and done.stdout)
        assert read(told)["yieldloop_tasks", "parked"] == 1


def test_opentelemetry_reads_the_same() -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    async def main() -> Any:
        asyncio.create_task(asyncio.sleep(0))
        reader = InMemoryMetricReader()
        provider = MeterProvider([reader], shutdown_on_exit=False)
        otel.instrument(provider.get_meter("test"))
        data = json.loads(reader.get_metrics_data().to_json())
        provider.shutdown()
        return data

    data = yieldloop.run(main())
    told = {metric["name"]: metric for metric in data["resource_metrics"][0]["scope_metrics"][0]["metrics"]}
    points = {point["attributes"]["state"]: point["value"] for point in told["yieldloop.tasks"]["data"]["data_points"]}
    assert points == {"running": 1, "ready": 1, "parked": 0}
    assert told["yieldloop.loop_lag"]["unit"] == "s"
    assert told["yieldloop.blocks"]["data"]["is_monotonic"]
