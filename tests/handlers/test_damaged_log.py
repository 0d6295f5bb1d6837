"""One damaged row of the log over HTTP: no answer fails for it, and it can be deleted."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_exec_ext.app import ExecApp

CODE, RECORD, DATA = (
    "UPDATE code SET blocks = ?",
    "UPDATE executions SET record = ?",
    "UPDATE events SET data = ?",
)


def read(response: Any, status: int = 200) -> Any:
    """The JSON of an answer that has that status."""
    assert response.code == status, response.body
    return json.loads(response.body)


@pytest.mark.parametrize(
    ("change", "value"),
    [
        *((CODE, value) for value in (b'{"blocks":[{"x":1}]}', b"[[1]]", b"null", b"{}", 5)),
        *((RECORD, value) for value in (5, b"[]", b'{"environmemt":"local"}')),
        *((DATA, value) for value in (5, "text", b"[]")),
        ("UPDATE executions SET last_event = ?", "text"),
        ("UPDATE events SET type = ?", b"\xff"),
        ("UPDATE events SET type = 'display_data', data = ?", b'{"data":5}'),
    ],
)
async def test_a_damaged_row_is_shown_followed_and_deleted(
    rest: Callable[..., Any], exec_app: ExecApp, caplog: pytest.LogCaptureFixture, change: str, value: Any
) -> None:
    # given two executions, one of them damaged
    body = {"environment": "local", "code": "print(1)", "language": "python"}
    bad, good = [read(await rest("POST", "executions", body, wait=20), 201)["id"] for _ in range(2)]
    await exec_app.manager.event_log.flush()
    with contextlib.closing(sqlite3.connect(exec_app.manager.event_log.path)) as db, db:
        (sequence,) = db.execute("SELECT seq FROM executions WHERE id = ?", (bad,)).fetchone()
        key = {"code": "execution", "executions": "seq", "events": "id >> 32"}[change.split()[1]]
        db.execute(f"{change} WHERE {key} = ?", (value, sequence))
    # when
    listed = read(await rest("GET", "executions"))
    shown = read(await rest("GET", f"executions/{bad}"))
    stream = await rest("GET", f"executions/{bad}/events")
    deleted = await rest("DELETE", f"executions/{bad}")
    # then
    assert [one["id"] for one in listed["executions"]] == [good, bad]
    assert "warning" not in listed
    assert (shown["id"], shown["status"]) == (bad, "ok")
    assert stream.code == 200
    assert stream.body.rstrip().split(b"\n\n")[-1].split(b"\n")[1] == b"event: end"
    assert deleted.code == 204
    assert [one["id"] for one in read(await rest("GET", "executions"))["executions"]] == [good]
    assert not [record for record in caplog.records if record.exc_info]
