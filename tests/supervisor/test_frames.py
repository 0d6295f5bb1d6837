"""Frames: any cut of the stream gives the same frames, and nothing out of bounds gets in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_exec_ext.supervisor.frames import (
    CONTROL,
    HEADER,
    STDERR,
    STDOUT,
    FrameError,
    Splitter,
    control,
    frame,
    message,
)

from .session import Session

FRAMES = st.lists(
    st.tuples(st.sampled_from([STDOUT, STDERR]), st.integers(0, 2**32 - 1), st.binary(max_size=300)),
    max_size=20,
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in zip(marks, marks[1:], strict=False)]


@given(FRAMES, st.lists(st.integers(0, 10_000)))
def test_any_cut_of_the_stream_gives_the_same_frames(
    frames: list[tuple[int, int, bytes]], places: list[int]
) -> None:
    data = b"".join(frame(*one) for one in frames)
    splitter = Splitter(1000)

    seen = [one for piece in cut(data, places) for one in splitter.feed(piece)]

    assert seen == frames
    assert splitter.empty


@given(st.binary(min_size=HEADER.size, max_size=200))
def test_garbage_is_refused_or_waits_for_more_and_never_grows(data: bytes) -> None:
    splitter = Splitter(100)
    try:
        for _, _, payload in splitter.feed(data):
            assert len(payload) <= 100
    except FrameError:
        pass


def test_a_frame_over_the_limit_is_refused_at_its_header() -> None:
    with pytest.raises(FrameError, match="over the limit of 10"):
        list(Splitter(10).feed(HEADER.pack(11, STDOUT, 1)))


@given(st.text())
def test_any_text_survives_a_control_frame(text: str) -> None:
    ((kind, channel, payload),) = Splitter(10**6).feed(control(7, "run", code=text))

    assert (kind, channel) == (CONTROL, 7)
    assert message(payload) == {"op": "run", "code": text}


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"op": 1}', b"\xff", b"[" * 100_000])
def test_a_control_frame_that_is_not_one_is_refused(payload: bytes) -> None:
    with pytest.raises(FrameError):
        message(payload)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_garbage_is_refused_wherever_it_is_cut(data: bytes, places: list[int]) -> None:
    def outcome(pieces: list[bytes]) -> tuple[list[tuple[int, int, bytes]], bool]:
        splitter, seen = Splitter(100), []
        try:
            for piece in pieces:
                seen += [one for one in splitter.feed(piece)]
        except FrameError:
            return seen, True
        return seen, False

    whole, refused = outcome([data])
    pieces, refused_too = outcome(cut(data, places))

    assert refused_too == refused
    assert refused or pieces == whole


def test_the_server_talking_nonsense_ends_the_supervisor(tmp_path: Path) -> None:
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", frame(STDOUT, 1, b"x"), frame(CONTROL, 1, b"[]")):
        session = Session(tmp_path)
        session.begin("import time; time.sleep(60)")

        session.send(nonsense)

        assert session.process.wait(5) == 0
        session.__exit__()
        assert session.complaints == ""
