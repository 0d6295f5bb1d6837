"""A container's stream, on a real engine: also one that nobody reads."""

from __future__ import annotations

import asyncio
import time

from harness.engine import IMAGE

from jupyter_exec_ext.containers.engine import Engine
from jupyter_exec_ext.containers.stream import ContainerProcess

#: As our containers have it: the engine's default log writes whatever is printed to the disk, whole.
LOG = {"type": "local", "config": {"max-size": "5m", "max-file": "2"}}


async def started(engine: Engine, *command: str) -> ContainerProcess:
    made = await engine.call(
        lambda client: client.create_container(
            IMAGE,
            list(command),
            stdin_open=True,
            host_config=client.create_host_config(network_mode="none", log_config=LOG),
        )
    )
    return await ContainerProcess.start(engine, made["Id"])


async def remove(engine: Engine, process: ContainerProcess) -> None:
    await engine.call(lambda client: client.remove_container(process.container, force=True))


async def test_what_is_written_and_printed_goes_through_and_the_exit_code_is_told(engine: Engine) -> None:
    process = await started(engine, "bash", "-c", "read line; echo out $line; echo err >&2; exit 3")

    process.stdin.write(b"in\n")
    await process.stdin.drain()
    out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())

    assert (out, err) == (b"out in\n", b"err\n")
    assert await process.wait() == 3
    await remove(engine, process)


async def test_closed_input_is_the_end_of_the_file_and_output_still_comes(engine: Engine) -> None:
    process = await started(engine, "bash", "-c", "cat; echo after")

    process.stdin.write(b"before\n")
    process.stdin.close()

    assert await process.stdout.read() == b"before\nafter\n"
    assert await process.wait() == 0
    await remove(engine, process)


async def test_a_stream_that_nobody_reads_holds_up_no_kill(engine: Engine) -> None:
    process = await started(engine, "yes")
    await asyncio.sleep(0.5)
    began = time.monotonic()

    process.send_signal(9)
    code = await asyncio.wait_for(process.wait(), 5)

    assert time.monotonic() - began < 2
    assert code == -9
    await remove(engine, process)
