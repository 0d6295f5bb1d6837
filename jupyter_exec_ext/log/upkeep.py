"""What the writer does beside writing: recovery after a crash, rescue after damage, retention."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..models import Verdict, now
from .notice import Notice, notice_of
from .record import Row, end_json, outline_of, row_of
from .rescue import COPIED, SHIFT, Found, damaged_executions
from .store import Store, doom

__all__ = ["Limits", "Upkeep"]

# How many executions are removed in one step: the code of each is read, and observers are told of it.
_STEP = 16


@dataclass(frozen=True)
class Limits:
    """What the log keeps: days, number of executions, bytes of the file; None for no limit."""

    max_age_days: float | None = None
    max_executions: int | None = None
    max_bytes: int | None = None

    def oldest(self) -> str | None:
        """The time of end before which an execution is forgotten."""
        if not self.max_age_days:
            return None
        at = dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=self.max_age_days)
        return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


class Upkeep:
    """Keeps a store in order. Used in the writer's thread, between batches.

    Parameters
    ----------
    store : Store
    noticed : callable
        Is given what was ended or removed, once that is on disk. Since a transaction has the write
        lock from its beginning, each execution is told of by one server.
    """

    def __init__(self, store: Store, noticed: Callable[[list[Notice]], None]) -> None:
        self._store = store
        self._db = store.db
        self._noticed = noticed

    def recover(self, alive: Callable[[str], bool]) -> int:
        """End, as ``lost``, what dead servers left unfinished; return how many that were."""
        lost: list[Notice] = self._store.transaction(lambda: self._recover(alive))
        self._noticed(lost)
        return len(lost)

    def _recover(self, alive: Callable[[str], bool]) -> list[Notice]:
        owners = self._db.execute("SELECT DISTINCT owner FROM executions WHERE ended_at IS NULL").fetchall()
        dead = [owner for (owner,) in owners if owner != self._store.owner and not alive(owner)]
        unfinished = "owner = ? AND ended_at IS NULL"
        return [self._lose(one) for owner in dead for one in self._sequences(unfinished, owner)]

    def _sequences(self, condition: str, *values: Any) -> list[int]:
        found = self._db.execute(f"SELECT seq FROM executions WHERE {condition}", values)  # noqa: S608
        return [sequence for (sequence,) in found]

    def _read(self, sequence: int) -> tuple[bytes, int, str, bytes]:
        """The record, the number of the last event as far as it is known, the user and the code."""
        found: tuple[bytes, int, str, bytes] = self._db.execute(
            "SELECT e.record, e.last_event, e.user, c.blocks FROM executions e"
            " LEFT JOIN code c ON c.execution = e.seq WHERE e.seq = ?",
            (sequence,),
        ).fetchone()
        return found

    def _lose(self, sequence: int) -> Notice:
        record, _, user, code = self._read(sequence)
        execution = outline_of(record, self._last(sequence) + 1)
        began = "while it ran" if execution.status == "running" else "before it began"
        verdict = execution.verdict or Verdict()
        kept = "the beginning of what had been printed" if execution.truncated else "what had been printed"
        cause = f"The Jupyter server was stopped {began}; {kept} is kept."
        limits = list(dict.fromkeys([*verdict.limits_hit, *(["output"] if execution.truncated else [])]))
        execution.verdict = verdict.model_copy(
            update={"cause": cause, "state_kept": False, "limits_hit": limits}
        )
        execution.status, execution.finished_at = "lost", now()
        self._insert_end(sequence, execution.last_event, row_of(execution))
        return notice_of("ended", execution, user, code)

    def _last(self, sequence: int) -> int:
        """The number of an execution's last event, 0 where it has none."""
        last = self._db.execute(
            "SELECT max(id) FROM events WHERE id BETWEEN ? AND ?",
            (sequence * SHIFT, (sequence + 1) * SHIFT - 1),
        ).fetchone()[0]
        return last - sequence * SHIFT if last else 0

    def _insert_end(self, sequence: int, number: int, row: Row) -> None:
        self._db.execute(
            "INSERT INTO events VALUES (?, 'end', ?)",
            (sequence * SHIFT + number, end_json(row.record, now())),
        )
        self._db.execute(
            "UPDATE executions SET status = ?, ended_at = ?, record = ?, last_event = ? WHERE seq = ?",
            (row.status, row.ended_at, row.record, number, sequence),
        )

    def rescue(self, aside: Path) -> None:
        """Take over what can still be read of a damaged file."""

        def copy() -> None:
            for found in damaged_executions(aside):
                self._take_over(found)

        self._store.transaction(copy)

    def _take_over(self, found: Found) -> None:
        marks = ", ".join("?" * len(found.columns))
        cursor = self._db.execute(
            f"INSERT OR IGNORE INTO executions ({COPIED}) VALUES ({marks})",  # noqa: S608
            found.columns,
        )
        sequence = cursor.lastrowid
        if not cursor.rowcount or sequence is None:
            return
        self._db.execute("INSERT INTO code VALUES (?, ?)", (sequence, found.code))
        self._db.executemany(
            "INSERT INTO events VALUES (?, ?, ?)",
            [(sequence * SHIFT + number, *event) for number, event in enumerate(found.events, 1)],
        )

    def retain(self, limits: Limits) -> bool:
        """Doom some of what is too old, too many or too large; return whether there may be more."""
        doomed, notices = self._store.transaction(lambda: self._retain(limits))
        self._noticed(notices)
        return bool(doomed)

    def _retain(self, limits: Limits) -> tuple[int, list[Notice]]:
        surplus = self._surplus(limits)
        notices = [notice for sequence in surplus for notice in self._removal(sequence)]
        return doom(self._db, f"seq IN ({', '.join('?' * len(surplus))})", *surplus), notices

    def _surplus(self, limits: Limits) -> list[int]:
        """Some of what is too old; else of what is too many; else the oldest where that is too large."""
        found, before, count, size = [], limits.oldest(), limits.max_executions, limits.max_bytes
        if before:
            found = self._sequences("ended_at < ? ORDER BY ended_at LIMIT ?", before, _STEP)
        if count and not found:
            newest = "SELECT seq FROM executions ORDER BY created_at DESC, id DESC LIMIT -1 OFFSET ?"
            some = "ORDER BY created_at, id LIMIT ?"
            found = self._sequences(f"ended_at IS NOT NULL AND seq IN ({newest}) {some}", count, _STEP)
        if size and not found and not self._has_garbage() and self.size() > size:
            found = self._sequences("ended_at IS NOT NULL ORDER BY ended_at LIMIT 1")
        return found

    def _removal(self, sequence: int) -> list[Notice]:
        """The notice of what is about to be removed; none where its record is too damaged for one."""
        record, last, user, code = self._read(sequence)
        with contextlib.suppress(TypeError, ValueError):
            return [notice_of("deleted", outline_of(record, last), user, code)]
        return []

    def size(self) -> int:
        """Bytes of the file that are in use."""
        pages, free, page_size = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * page_size)

    def _has_garbage(self) -> bool:
        return self._db.execute("SELECT 1 FROM garbage LIMIT 1").fetchone() is not None

    def collect(self) -> bool:
        """Do one small step of deleting and shrinking; return whether there is more to do."""
        return bool(self._store.transaction(self._collect)) or self._shrink()

    def _collect(self) -> bool:
        found = self._db.execute("SELECT execution FROM garbage LIMIT 1").fetchone()
        if found is None:
            return False
        low, high = found[0] * SHIFT, (found[0] + 1) * SHIFT - 1
        deleted = self._db.execute(
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id BETWEEN ? AND ? LIMIT 64)",
            (low, high),
        ).rowcount
        if deleted == 0:
            self._db.execute("DELETE FROM code WHERE execution = ?", found)
            self._db.execute("DELETE FROM garbage WHERE execution = ?", found)
        return True

    def _shrink(self) -> bool:
        free = self._free()
        if free == 0:
            return False
        # It takes one step for each page; `execute` would make only the first.
        self._db.executescript("PRAGMA incremental_vacuum(256)")
        left = self._free()
        if left == 0:
            # In WAL mode it is a checkpoint that makes the file shorter.
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return left < free

    def _free(self) -> int:
        return int(self._db.execute("PRAGMA freelist_count").fetchone()[0])
