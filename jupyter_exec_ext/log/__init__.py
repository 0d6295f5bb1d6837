"""The event log: all that happened in every execution, numbered, on disk, for any number of readers."""

from .entry import Entry
from .eventlog import EventLog

__all__ = ["Entry", "EventLog"]
