"""Output: order within a stream, head and tail to the byte, what was dropped counted, memory bounded."""

from __future__ import annotations

import codecs
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from jupyter_exec_ext.supervisor.frames import STDERR, STDOUT
from jupyter_exec_ext.supervisor.output import MAX_PIECES, Output

PIECES = st.lists(
    st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(min_size=1, max_size=400), st.floats(0, 0.05)),
    max_size=60,
)


class Sink:
    """Collects what goes out, and the note on what was dropped."""

    def __init__(self) -> None:
        self.pieces: list[tuple[int, bytes]] = []
        self.note: tuple[int, int] | None = None
        self.at_note = 0

    def send(self, stream: int, data: bytes) -> None:
        self.pieces.append((stream, data))

    def dropped(self, dropped: int, total: int) -> None:
        self.note, self.at_note = (dropped, total), len(self.pieces)

    def of(self, stream: int) -> bytes:
        return b"".join(data for kind, data in self.pieces if kind == stream)


def play(pieces: list[tuple[int, bytes, float]], head: int, tail: int) -> tuple[Sink, Output]:
    sink, now = Sink(), 0.0
    output = Output(sink.send, head, tail)
    for stream, data, pause in pieces:
        now += pause
        output.feed(stream, data, now)
        if output.due is not None and now >= output.due:
            output.flush(now)
    output.finish(now, sink.dropped)
    return sink, output


@given(PIECES)
def test_below_the_cap_every_byte_arrives_in_its_streams_order(
    pieces: list[tuple[int, bytes, float]],
) -> None:
    sink, output = play(pieces, 10**6, 10**6)

    for stream in (STDOUT, STDERR):
        assert sink.of(stream) == b"".join(data for kind, data, _ in pieces if kind == stream)
    assert sink.note is None
    assert output.total == sum(len(data) for _, data, _ in pieces)


@given(PIECES, st.integers(0, 500), st.integers(1, 500))
def test_over_the_cap_head_and_tail_are_exact(
    pieces: list[tuple[int, bytes, float]], head: int, tail: int
) -> None:
    one_stream = [(STDOUT, data, pause) for _, data, pause in pieces]
    whole = b"".join(data for _, data, _ in one_stream)

    sink, output = play(one_stream, head, tail)

    kept = sink.of(STDOUT)
    if len(whole) <= head + tail:
        assert kept == whole
    else:
        assert kept == whole[:head] + whole[-tail:]
        assert sink.note == (len(whole) - head - tail, len(whole))
    assert output.total == len(whole)


@given(PIECES, st.integers(0, 500), st.integers(1, 500))
def test_over_the_cap_streams_keep_their_order_and_their_bytes_are_counted(
    pieces: list[tuple[int, bytes, float]], head: int, tail: int
) -> None:
    total = sum(len(data) for _, data, _ in pieces)

    sink, output = play(pieces, head, tail)

    kept = {stream: sink.of(stream) for stream in (STDOUT, STDERR)}
    assert sum(map(len, kept.values())) == min(total, head + tail)
    assert output.total == total
    assert output.dropped == max(0, total - head - tail)
    for stream, data in kept.items():
        whole = b"".join(piece for kind, piece, _ in pieces if kind == stream)
        before = sum(len(piece) for kind, piece in sink.pieces[: sink.at_note] if kind == stream)
        if sink.note is None:
            assert data == whole
        else:
            assert whole.startswith(data[:before])
            assert whole.endswith(data[before:])


@given(PIECES)
def test_the_interleaving_is_kept_where_the_streams_do_not_alternate_madly(
    pieces: list[tuple[int, bytes, float]],
) -> None:
    few = pieces[:MAX_PIECES]

    sink, _ = play(few, 10**6, 10**6)

    assert _joined(sink.pieces) == _joined([(stream, data) for stream, data, _ in few])


def _joined(pieces: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    joined: list[tuple[int, bytes]] = []
    for stream, data in pieces:
        if joined and joined[-1][0] == stream:
            joined[-1] = (stream, joined[-1][1] + data)
        else:
            joined.append((stream, data))
    return joined


def test_alternating_bytes_cost_little_more_memory_than_their_number() -> None:
    tail = 1 << 16
    output = Output(lambda stream, data: None, 0, tail)
    tracemalloc.start()
    try:
        for number in range(3 * tail):
            output.feed((STDOUT, STDERR)[number % 2], b"x", 0.0)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert used < 3 * tail
    assert (output.total, output.dropped) == (3 * tail, 2 * tail)


def test_a_gigabyte_costs_the_tail_only() -> None:
    sink = Sink()
    output = Output(sink.send, 1000, 1000)

    for _ in range(16_384):
        output.feed(STDOUT, bytes(65_536), 0.0)
    output.finish(0.0, sink.dropped)

    assert len(sink.of(STDOUT)) == 2000
    assert sink.note == ((1 << 30) - 2000, 1 << 30)
    assert len(output.line) <= 1000


@given(st.binary(max_size=2000), st.lists(st.integers(0, 2000)))
def test_decoding_in_pieces_equals_decoding_the_whole(data: bytes, places: list[int]) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})

    text = "".join(decoder.decode(data[a:b]) for a, b in zip(marks, marks[1:], strict=False))

    assert text + decoder.decode(b"", final=True) == data.decode("utf-8", "replace")


def test_a_flood_costs_a_bounded_number_of_pieces() -> None:
    pieces = [((STDOUT, STDERR)[i % 2], b"line\n", 0.0001) for i in range(10_000)]

    sink, _ = play(pieces, 10**6, 10**6)

    assert len(sink.pieces) < 1 / 0.02 * 33
