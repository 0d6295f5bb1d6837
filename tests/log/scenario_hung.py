"""A log that is closed while a write to it does not return.

``python scenario_hung.py PATH``; prints ``closed``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from test_log_events import begin, end

from jupyter_exec_ext.log import EventLog

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness.hungdisk import hung  # noqa: E402


async def main(path: Path) -> None:
    """Neither the close nor the end of the process waits for it."""
    log = EventLog(path=str(path))
    await log.open("server")
    await log.flush()
    hung(path).__enter__()
    end(log, begin(log))
    await asyncio.sleep(0.2)
    await log.close()
    print("closed", flush=True)


asyncio.run(main(Path(sys.argv[1])))
