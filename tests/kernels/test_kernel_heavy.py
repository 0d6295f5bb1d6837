"""What a kernel says of a cell's end is read whatever its size. Real kernels."""

from __future__ import annotations

import json

import pytest
import zmq
from jupyter_client.asynchronous.client import AsyncKernelClient

from jupyter_exec_ext.events import Transcript
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.kerneloutput import DISPLAY_LIMIT, KernelOutput
from jupyter_exec_ext.kernels.heavy import HUGE
from jupyter_exec_ext.kernels.wire import Message, ZmqWire, as_message, unpack
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

RAISES = "raise ValueError('begin' + 'x' * 40_000_000 + 'end')"
EXITS = "import sys\nsys.exit('x' * 40_000_000)"


@pytest.mark.parametrize(("code", "name"), [(RAISES, "ValueError"), (EXITS, "SystemExit")])
async def test_a_cell_that_fails_with_a_huge_error_has_failed(make: Make, code: str, name: str) -> None:
    executor = await make()
    blocks = [CodeBlock(code=code), CodeBlock(code="print('the next block')")]

    result = await executor.execute_code_blocks(blocks, RunOptions(timeout=30))

    assert (result.outcome.status, result.exit_code) == ("failed", 1)
    assert str(result.outcome.verdict.cause).startswith(f"It ended with {name}: ")
    assert "the next block" not in result.output
    (error,) = [output for output in result.outputs if output["output_type"] != "stream"]
    assert (error["output_type"], error["ename"]) == ("error", name)
    assert len(json.dumps(error)) < DISPLAY_LIMIT
    assert result.outcome.truncated


def packed(kind: str, content: dict[str, object], *, raw: bool) -> Message:
    header, parent = {"msg_type": kind, "session": "k"}, {"msg_id": "p", "msg_type": "execute_request"}
    parts = [json.dumps(part).encode() for part in (header, parent, {}, content)]
    size = sum(map(len, parts))
    message = {"header": header, "parent_header": parent, "content": content}
    read = as_message("iopub", message, size) if raw else unpack("iopub", parts, size)
    assert read is not None
    return read


@pytest.mark.parametrize("raw", [False, True])
def test_what_decides_is_read_and_what_only_shows_is_not(raw: bool) -> None:
    long = "x" * HUGE

    reply = packed("execute_reply", {"status": "error", "ename": "E", "evalue": long + "end"}, raw=raw)
    status = packed("status", {"execution_state": "idle", "more": long}, raw=raw)
    shown = packed("display_data", {"data": {"text/plain": long}}, raw=raw)

    assert not reply.huge
    assert reply.content["status"] == "error"
    assert len(reply.content["evalue"]) <= 100_000
    assert reply.content["evalue"].endswith("xend")
    assert status.content["execution_state"] == "idle"
    assert shown.huge
    assert shown.content == {}


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("nested", [b"[" * 200_000, b'{"msg_id":' * 200_000, b'{"msg_type":' * 200_000])
def test_no_part_of_a_message_that_is_nested_too_deep_ends_the_connection(part: int, nested: bytes) -> None:
    parts = [b'{"msg_type": "execute_reply"}', b"{}", b"{}", b"{}"]
    parts[part] = nested
    client = AsyncKernelClient()
    client.session.key = b"key"
    wire = ZmqWire(client)
    frames = [zmq.Frame(frame) for frame in (b"<IDS|MSG>", client.session.sign(parts), *parts)]

    read = wire._unpack("shell", frames, len(nested))

    assert (read is None) == (part < 2)  # the metadata are not read at all
    assert read is None or read.deep == (part == 3)


@pytest.mark.parametrize("limit", [4_000, 100_000, 8_000_000])
def test_an_error_is_kept_whatever_its_size_and_cut_to_the_room_there_is(limit: int) -> None:
    output = KernelOutput(limit, lambda: None)
    content = {
        "ename": "E",
        "evalue": "\U0001f600" * 200_000,
        "traceback": ["y" * 200_000] * 2000 + ["E: end"],
    }
    output.take(Message("iopub", "error", "p", "execute_request", "k", content, HUGE + 1))

    (error,) = Transcript(output.fetch() + output.finish()).outputs

    assert error["ename"] == "E"
    assert error["traceback"][-1] == "E: end"
    assert len(json.dumps(error)) < limit
    assert output.truncated
