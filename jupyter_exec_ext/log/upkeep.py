"""What the writer does beside writing: recovery after a crash, rescue after damage, retention."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..models import Execution, Verdict, now
from .mending import mend
from .notice import Notice, notice_of
from .queries import loaded
from .record import Row, end_json, row_of
from .rescue import COPIED, Found, damaged_executions
from .store import Store, doom
from .stored import COLUMNS, LAST_NUMBER, SHIFT, Stored, last_of, outline_of

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
        mend(self._db)
        live = self._db.execute("SELECT seq, owner FROM executions WHERE ended_at IS NULL").fetchall()
        owners = {owner for _, owner in live} - {self._store.owner}
        dead = {owner for owner in owners if not alive(str(owner))}
        # By number: of a damaged row, nothing else need be what a query would find it by.
        return [self._lose(sequence) for sequence, owner in live if owner in dead]

    def _sequences(self, condition: str, *values: Any) -> list[int]:
        found = self._db.execute(f"SELECT seq FROM executions WHERE {condition}", values)  # noqa: S608
        return [sequence for (sequence,) in found]

    def _read(self, sequence: int) -> Stored:
        query = f"SELECT {COLUMNS} FROM executions WHERE seq = ?"  # noqa: S608
        return Stored(*self._db.execute(query, (sequence,)).fetchone())

    def _notice(self, action: Literal["ended", "deleted"], sequence: int, execution: Execution) -> Notice:
        query = "SELECT user, blocks FROM executions LEFT JOIN code ON execution = seq WHERE seq = ?"
        user, code = self._db.execute(query, (sequence,)).fetchone()
        return notice_of(action, execution, str(user), code)

    def _lose(self, sequence: int) -> Notice:
        execution = loaded(self._db, self._read(sequence))
        number = min(execution.last_event + 1, LAST_NUMBER)
        began = "while it ran" if execution.status == "running" else "before it began"
        verdict = execution.verdict or Verdict()
        kept = "the beginning of what had been printed" if execution.truncated else "what had been printed"
        cause = f"The Jupyter server was stopped {began}; {kept} is kept."
        limits = list(dict.fromkeys([*verdict.limits_hit, *(["output"] if execution.truncated else [])]))
        execution.verdict = verdict.model_copy(
            update={"cause": cause, "state_kept": False, "limits_hit": limits}
        )
        execution.status, execution.finished_at, execution.last_event = "lost", now(), number
        self._insert_end(sequence, number, row_of(execution))
        return self._notice("ended", sequence, execution)

    def _insert_end(self, sequence: int, number: int, row: Row) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO events VALUES (?, 'end', ?)",
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
        notices = [self._removal(sequence) for sequence in surplus]
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

    def _removal(self, sequence: int) -> Notice:
        """The notice of what is about to be removed."""
        row = self._read(sequence)
        return self._notice("deleted", sequence, outline_of(row, last_of(self._db, row)))

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
