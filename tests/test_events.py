"""What a list of events adds up to: plain text, and the outputs of a notebook."""

from __future__ import annotations

from typing import Any

from jupyter_exec_ext.events import Event, Transcript


def shown(kind: Any, text: str, name: str | None = None) -> Event:
    transient = {} if name is None else {"transient": {"display_id": name}}
    return Event(kind, {"data": {"text/plain": text}, "metadata": {}, **transient})


def texts(transcript: Transcript) -> list[str]:
    return [output.get("text") or output["data"]["text/plain"] for output in transcript.outputs]


def test_a_display_is_brought_up_to_date_wherever_it_is_shown() -> None:
    transcript = Transcript(
        [
            shown("display_data", "0 %", "bar"),
            Event.stream("stdout", "working\n"),
            shown("display_data", "0 %", "bar"),
            shown("update_display_data", "100 %", "bar"),
            shown("update_display_data", "nobody's", "other"),
        ]
    )
    assert texts(transcript) == ["100 %", "working\n", "100 %"]
    assert all("transient" not in output for output in transcript.outputs)


def test_what_is_cleared_leaves_the_outputs_and_stays_in_the_text() -> None:
    transcript = Transcript(
        [
            Event.stream("stdout", "old"),
            Event("clear_output", {"wait": False}),
            Event.stream("stdout", "new"),
        ]
    )
    assert texts(transcript) == ["new"]
    assert transcript.output == "oldnew"


def test_a_clear_that_waits_waits_for_the_next_output() -> None:
    events = [Event.stream("stdout", "old"), Event("clear_output", {"wait": True})]
    assert texts(Transcript(events)) == ["old"]
    assert texts(Transcript([*events, shown("execute_result", "new")])) == ["new"]


def test_a_display_that_was_cleared_is_not_brought_up_to_date() -> None:
    transcript = Transcript(
        [
            shown("display_data", "first", "a"),
            Event("clear_output", {"wait": False}),
            shown("update_display_data", "second", "a"),
        ]
    )
    assert transcript.outputs == []


def test_colours_are_not_in_the_text_of_what_was_shown() -> None:
    error = Event("error", {"ename": "E", "evalue": "", "traceback": ["\x1b[31mred\x1b[0m"]})
    transcript = Transcript([shown("execute_result", "\x1b[1mbold\x1b[0m"), error])
    assert transcript.output == "bold\nred\n"
    assert transcript.outputs[0]["data"]["text/plain"] == "\x1b[1mbold\x1b[0m"


def test_lines_that_are_no_text_do_not_keep_a_record_from_being_read() -> None:
    shown = Event("display_data", {"data": {"text/plain": [1, None, "a"]}, "metadata": {}})
    assert Transcript([shown]).output == "1Nonea\n"
