"""KernelOutput: bounded, in order, head and tail kept; whatever a kernel sends can be written as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_exec_ext.events import Event, Transcript
from jupyter_exec_ext.executors.kerneloutput import KernelOutput
from jupyter_exec_ext.kernels.heavy import HUGE
from jupyter_exec_ext.kernels.wire import Message

NUMBER = r"[\d,]+"
NOTE = re.compile(
    rf"\n\[{NUMBER} of {NUMBER} bytes of output were dropped here; "
    rf"the first {NUMBER} and the last {NUMBER} are kept\]\n"
)


def message(kind: str, content: dict[str, Any], size: int | None = None) -> Message:
    size = len(json.dumps(content)) if size is None else size
    return Message("iopub", kind, "p", "execute_request", "k", content, size)


def printed(*pieces: tuple[str, str], limit: int = 1_000_000) -> tuple[list[Event], KernelOutput]:
    output = KernelOutput(limit, lambda: None)
    for name, text in pieces:
        output.take(message("stream", {"name": name, "text": text}))
    return output.fetch() + output.finish(), output


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.text(max_size=50))))
def test_below_the_limit_everything_is_kept_in_order(pieces: list[tuple[str, str]]) -> None:
    events, output = printed(*pieces)

    assert Transcript(events).output == "".join(text for _, text in pieces)
    assert output.dropped == 0
    names = [event.data["name"] for event in events]
    assert all(first != second for first, second in zip(names, names[1:], strict=False))


@settings(deadline=None)
@given(st.text(min_size=1, max_size=30), st.integers(64, 5000))
def test_above_it_head_and_tail_are_kept_and_the_rest_is_counted(piece: str, limit: int) -> None:
    text = piece * (20_000 // len(piece))
    events, output = printed(("stdout", text), limit=limit)

    shown = Transcript(events).output
    head, tail = NOTE.split(shown, maxsplit=1)
    assert text.startswith(head)
    assert text.endswith(tail)
    assert tail
    assert output.truncated
    assert f"{output.dropped:,} of {output.total:,} bytes" in shown
    assert len((head + tail).encode()) <= limit


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
        max_leaves=20,
    )
)
def test_whatever_is_shown_can_be_written_as_json(value: Any) -> None:
    output = KernelOutput(1_000_000, lambda: None)
    for kind in ("display_data", "execute_result", "update_display_data", "error", "stream", "clear_output"):
        output.take(message(kind, {"data": {"application/x": value}, "metadata": value, "text": value}, 10))
        output.take(message(kind, {"data": value, "traceback": value, "name": value, "transient": value}, 10))
    for event in output.fetch() + output.finish():
        json.dumps(event.data, allow_nan=False, ensure_ascii=False).encode()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FORMS = st.dictionaries(
    st.sampled_from(["text/plain", "text/html", "application/json", "a/b+json"]), ANYTHING
)


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "data": FORMS | ANYTHING,
            "metadata": ANYTHING,
            "execution_count": ANYTHING,
            "transient": st.fixed_dictionaries({"display_id": ANYTHING}) | ANYTHING,
            **dict.fromkeys(("ename", "evalue", "traceback", "name", "text", "wait"), ANYTHING),
        }
    ),
    st.sampled_from([10, 5_000_000]),
)
def test_whatever_a_kernel_sends_the_outputs_are_valid(content: dict[str, Any], size: int) -> None:
    output = KernelOutput(1_000_000, lambda: None)
    for kind in ("display_data", "execute_result", "update_display_data", "error", "stream", "clear_output"):
        output.take(message(kind, content, size))
    for data in (content["data"], content["metadata"]):
        output.show(data)

    shown = Transcript(output.fetch() + output.finish())

    assert isinstance(shown.output, str)
    cell = nbformat.v4.new_code_cell(outputs=shown.outputs)
    nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))


def test_what_is_no_text_is_shown_as_json_and_lines_stay_lines() -> None:
    output = KernelOutput(1_000_000, lambda: None)
    data = {"text/plain": [1, None], "text/html": ["a", "b"], "text/x": None, "application/json": [1]}
    output.take(message("execute_result", {"data": data, "metadata": [1], "execution_count": "x"}))
    output.show("a page")

    shown = Transcript(output.fetch())

    assert shown.outputs[0] == {
        "output_type": "execute_result",
        "data": {"text/plain": "[1, null]", "text/html": ["a", "b"], "application/json": [1]},
        "metadata": {},
        "execution_count": None,
    }
    assert shown.output == "[1, null]\na page\n"


def test_a_page_is_bounded_as_a_display_is() -> None:
    output = KernelOutput(50_000_000, lambda: None)
    output.show({"text/plain": "x" * 5_000_000})
    assert "text/plain of 5,000,002 bytes" in Transcript(output.fetch()).output
    assert output.truncated


def test_what_is_huge_becomes_a_placeholder() -> None:
    output = KernelOutput(1000, lambda: None)
    output.take(message("display_data", {}, HUGE + 1))
    output.take(message("stream", {}, HUGE + 1))

    text = Transcript(output.fetch() + output.finish()).output
    assert "a display_data message of" in text
    assert "a stream message of" in text
    assert output.truncated


def test_a_flood_of_empty_messages_is_bounded() -> None:
    output = KernelOutput(100_000, lambda: None)
    for _ in range(100_000):
        output.take(message("clear_output", {"wait": True}, 0))

    assert len(output.fetch() + output.finish()) < 1000


def test_pieces_that_nobody_has_fetched_are_one_event() -> None:
    events, _ = printed(*[("stdout", "x")] * 1000)
    assert [event.data["text"] for event in events] == ["x" * 1000]


def test_no_part_that_is_nested_too_deep_stops_the_others() -> None:
    deep: Any = 1
    for _ in range(600):
        deep = [deep]
    output = KernelOutput(1_000_000, lambda: None)
    content = {
        "data": {"text/plain": deep, "text/html": "b"},
        "metadata": {"a": deep},
        "transient": {"a": deep},
    }
    output.take(message("display_data", content, 10))
    output.take(message("error", {"ename": deep, "evalue": deep, "traceback": [deep]}, 10))
    output.take(message("stream", {"text": deep, "name": deep}, 10))

    display, error, stream = Transcript(output.fetch()).outputs

    assert display["data"] == {
        "text/plain": "[left out, since it is nested more than 200 deep: text/plain]",
        "text/html": "b",
    }
    assert display["metadata"] == {}
    assert error["traceback"] == [stream["text"]] == ["[left out, since it is nested more than 200 deep]"]


def update(number: int, name: str) -> Message:
    content = {"data": {"text/plain": f"{number:05}"}, "metadata": {}, "transient": {"display_id": name}}
    return message("update_display_data", content)


@pytest.mark.parametrize("before", [0, 5_000], ids=["in the head", "in the tail"])
def test_updates_that_a_later_one_replaces_do_not_count_against_the_limit(before: int) -> None:
    output = KernelOutput(10_000, lambda: None)
    output.take(message("stream", {"text": "x" * before}))
    output.take(message("clear_output", {"wait": False}))
    for number in range(20_000):
        output.take(update(number, "a"))
    output.take(update(7, "b"))

    events = output.fetch() + output.finish()

    updates = [event.data["data"]["text/plain"] for event in events if event.type == "update_display_data"]
    assert updates == ["19999", "00007"]
    assert not output.truncated
    assert output.total < before + 2_000


def test_what_was_fetched_or_is_followed_by_text_is_not_taken_back() -> None:
    output = KernelOutput(10_000, lambda: None)
    output.take(update(1, "a"))
    first = output.fetch()
    output.take(update(2, "a"))
    output.take(message("stream", {"text": "between"}))
    output.take(update(3, "a"))

    shown = [event.data.get("text") or event.data["data"]["text/plain"] for event in first + output.fetch()]

    assert shown == ["00001", "00002", "between", "00003"]
