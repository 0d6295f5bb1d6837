"""A log whose directory loses its permissions while it is written; run as root, it becomes another user.

``python scenario_hidden.py DIRECTORY``; prints ``passed``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from test_log_events import begin, end

from jupyter_exec_ext.events import Event
from jupyter_exec_ext.log import EventLog
from jupyter_exec_ext.models import Execution

NOBODY = 65534


def become_somebody(directory: Path) -> None:
    """Root may look into every directory."""
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def printed(log: EventLog, text: str) -> Execution:
    """An execution that has printed that."""
    execution = begin(log)
    log.append(execution.id, Event.stream("stdout", text))
    return end(log, execution)


async def main(directory: Path) -> None:
    """Nothing is lost, and nobody is told that something was."""
    become_somebody(directory)
    os.environ["JUPYTER_DATA_DIR"] = str(directory)
    log = EventLog()
    await log.open("server")
    made = [printed(log, "before")]
    await log.flush()
    place = Path(log.path).parent
    before = os.stat(log.path).st_ino
    # when
    place.chmod(0)
    made.append(printed(log, "meanwhile"))
    await log.flush()
    # then
    assert log.warning is None, log.warning
    assert os.stat(log.path).st_ino == before
    assert [(await log.get(one.id)).output for one in made] == ["before", "meanwhile"]
    await log.close()


asyncio.run(main(Path(sys.argv[1])))
print("passed")
