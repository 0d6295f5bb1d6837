"""The two ways to run a case: by REST on a live server, and with an executor as a library."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
from pydantic import ValidationError

from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.errors import ExecError, InvalidRequest, NotFound, Refused
from jupyter_exec_ext.events import Event, Transcript
from jupyter_exec_ext.executors.base import RunOptions
from jupyter_exec_ext.executors.local import LocalCommandLineCodeExecutor
from jupyter_exec_ext.models import CodeBlock

from .cases import Case
from .server import LiveServer
from .watch import Census, Meter, OwnMeter

__all__ = ["Backend", "Library", "Rest", "Result", "Session"]


@dataclass
class Result:
    """What an execution came to; `events` as (number, type, data)."""

    status: str = ""
    exit_code: int | None = None
    output: str = ""
    verdict: dict[str, Any] = field(default_factory=dict)
    truncated: bool = False
    events: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    replay: list[tuple[int, str, dict[str, Any]]] | None = None
    refused: int | None = None
    answer: dict[str, Any] = field(default_factory=dict)


class Session(Protocol):
    """One session in a place."""

    async def run(self, case: Case, copy: int) -> Result:
        """Run the case's request in it, and do what the case says while it runs."""

    async def print_next(self) -> Result:
        """Run ``print("next")`` in it."""

    async def files(self) -> tuple[list[dict[str, Any]], bool]:
        """Its files, and whether there are more."""

    async def read(self, path: str) -> bytes | None:
        """The contents of a file; None where it is not served."""


class Backend(Protocol):
    """A place in which sessions can be opened."""

    root: Path
    meter: Meter

    def session(self, path: str) -> contextlib.AbstractAsyncContextManager[Session]:
        """A session in that folder below the root."""

    def census(self, *, paths: bool = True) -> Census:
        """What there is at this moment; without `paths`, what may be while a session lives."""

    def complaints(self) -> str:
        """What it has logged since the last time."""


#: Connections live on, as real clients' do; one between two requests, so that a count finds as many.
_ONE_IDLE = httpx.Limits(max_keepalive_connections=1)

NEXT = {"code_blocks": [{"code": 'print("next")', "language": "python"}], "timeout": 20.0}


# -- by REST -------------------------------------------------------------------------------------


class Rest:
    """An environment of a live server."""

    def __init__(self, server: LiveServer, environment: str, meter: Meter) -> None:
        self.root, self.meter, self._server, self._environment = server.root, meter, server, environment
        self._logged = len(server.log.read_bytes())

    @contextlib.asynccontextmanager
    async def session(self, path: str) -> AsyncIterator[RestSession]:
        """A session in that folder, with connections of its own."""
        async with self._client() as http:
            made = await http.post("sessions", json={"environment": self._environment, "path": path})
            assert made.status_code == 201, made.text
            session = RestSession(http, made.json()["id"])
            try:
                yield session
            finally:
                ended = await http.delete(f"sessions/{session.id}")
                assert ended.status_code == 204, ended.text

    def _client(self) -> httpx.AsyncClient:
        url, headers = f"{self._server.url}api/exec/", {"Authorization": f"token {self._server.token}"}
        return httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False, limits=_ONE_IDLE)

    def census(self, *, paths: bool = True) -> Census:
        """Everything below the server's room, and what the server holds."""
        folders = (self._server.leases, self._server.temporary) if paths else ()
        return Census.take(self._server.process.pid, self._server.pid, *folders)

    def complaints(self) -> str:
        """The server's log since the last time."""
        text = self._server.log.read_bytes()
        since, self._logged = self._logged, len(text)
        return text[since:].decode("utf-8", "replace")


class RestSession:
    """A session of a live server."""

    def __init__(self, http: httpx.AsyncClient, identifier: str) -> None:
        self._http = http
        self.id = identifier

    async def _submit(self, request: dict[str, Any]) -> httpx.Response:
        # json.dumps, because it can say what is no text: a lone surrogate.
        body = json.dumps({"session": self.id, **request}).encode()
        return await self._http.post("executions", content=body)

    async def run(self, case: Case, copy: int) -> Result:
        """Submit, follow to the end, replay, and read the record."""
        submitted = await self._submit(case.request_of(copy))
        if submitted.status_code != 201:
            return Result(refused=submitted.status_code, answer=submitted.json())
        path = f"executions/{submitted.json()['id']}"
        events = [event async for event in self._follow(path, case)]
        record = (await self._http.get(path)).json()
        result = _result(record)
        result.events, result.answer = events, record
        result.replay = [event async for event in self._events(f"{path}/events")]
        return result

    async def _follow(self, path: str, case: Case) -> AsyncIterator[tuple[int, str, dict[str, Any]]]:
        answers, printed, waiting = list(case.answers), "", bool(case.when)
        async for event in self._events(f"{path}/events"):
            yield event
            _, kind, data = event
            if kind == "input_request" and answers:
                sent = await self._http.post(f"{path}/input", json={"value": answers.pop(0)})
                assert sent.status_code == 204, sent.text
            if waiting and kind == "stream":
                printed += data["text"]
                if case.when["printed"] in printed:
                    waiting = False
                    done = await self._http.post(
                        f"{path}/cancel" if case.when["do"] == "cancel" else f"sessions/{self.id}/interrupt"
                    )
                    assert done.status_code < 300, done.text

    async def _events(self, path: str) -> AsyncIterator[tuple[int, str, dict[str, Any]]]:
        async with self._http.stream("GET", path) as response:
            assert response.status_code == 200
            # By hand, because httpx takes U+2028 and others for ends of lines, which they are not here.
            pieces: list[bytes] = []
            async for chunk in response.aiter_bytes():
                pieces.append(chunk)
                if b"\n\n" in b"".join(pieces[-2:])[-len(chunk) - 1 :]:
                    *blocks, rest = b"".join(pieces).split(b"\n\n")
                    pieces = [rest]
                    for block in blocks:
                        if event := _parse(block):
                            yield event

    async def print_next(self) -> Result:
        """The next run."""
        body = json.dumps({"session": self.id, **NEXT}).encode()
        return _result((await self._http.post("executions?wait=25", content=body)).json())

    async def files(self) -> tuple[list[dict[str, Any]], bool]:
        """The list."""
        listed = await self._http.get(f"sessions/{self.id}/files")
        assert listed.status_code == 200, listed.text
        return listed.json()["files"], bool(listed.json().get("more"))

    async def read(self, path: str) -> bytes | None:
        """The contents; None for 403 and 404."""
        answer = await self._http.get(f"sessions/{self.id}/files/{path}")
        assert answer.status_code in (200, 403, 404), answer.text
        return answer.content if answer.status_code == 200 else None


def _result(record: dict[str, Any]) -> Result:
    names = ("status", "exit_code", "output", "verdict", "truncated")
    return Result(**{name: record[name] for name in names})


def _parse(block: bytes) -> tuple[int, str, dict[str, Any]] | None:
    fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if not line.startswith(b":"))
    return (int(fields[b"id"]), fields[b"event"].decode(), json.loads(fields[b"data"])) if fields else None


# -- as a library --------------------------------------------------------------------------------


class Library:
    """The executor of the local command line, in this process.

    Parameters
    ----------
    root : Path
        Where workspaces are made.
    temporary : Path
        Where this process makes its temporary directories, and no other does.
    """

    def __init__(self, root: Path, temporary: Path) -> None:
        assert Path(tempfile.gettempdir()) == temporary
        self.root, self._temporary, self.meter, self._pid = root, temporary, OwnMeter(), os.getpid()

    @contextlib.asynccontextmanager
    async def session(self, path: str) -> AsyncIterator[LibrarySession]:
        """An executor in that folder."""
        executor = LocalCommandLineCodeExecutor(SystemPythonEnvironment(), self.root / path)
        async with executor:
            assert executor.guarantee == "pid_namespace"
            yield LibrarySession(executor)

    def census(self, *, paths: bool = True) -> Census:
        """Everything below this process."""
        census = Census.take(self._pid, self._pid)
        made = self._temporary.iterdir() if paths else ()
        return Census(census.processes, census.descriptors, frozenset(map(str, made)))

    def complaints(self) -> str:
        """It logs nothing."""
        return ""


class LibrarySession:
    """One executor."""

    def __init__(self, executor: LocalCommandLineCodeExecutor) -> None:
        self._executor = executor

    async def run(self, case: Case, copy: int) -> Result:
        """Run the blocks with the executor."""
        try:
            return await self._run(case, case.request_of(copy))
        except ValidationError:
            return Result(refused=400)
        except InvalidRequest as error:
            return Result(refused=400, answer={"message": error.message, "field": error.field})

    async def _run(self, case: Case, request: dict[str, Any]) -> Result:
        blocks = [CodeBlock(**block) for block in request.pop("code_blocks")]
        events: list[Event] = []
        answers, printed, waiting = list(case.answers), "", bool(case.when)
        async for event in self._executor.run(blocks, RunOptions(**request)):
            events.append(event)
            if event.type == "input_request" and answers:
                await self._executor.send_input(answers.pop(0))
            if waiting and event.type == "stream":
                printed += event.data["text"]
                if case.when["printed"] in printed:
                    waiting = False
                    await getattr(self._executor, case.when["do"])()
        outcome = events.pop().data["outcome"]
        return Result(
            status=outcome.status,
            exit_code=outcome.exit_code,
            output=Transcript(events).output,
            verdict=outcome.verdict.model_dump(),
            truncated=outcome.truncated,
            events=[(number, event.type, event.data) for number, event in enumerate(events, 1)],
        )

    async def print_next(self) -> Result:
        """The next run."""
        blocks = [CodeBlock(**block) for block in NEXT["code_blocks"]]  # type: ignore[attr-defined]
        result = await self._executor.execute_code_blocks(blocks, RunOptions(timeout=20.0))
        verdict = result.outcome.verdict.model_dump()
        return Result(result.outcome.status, result.exit_code, result.output, verdict)

    async def files(self) -> tuple[list[dict[str, Any]], bool]:
        """The list."""
        return await self._executor.list_files()

    async def read(self, path: str) -> bytes | None:
        """The contents."""
        try:
            return b"".join([piece async for piece in self._executor.read_file(path)])
        except (Refused, NotFound):
            return None
        except ExecError as error:
            raise AssertionError(error.message) from error
