"""The TLS machine: the same events for any split of the bytes, errors in their place, and two machines that talk in memory."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.certificates import NAME, client_context, server_context
from yieldloop.wire._records import walk
from yieldloop.wire.tls import TRANSITIONS, TlsMachine

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
SEVERAL = settings(max_examples=40, deadline=None)


class Side:
    """A machine with what it has said so far."""

    def __init__(self, machine: TlsMachine) -> None:
        self.machine = machine
        self.events: list[str] = []
        self.data = b""
        machine.start()

    def listen(self) -> None:
        while True:
            before = self.machine.state
            event = self.machine.next_event()
            if event == "want":
                return
            assert (before, event) in TRANSITIONS, (before, event)
            assert self.machine.state == TRANSITIONS[before, event]
            if event == "data":
                assert self.machine.data
                self.data += self.machine.data
                self.machine.data = None
                if self.events[-1:] == ["data"]:
                    continue
            self.events.append(event)

    def hear(self, data: bytes, sizes: list[int] | None = None) -> None:
        """Feed *data*, cut into pieces of *sizes* (again and again), and look for events after each."""
        at = 0
        for number in range(len(data) + 1):
            if at >= len(data):
                break
            size = len(data) if not sizes else sizes[number % len(sizes)]
            piece = bytearray(data[at : at + size])
            self.machine.feed(piece)
            piece[:] = b"\xff" * len(piece)  # whoever kept it, would now have garbage
            self.listen()
            at += size
        self.listen()


def pair(version: Any = None, sizes: list[int] | None = None, server: Any = None) -> tuple[Side, Side]:
    """A client and a server after their handshake."""
    client = Side(TlsMachine(client_context(only=version), False, NAME))
    other = Side(TlsMachine(server or server_context(), True, None))
    exchange(client, other, sizes)
    assert client.machine.state == other.machine.state == "open", (client.machine.error, other.machine.error)
    return client, other


def exchange(one: Side, other: Side, sizes: list[int] | None = None) -> None:
    one.listen()
    other.listen()
    while one.machine.pending() or other.machine.pending():
        other.hear(one.machine.take(), sizes)
        one.hear(other.machine.take(), sizes)


splits = st.lists(st.integers(1, 5000) | st.integers(1, 7), min_size=1, max_size=6)


@pytest.mark.parametrize("version", VERSIONS)
@SEVERAL
@given(messages=st.lists(st.binary(min_size=1, max_size=300) | st.integers(1, 40_000).map(bytes), max_size=6), sizes=splits)
def test_any_split_gives_what_one_piece_gives(version, messages, sizes):
    for cut in (None, sizes):
        client, server = pair(version, cut)
        for message in messages:
            assert client.machine.write(message) == len(message)
        server.hear(client.machine.take(), cut)
        assert server.data == b"".join(messages)
        client.machine.close()
        exchange(server, client, cut)
        assert server.events == ["shaken", *(["data"] if messages else []), "eof"]
        server.machine.close()
        exchange(server, client, cut)
        assert client.events == ["shaken", "done"]
        assert client.machine.state == server.machine.state == "closed"


@pytest.mark.parametrize("version", VERSIONS)
@SEVERAL
@given(sizes=splits, rooms=st.lists(st.integers(1, 3000), min_size=1, max_size=4), size=st.integers(1, 50_000))
def test_reading_into_a_buffer_of_any_size_loses_nothing(version, sizes, rooms, size):
    client, server = pair(version)
    message = bytes(i * 7 % 251 for i in range(size))
    client.machine.write(message)
    cipher = client.machine.take()
    got = b""
    at = number = 0
    while at < len(cipher):
        step = sizes[at % len(sizes)]
        server.machine.feed(cipher[at : at + step])
        at += step
        while server.machine.readable():
            room = bytearray(rooms[number % len(rooms)])
            number += 1
            count = server.machine.read_into(room)
            got += room[:count]
            if not count:
                break
    assert got == message
    assert server.machine.next_event() == "want"


def test_what_a_small_buffer_left_inside_is_the_next_events_data():
    client, server = pair()
    client.machine.write(b"head and body")
    server.machine.feed(client.machine.take())
    room = bytearray(5)
    assert server.machine.readable() and server.machine.read_into(room) == 5
    server.listen()
    assert bytes(room) + server.data == b"head and body"


@SEVERAL
@given(data=st.data())
def test_a_conversation_of_two_machines(data):
    client, server = pair(data.draw(st.sampled_from(VERSIONS)))
    sent = {id(client): b"", id(server): b""}
    for _ in range(data.draw(st.integers(0, 12))):
        one = data.draw(st.sampled_from([client, server]))
        message = data.draw(st.binary(max_size=2000))
        if message:
            one.machine.write(message)
            sent[id(one)] += message
        if data.draw(st.booleans()):
            exchange(client, server, data.draw(splits))
    exchange(client, server)
    assert (client.data, server.data) == (sent[id(server)], sent[id(client)])


@SEVERAL
@given(junk=st.binary(min_size=1, max_size=200), place=st.sampled_from(["handshake", "open", "closing"]), sizes=splits)
def test_garbage_never_passes_for_data_and_never_raises(junk, place, sizes):
    if place == "handshake":
        server = Side(TlsMachine(server_context(), True))
    else:
        server = pair()[1]
    if place == "closing":
        server.machine.close()
    server.hear(junk, sizes)
    server.machine.feed_eof()
    server.listen()
    assert server.data == b""
    assert server.machine.state in ("failed", "closed", "peer closed")
    if server.machine.state == "failed":
        assert isinstance(server.machine.error, (ssl.SSLError, ConnectionResetError))
    assert server.machine.next_event() == "want"


@SEVERAL
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_changed_bit_is_an_error_or_an_end_but_never_data(place, bit):
    client, server = pair()
    client.machine.write(b"x" * 3000)
    cipher = bytearray(client.machine.take())
    cipher[place % len(cipher)] ^= 1 << bit
    server.hear(bytes(cipher))
    server.machine.feed_eof()
    server.listen()
    assert server.data == b""
    assert server.machine.state in ("failed", "peer closed")


def test_data_before_an_error_is_handed_out_before_it():
    client, server = pair()
    client.machine.write(b"good")
    server.hear(client.machine.take() + b"\x17\x03\x03\x00\x20" + b"?" * 32)
    assert server.events == ["shaken", "data", "error"]
    assert server.data == b"good" and isinstance(server.machine.error, ssl.SSLError)
    assert server.machine.pending()  # the alert


def test_the_certificate_is_verified_and_the_alert_explains():
    client = Side(TlsMachine(client_context(trusting=False), False, NAME))
    server = Side(TlsMachine(server_context(), True))
    exchange(client, server)
    assert isinstance(client.machine.error, ssl.SSLCertVerificationError)
    assert client.machine.state == server.machine.state == "failed"
    assert "ALERT" in str(server.machine.error).upper()


def test_no_common_version_fails_on_both_sides():
    client = Side(TlsMachine(client_context(only=ssl.TLSVersion.TLSv1_2), False, NAME))
    server = Side(TlsMachine(server_context(only=ssl.TLSVersion.TLSv1_3), True))
    exchange(client, server)
    assert client.machine.state == server.machine.state == "failed"


def test_the_end_of_the_stream_during_the_handshake_is_a_reset():
    client = Side(TlsMachine(client_context(), False, NAME))
    client.listen()
    client.machine.feed_eof()
    client.listen()
    assert client.events == ["error"] and isinstance(client.machine.error, ConnectionResetError)


@pytest.mark.parametrize("version", VERSIONS)
def test_data_that_crosses_our_close_is_dropped_without_error(version):
    client, server = pair(version)
    server.machine.write(b"late" * 5000)
    client.machine.close()
    assert client.machine.state == "closing"
    exchange(client, server)
    assert client.events == ["shaken"] and client.data == b""
    server.machine.close()
    exchange(client, server)
    assert client.events == ["shaken", "done"]


def test_data_that_waits_unread_when_we_close_is_dropped():
    client, server = pair()
    server.machine.write(b"unread")
    client.machine.feed(server.machine.take())
    client.machine.close()
    exchange(client, server)
    server.machine.close()
    exchange(client, server)
    assert client.machine.state == "closed" and client.data == b""


def test_what_stands_behind_a_close_notify_is_dropped():
    client, server = pair()
    client.machine.close()
    server.hear(client.machine.take() + b"\x17\x03\x03\x00\x20" + b"?" * 32)
    assert server.events == ["shaken", "eof"]


@pytest.mark.parametrize("split", [1, 3, 5, 1000])
def test_a_renegotiation_is_refused(split):
    client, server = pair(ssl.TLSVersion.TLSv1_2)
    client.machine.write(b"before")
    server.hear(client.machine.take() + b"\x16\x03\x03\x00\x10" + b"?" * 16, [split])
    assert server.data == b"before"
    assert server.events[-1] == "error" and "renegotiation" in str(server.machine.error)


def test_writing_before_the_handshake_or_after_the_close_says_what_is_wrong():
    client, server = pair()
    client.machine.close()
    with pytest.raises(ValueError, match="closing"):
        client.machine.write(b"x")
    with pytest.raises(ValueError, match="handshaking"):
        Side(TlsMachine(server_context(), True)).machine.write(b"x")
    with pytest.raises(RuntimeError, match="begins once"):
        server.machine.start()


def test_a_machine_holds_no_buffer_of_its_own_when_all_is_read():
    client, server = pair()
    for _ in range(20):
        client.machine.write(b"x" * 16384)
        server.hear(client.machine.take())
        server.data = b""
    assert server.machine.statistics() == {"state": "open", "incoming": 0, "outgoing": 0}
    assert "open" in repr(server.machine)


@given(lengths=st.lists(st.integers(1, 600), max_size=5), cut=st.integers(0, 3000))
def test_walking_over_records_finds_the_first_that_is_not_all_there(lengths, cut):
    data, ends = b"", [0]
    for length in lengths:
        data += b"\x17\x03\x03" + length.to_bytes(2, "big") + b"\x00" * length
        ends.append(len(data))
    data = data[:cut]
    assert walk(data, 0, -1) == max(end for end in ends if end <= len(data))
    assert walk(memoryview(data), 0, -1) == walk(data, 0, -1)


@pytest.mark.parametrize("header", [b"GET /", b"\x17\x02\0\0\1", b"\x17\3\3\0\0", b"\x17\3\3\xff\xff", b"\x13\3\3\0\1"])
def test_what_is_no_record_is_seen(header):
    good = b"\x17\x03\x03\x00\x01?"
    assert walk(good + header, 0, -1) == -1 - len(good)
    assert walk(good, 0, 0x17) == -1
