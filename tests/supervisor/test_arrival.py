"""What was written first is read first, also where a look came between."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest

from jupyter_exec_ext.supervisor.arrival import Arrival, watch

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="only Linux tells")


@pytest.fixture
def pipes() -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Two pipes."""
    both = os.pipe(), os.pipe()
    yield both
    for descriptor in (*both[0], *both[1]):
        os.close(descriptor)


def test_the_order_is_that_of_the_first_writes(pipes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    (out, to_out), (err, to_err) = pipes
    arrival = Arrival(watch(out, err))
    os.write(to_err, b"1")
    os.write(to_out, b"2")

    assert arrival.sort([out, err]) == [err, out]
    arrival.close()


def test_what_came_between_a_poll_and_the_look_keeps_its_place(
    pipes: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    (out, to_out), (err, to_err) = pipes
    arrival = Arrival(watch(out, err))
    os.write(to_out, b"1")
    os.write(to_err, b"2")  # after the poll that saw the first only
    assert arrival.sort([out]) == [out]
    os.read(out, 1)
    os.write(to_out, b"3")

    assert arrival.sort([out, err]) == [err, out]
    arrival.close()
