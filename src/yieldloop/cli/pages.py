"""``yieldloop open``, ``export`` and ``watch``: a recording or a living process as a web page or in another tool's format.

What lives here: the options and what is printed. What may not: the page, its server, the formats (``watch/``).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

# What the commands need is imported by those that need it: this module is read by every start of `yieldloop run`.

__all__ = ["add_commands", "read_document"]

FORMATS = ("perfetto", "chrome", "collapsed", "speedscope")
"""The names in `yieldloop.watch.export.FORMATS`."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser of the command line."""
    opening = commands.add_parser(
        "open",
        help="show a recording as a web page",
        description="Writes the recording FILE as one HTML file that needs no network and no server, and says where it is.",
    )
    opening.add_argument("file", metavar="FILE", type=Path, help="a recording, or a snapshot or recording in JSON")
    opening.add_argument("-o", "--output", metavar="OUT", type=Path, help="where the page goes (default: FILE.html)")
    opening.add_argument("--browser", action="store_true", help="open the page in the browser")
    opening.set_defaults(call=_open)

    exporting = commands.add_parser(
        "export",
        help="write a recording in another tool's format",
        description="Writes the recording FILE for Perfetto and Chrome (one format), flame graph tools, or speedscope.",
    )
    exporting.add_argument("file", metavar="FILE", type=Path, help="a recording")
    exporting.add_argument("--to", metavar="FORMAT", required=True, choices=FORMATS, help=", ".join(FORMATS))
    exporting.add_argument("-o", "--output", metavar="OUT", type=Path, help="the file to write (default: standard output)")
    exporting.set_defaults(call=_export)

    watching = commands.add_parser(
        "watch",
        help="show a running process as a web page",
        description="Serves the page for the process PID, live, on this machine alone, at an address that cannot be guessed.",
    )
    watching.add_argument("pid", metavar="PID", type=int, help="a process that runs on yieldloop (yieldloop ps lists them)")
    watching.add_argument("--port", metavar="N", type=int, default=0, help="the port to serve at (default: a free one)")
    watching.add_argument("--browser", action="store_true", help="open the page in the browser")
    watching.set_defaults(call=_watch)


def read_document(path: Path) -> dict[str, Any]:
    """The document in *path*: a recording as it was saved, or any document as JSON.

    Raises OSError if it cannot be read, ValueError if it is neither.
    """
    import json

    with open(path, "rb") as file:
        is_json = file.read(1) == b"{"
        if is_json:
            file.seek(0)
            found: dict[str, Any] = json.load(file)
            return found
    from yieldloop import record

    try:
        document: dict[str, Any] = record.load(path).as_json()
    except record.RecordingError as error:
        raise ValueError(str(error)) from None
    return document


def _payload(document: dict[str, Any]) -> dict[str, Any]:
    """What the page is given for *document*, which is a recording or a snapshot."""
    from yieldloop.watch.export import document_argv

    if "loops" not in document or "process" not in document:
        raise ValueError("it is JSON, but neither a recording nor a snapshot")
    kind = "recording" if "wall_ns" in document else "snapshot"
    return {"kind": "recording", "title": " ".join(document_argv(document)), kind: document}


def _failed(command: str, path: Path, error: Exception) -> int:
    print(f"yieldloop {command}: {path}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
    return 1


def _open(options: argparse.Namespace) -> int:
    from yieldloop.watch import page

    try:
        html = page.render(_payload(read_document(options.file)))
        output = options.output or options.file.with_name(f"{options.file.name}.html")
        output.write_text(html, encoding="utf-8")
    except (OSError, ValueError) as error:
        return _failed("open", options.file, error)
    print(output)
    if options.browser:
        _show(output.resolve().as_uri())
    return 0


def _export(options: argparse.Namespace) -> int:
    from yieldloop.watch import export

    try:
        document = read_document(options.file)
        if "wall_ns" not in document:
            raise ValueError("it is no recording, and only recordings can be exported")
        text = export.FORMATS[options.to](document)
        if options.output is None:
            sys.stdout.write(text)
        else:
            options.output.write_text(text, encoding="utf-8")
            print(options.output)
    except (OSError, ValueError) as error:
        return _failed("export", options.file, error)
    return 0


def _watch(options: argparse.Namespace) -> int:
    from yieldloop.watch import outside, webserver

    def ask(name: str) -> bytes:
        with outside.connect(options.pid) as process:
            return json_of(process.ask(name))

    def started(address: str) -> None:
        print(f"{address}\nCtrl-C ends it.", flush=True)
        if options.browser:
            _show(address)

    outside.connect(options.pid).close()  # a process that cannot be asked is said so here, not in the page
    try:
        webserver.serve(ask, port=options.port, started=started)
    except ModuleNotFoundError as error:
        print(f"yieldloop watch: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def json_of(answer: Any) -> bytes:
    """What a process answered as JSON: a snapshot is a document already, a recording comes as the bytes of its file."""
    import json

    return json.dumps(document_in(answer) if isinstance(answer, bytes) else answer).encode()


def document_in(recording: bytes) -> dict[str, Any]:
    """The document in the bytes of a recording's file."""
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="yieldloop-") as file:
        file.write(recording)
        file.flush()
        return read_document(Path(file.name))


def _show(address: str) -> None:
    import webbrowser

    if not webbrowser.open(address):
        print("No browser could be opened; the address above is for one.", file=sys.stderr)
