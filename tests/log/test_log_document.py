"""An execution as JSON in parts says what the execution in full says."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_log_events import begin, end

from jupyter_exec_ext.events import Event, Transcript
from jupyter_exec_ext.log.document import document
from jupyter_exec_ext.log.entry import LOST, Entry, encode
from jupyter_exec_ext.models import CodeBlock, Execution

TEXTS = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    ['","time":"', '"', "\\", "\x00", "\u2028", "é", "\x1b[31m", "\x1b", "[0m", "\x1b]0;"]
)
NAMES = st.sampled_from(["stdout", "stderr"])
DISPLAYS = st.sampled_from([{}, {"transient": {"display_id": "a"}}, {"transient": {"display_id": "b"}}])
EVENTS = st.one_of(
    st.tuples(st.just("stream"), st.builds(lambda name, text: {"name": name, "text": text}, NAMES, TEXTS)),
    st.tuples(
        st.sampled_from(["display_data", "execute_result", "update_display_data"]),
        st.builds(lambda text, name: {"data": {"text/plain": text}, "metadata": {}, **name}, TEXTS, DISPLAYS),
    ),
    st.tuples(st.just("clear_output"), st.builds(lambda wait: {"wait": wait}, st.booleans())),
    st.tuples(
        st.just("error"),
        st.builds(lambda text: {"ename": "E", "evalue": text, "traceback": [text, "\x1b[31mred"]}, TEXTS),
    ),
    st.just(("status", {"status": "running"})),
    st.just(("block", {"index": 0, "language": "python", "file": None})),
)


def execution(environment: str = "local") -> Execution:
    block = CodeBlock(code='print("é\x00")', language="python")
    return Execution(environment=environment, code_blocks=[block], status="ok", exit_code=0)


def entries(events: list[tuple[Any, dict[str, Any]]]) -> list[Entry]:
    return [Entry(n, kind, encode({**data, "time": "now"})) for n, (kind, data) in enumerate(events, 1)]


@given(st.lists(EVENTS), st.sampled_from(["local", "kernel:python3"]))
def test_the_document_is_the_execution_in_full(
    events: list[tuple[Any, dict[str, Any]]], environment: str
) -> None:
    # given
    one, stored = execution(environment), entries(events)
    # when
    written = json.loads(b"".join(document(one, stored)))
    # then
    transcript = Transcript((entry.event() for entry in stored), plain=environment != "local")
    one.output, one.outputs = transcript.output, transcript.outputs
    assert written == json.loads(one.model_dump_json())


@pytest.mark.parametrize(
    "damaged",
    [b"", b"{", b'{"name":"stdout","text":"a"b","time":"now"}', b"\xff" * 50, b'{"text":"x","time":"now"}'],
)
def test_what_is_damaged_does_not_spoil_the_document(damaged: bytes) -> None:
    stored = [*entries([("stream", {"name": "stdout", "text": "before\n"})]), Entry(2, "stream", damaged)]
    stored += entries([("stream", {"name": "stdout", "text": "after\n"})])

    written = json.loads(b"".join(document(execution(), stored)))

    assert written["output"] == f"before\n{LOST['text']}after\n"


def test_the_order_of_the_keys_of_an_event_does_not_matter() -> None:
    stored = [Entry(1, "stream", b'{"text":"x\\ny","time":"now","name":"stdout"}')]

    assert json.loads(b"".join(document(execution(), stored)))["output"] == "x\ny"


async def test_readers_of_one_ended_execution_share_what_they_hold(open_log: Any) -> None:
    async with open_log() as log:
        execution = begin(log)
        log.append(execution.id, Event.stream("stdout", "x" * 100_000))
        end(log, execution)
        await log.flush()
        first, *others = await asyncio.gather(*(log.document(execution.id) for _ in range(16)))
        assert all(other is first for other in others)
        assert await log.document(execution.id) is first
        del first, others
        assert not log._documents
        assert json.loads(b"".join(await log.document(execution.id)))["output"] == "x" * 100_000
