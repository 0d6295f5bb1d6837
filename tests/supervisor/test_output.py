"""Output: order within a stream, head and tail to the byte, what was dropped counted, memory bounded."""

from __future__ import annotations

import codecs

from hypothesis import given
from hypothesis import strategies as st

from jupyter_exec_ext.supervisor.frames import STDERR, STDOUT
from jupyter_exec_ext.supervisor.output import Output

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
