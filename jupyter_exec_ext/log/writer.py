"""The one thread that writes the log: batches, and patience with a disk that says no."""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ..errors import Unavailable
from ..lease import Lease
from ..models import new_id
from .listener import Listener
from .place import Files, move_aside, prepare
from .record import Delete, Operation
from .store import Replaced, Store, is_damage, is_locked
from .upkeep import Limits, Upkeep

__all__ = ["Writer"]

# A program that copies the file holds it for a moment. Then no run should wait any longer: one that prints
# much has to end within 5 seconds of its timeout.
_PATIENCE_SECONDS = 3.0
_RETRY_SECONDS = 2.0
_TIDY_SECONDS = 60.0
# A check of a file of this size takes a few milliseconds; a larger one is checked when it shows damage.
_CHECK_BYTES = 16 << 20
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_-]")


class Writer(threading.Thread):
    """Takes operations from the event loop and brings them to disk in their order.

    Whatever goes wrong, no operation is lost while it is wanted: a batch that could not be written waits.

    Parameters
    ----------
    path : Path
    server : str
        For people who look into the database: whose executions these are.
    interval : float
        Seconds for which a batch is collected.
    limits : Limits
    listener : Listener
    log : logging.Logger
    below : Path, optional
        Where the directory of the file is our own, the one above it; see `prepare`.
    """

    def __init__(
        self,
        path: Path,
        server: str,
        interval: float,
        limits: Limits,
        listener: Listener,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
        below: Path | None = None,
    ) -> None:
        super().__init__(name="exec-log-writer", daemon=True)
        self._path = path
        owner = f"{new_id()}.{_NOT_PLAIN.sub('-', server)[:60]}"
        self._below = below
        self._lease = Lease(owner, path.with_name(f"{path.name}-servers"), below=below)
        self._interval, self._limits = interval, limits
        self._listener, self._log = listener, log
        self._queue: deque[Operation | Delete] = deque()
        self._taking = threading.Lock()
        self._batch: list[Operation | Delete] = []
        self._busy_since: float | None = None
        self._wake, self._hurry, self._ending = threading.Event(), threading.Event(), threading.Event()
        self._store: Store | None = None
        self._failing_since: float | None = None
        self._reason: str | None = None
        self._aside: Path | None = None
        self._to_rescue: Path | None = None
        self._tidy_at = 0.0
        self._suspicious = False
        self.opened = threading.Event()

    # ---- called from the event loop

    def put(self, operation: Operation | Delete) -> None:
        """Queue an operation. Never blocks."""
        self._queue.append(operation)
        if not self._wake.is_set():
            self._wake.set()

    def forget(self) -> None:
        """Let go of what is queued and not wanted any more: it may be long until the thread looks."""
        with self._taking:
            self._queue = deque(filter(_is_wanted, self._queue))

    def hurry(self) -> None:
        """Write what is queued without collecting more."""
        self._hurry.set()
        self._wake.set()

    def tidy(self) -> None:
        """Look at once for what is too old, too many or too large."""
        self._tidy_at = 0.0
        self.hurry()

    @property
    def files(self) -> Files | None:
        """What is open; None where nothing is."""
        store = self._store
        return None if store is None else store.files

    @property
    def overdue(self) -> str | None:
        """Why nobody should wait for what it does now, which takes too long; None where all is well."""
        since = self._busy_since
        if since is None or time.monotonic() - since <= _PATIENCE_SECONDS:
            return None
        return f"a write to {self._path} has not ended after {_PATIENCE_SECONDS:g} seconds"

    def suspect(self) -> None:
        """A reader met damage: check the file."""
        self._suspicious = True
        self.hurry()

    def end(self) -> None:
        """Write what is queued, if that can be done now, and end the thread."""
        self._ending.set()
        self.hurry()

    # ---- the thread

    def run(self) -> None:
        """Open, then write until told to end."""
        try:
            self._attempt(self._write)
            self.opened.set()
            while not self._ending.is_set():
                self._turn()
            self._attempt(self._write)
        finally:
            self._close()
            self._lease.release()

    def _turn(self) -> None:
        if self._failing_since is None:
            # While there is something to tidy up, others get a chance to write between two steps.
            self._wake.wait(max(0.005, self._tidy_at - time.monotonic()))
            if self._queue:
                self._hurry.wait(self._interval)
        else:
            # While the file is locked, SQLite's own timeout adds to this.
            self._hurry.wait(0.02 if self._reason is None else _RETRY_SECONDS)
        self._wake.clear()
        self._hurry.clear()
        self._attempt(self._write)
        if self._failing_since is None:
            self._attempt(self._tidy)

    def _take(self) -> None:
        with self._taking, contextlib.suppress(IndexError):
            while True:
                self._batch.append(self._queue.popleft())
        self._batch = list(filter(_is_wanted, self._batch))

    def _attempt(self, work: Callable[[], None]) -> None:
        self._busy_since = time.monotonic()
        try:
            work()
        except (sqlite3.Error, OSError, Unavailable) as error:
            self._failed(error)
        except Exception as error:  # a thread that died here would lose everything from now on
            self._log.exception("The execution log's writer met something unexpected.")
            self._failed(error)
        finally:
            self._busy_since = None

    def _write(self) -> None:
        self._take()
        if self._store is not None and not self._store.in_place():
            self._begin_anew(self._store)
        if self._store is None:
            self._store = self._opened()
        if self._suspicious:
            self._store.check()
            self._suspicious = False
        if self._batch:
            self._apply(self._store)
        self._succeeded()

    def _begin_anew(self, store: Store) -> None:
        self._prepare()
        if store.in_place():
            return  # its directory had lost its permissions, and nothing else
        self._listener.renewing()
        saved = store.save()
        self._log.warning("The execution log %s was removed or replaced; it is begun anew.", self._path)
        self._close()
        self._listener.renewed(removed=not saved, saved=saved)

    def _prepare(self) -> None:
        for link in prepare(self._path, self._below):
            self._log.warning("%s was a link; it was removed, and what it leads to is as it was.", link)

    def _apply(self, store: Store) -> None:
        store.apply(self._batch)
        done, self._batch = self._batch, []
        self._listener.written(done)

    def _opened(self) -> Store:
        self._prepare()
        self._lease.renew()
        store = Store(self._path, self._lease.id)
        try:
            if self._path.stat().st_size <= _CHECK_BYTES:
                store.check()
            upkeep = Upkeep(store, self._listener.noticed)
            if self._to_rescue is not None:
                upkeep.rescue(self._to_rescue)
                self._to_rescue = None
            if upkeep.recover(self._lease.alive):
                self._log.warning("Executions that a stopped server left unfinished are marked as lost.")
            self._lease.sweep()
        except BaseException:
            store.close()
            raise
        return store

    def _close(self) -> None:
        if self._store is not None:
            with contextlib.suppress(sqlite3.Error):
                self._store.close()
            self._store = None

    # ---- when it goes wrong, and when it goes well again

    def _succeeded(self) -> None:
        if self._failing_since is not None:
            self._failing_since = None
            if self._reason is not None:
                self._tell(None)

    def _failed(self, error: Exception) -> None:
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        patient = now - self._failing_since <= _PATIENCE_SECONDS
        if is_locked(error):
            if not patient:
                self._tell(f"another program has kept it locked for over {_PATIENCE_SECONDS:g} seconds")
            return
        replaced = self._store is not None and not self._store.in_place()
        if patient and (replaced or isinstance(error, Replaced)):
            return  # whatever it was: what is open is saved first, as far as that can be
        self._close()
        if not is_damage(error):
            self._tell(str(error))
            return
        self._move_aside()
        self._suspicious = False
        self._hurry.set()

    def _move_aside(self) -> None:
        aside = move_aside(self._path)
        self._aside = self._to_rescue = aside
        self._log.error("The execution log %s is damaged; it was moved to %s.", self._path, aside)
        self._listener.state(self._reason, self._aside)
        self._listener.renewed(removed=False)

    def _tell(self, reason: str | None) -> None:
        if reason != self._reason:
            self._reason = reason
            if reason:
                self._log.warning("The execution log is in memory only: %s.", reason)
            else:
                self._log.info("The execution log is on disk again.")
            self._listener.state(reason, self._aside)

    # ---- retention

    def _tidy(self) -> None:
        """One small step, so that batches are never kept waiting."""
        if time.monotonic() < self._tidy_at or self._store is None:
            return
        self._tidy_at = time.monotonic() + _RETRY_SECONDS  # should it fail
        upkeep = Upkeep(self._store, self._listener.noticed)
        if upkeep.collect() or upkeep.retain(self._limits):
            self._tidy_at = 0.0
        else:
            upkeep.recover(self._lease.alive)
            self._tidy_at = time.monotonic() + _TIDY_SECONDS


def _is_wanted(operation: Operation | Delete) -> bool:
    return isinstance(operation, Delete) or not operation.record.dropped
