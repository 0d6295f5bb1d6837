"""Cases by REST, in an environment of a live server."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from .backends import NEXT, Result
from .cases import Case
from .server import LiveServer
from .watch import Census, Meter

__all__ = ["Rest"]

#: Connections live on, as real clients' do; one between two requests, so that a count finds as many.
_ONE_IDLE = httpx.Limits(max_keepalive_connections=1)


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
            unserved = self.root / path if self._environment.startswith("kernel:") else None
            session = RestSession(http, made.json()["id"], unserved)
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
    """A session of a live server.

    Parameters
    ----------
    http : httpx.AsyncClient
    identifier : str
    unserved : Path, optional
        The workspace, where the server does not serve its files.
    """

    def __init__(self, http: httpx.AsyncClient, identifier: str, unserved: Path | None) -> None:
        self._http, self._unserved = http, unserved
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
        """The list; from the disk where it is refused."""
        listed = await self._http.get(f"sessions/{self.id}/files")
        if self._unserved is not None:
            assert listed.status_code == 403, listed.text
            return [{"path": file.name, "type": _type(file)} for file in self._unserved.iterdir()], False
        assert listed.status_code == 200, listed.text
        return listed.json()["files"], bool(listed.json().get("more"))

    async def read(self, path: str) -> bytes | None:
        """The contents; None for 403 and 404."""
        answer = await self._http.get(f"sessions/{self.id}/files/{path}")
        assert answer.status_code in (200, 403, 404), answer.text
        return answer.content if answer.status_code == 200 else None


def _type(file: Path) -> str:
    return "link" if file.is_symlink() else "directory" if file.is_dir() else "file"


def _result(record: dict[str, Any]) -> Result:
    names = ("status", "exit_code", "output", "verdict", "truncated")
    return Result(**{name: record[name] for name in names})


def _parse(block: bytes) -> tuple[int, str, dict[str, Any]] | None:
    fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if not line.startswith(b":"))
    return (int(fields[b"id"]), fields[b"event"].decode(), json.loads(fields[b"data"])) if fields else None
