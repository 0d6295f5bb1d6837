"""`Engine`: the container engine, off the event loop and with a deadline on every call.

docker-py blocks, and an engine may hang for reasons of its own (moby#41827). So each call runs in a thread
of its own pool, which the socket's own timeout frees again, and nobody waits for it beyond its deadline.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..errors import EnvironmentFailed, ExecError, NotFound
from ..text import one_line
from .address import Address, addresses

__all__ = ["DEADLINE", "Engine"]

T = TypeVar("T")

#: Seconds a call to the engine takes at most, unless it says otherwise.
DEADLINE = 10.0
# Calls at once; one more waits for one of them.
_THREADS = 16
_REASON = 300


class Engine:
    """One container engine, found again whenever it was away.

    Parameters
    ----------
    address : str, optional
        Where it is, as ``DOCKER_HOST`` has it; else as `addresses` finds it.
    deadline : float
        Seconds a call takes at most.
    """

    def __init__(self, address: str | None = None, *, deadline: float = DEADLINE) -> None:
        self._address, self.deadline = address, deadline
        self._client: Any = None
        self._where = address or ""
        self._threads: ThreadPoolExecutor | None = None

    async def call(self, work: Callable[[Any], T], *, deadline: float | None = None) -> T:
        """Give docker-py's client to `work`, in a thread.

        Parameters
        ----------
        work : callable
            Takes a `docker.APIClient`; what it returns is returned.
        deadline : float, optional
            Seconds; else the engine's own.

        Raises
        ------
        NotFound
            The engine has no such container, image or volume.
        EnvironmentFailed
            It is away, does not answer in time, or refuses; with its own words.
        """
        seconds = self.deadline if deadline is None else deadline
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._pool(), self._do, work)
        try:
            return await asyncio.wait_for(future, seconds)
        except asyncio.TimeoutError:
            raise EnvironmentFailed(
                f"The container engine{self._at} has not answered for {seconds:g} s; look whether it hangs."
            ) from None

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="container-engine")
        return self._threads

    def _do(self, work: Callable[[Any], T]) -> T:
        import docker.errors
        import requests.exceptions

        try:
            return work(self._connected())
        except docker.errors.NotFound as error:
            raise NotFound(f"The container engine says: {_said(error)}.") from error
        except docker.errors.APIError as error:
            raise EnvironmentFailed(f"The container engine refused: {_said(error)}.") from error
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            self._client = None  # the next call looks for it again
            raise EnvironmentFailed(f"The container engine{self._at} is away: {_why(error)}.") from error

    def _connected(self) -> Any:
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> Any:
        tried = []
        for address in [Address(self._address)] if self._address else addresses():
            self._where = address.url
            try:
                return self._open(address)
            except Exception as error:
                tried.append(error)
        if not tried:
            raise EnvironmentFailed(
                "No container engine was found: start Docker or Podman on this machine, or set DOCKER_HOST."
            )
        raise tried[0]

    def _open(self, address: Address) -> Any:
        import docker

        client = docker.APIClient(
            base_url=address.url,
            tls=address.tls,
            version="auto",
            timeout=self.deadline,
            use_ssh_client=address.url.startswith("ssh://"),
            max_pool_size=_THREADS,
        )
        return client

    @property
    def _at(self) -> str:
        return f" at {self._where}" if self._where else ""

    def close(self) -> None:
        """Let go of it; calls that still run end by themselves."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _said(error: Any) -> str:
    return one_line(str(error.explanation or error))[:_REASON].rstrip(". ")


def _why(error: BaseException) -> str:
    """The innermost reason: what docker-py and requests put around it says nothing to a person."""
    if isinstance(error, ExecError):
        return error.message
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.errno:
            return os.strerror(inner.errno)
        inner = inner.__cause__ or inner.__context__
    return one_line(str(error))[:_REASON].rstrip(". ")
