"""While a write to the log does not return, runs end as they would otherwise, with all that they printed."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from harness.hungdisk import hung

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

MEBIBYTE = "import time; print('x' * 2**20, flush=True); time.sleep({})"


async def test_runs_end_in_time_with_their_own_status_and_output_while_the_log_hangs(
    house: Any, tmp_path: Path
) -> None:
    async with house() as it:
        await it.run("print(1)")
        await it.log.flush()
        with hung(tmp_path / "log.sqlite"):
            # given more than may wait for a disk that works
            waiting = [await it.submit("print('x' * 3_000_000)") for _ in range(4)]
            late = await it.submit(MEBIBYTE.format(60), timeout=1)
            cancelled = await it.submit(MEBIBYTE.format(60))
            began = time.monotonic()
            await asyncio.sleep(1)
            await it.manager.cancel(cancelled.id)
            # then
            ends = [await it.manager.wait(one.id, 20) for one in (*waiting, late, cancelled)]
            assert time.monotonic() - began < 1 + 5
            assert [one.status for one in ends] == ["ok"] * 4 + ["timeout", "cancelled"]
            assert [len(one.output.rstrip()) for one in ends[:4]] == [3_000_000] * 4
            assert all(one.output.startswith("x" * 2**20) for one in ends[4:])
            await it.true(lambda: it.log.warning)
            assert str(tmp_path / "log.sqlite") in it.log.warning
            # and the next one does not wait at all
            began = time.monotonic()
            assert (await it.run("print('x' * 200_000)")).status == "ok"
            assert time.monotonic() - began < 2
        await it.true(lambda: it.log.warning is None)
