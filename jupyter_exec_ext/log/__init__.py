"""The event log: all that happened in every execution, numbered, on disk, for any number of readers."""

from .eventlog import EventLog
from .record import Entry

__all__ = ["Entry", "EventLog"]
