"""Blocks in containers, on a real engine."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from harness.engine import IMAGE, OwnEngine

from jupyter_exec_ext.containers.engine import Engine
from jupyter_exec_ext.environments.docker import DockerPythonEnvironment
from jupyter_exec_ext.environments.system import SystemPythonEnvironment
from jupyter_exec_ext.errors import EnvironmentFailed, InvalidRequest
from jupyter_exec_ext.executors.base import CodeResult, RunOptions
from jupyter_exec_ext.executors.docker import DockerCommandLineCodeExecutor
from jupyter_exec_ext.executors.factory import CodeExecutorFactory
from jupyter_exec_ext.models import CodeBlock

from .conftest import Make

GREEDY = "print('begun', flush=True)\nheld = []\nwhile True: held.append(bytearray(4_000_000))"


def assert_out_of_memory(result: CodeResult) -> None:
    verdict = result.outcome.verdict
    assert (result.outcome.status, result.exit_code, result.output) == ("oom", 137, "begun\n")
    assert verdict.limits_hit == ["container memory"]
    assert "200,000,000 bytes" in (verdict.cause or "")


async def run(executor: Any, code: str, language: str = "python", **options: Any) -> CodeResult:
    blocks = [CodeBlock(code=code, language=language)]
    result: CodeResult = await executor.execute_code_blocks(blocks, RunOptions(**options))
    return result


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "print('hello')"),
        ("bash", "echo hello"),
        ("sh", "echo hello"),
        ("javascript", "console.log('hello')"),
    ],
)
async def test_each_language_of_the_image_runs(make: Make, language: str, code: str) -> None:
    result = await run(await make(), code, language)

    assert (result.outcome.status, result.exit_code, result.output) == ("ok", 0, "hello\n")


async def test_what_the_image_has_is_listed_and_what_it_lacks_is_not(make: Make) -> None:
    executor = await make()

    shown = executor.environment.describe()

    assert (shown.kind, shown.isolation, shown.status, shown.reason) == ("docker", "container", "ready", None)
    assert {"python", "bash", "sh", "javascript"} <= set(shown.languages)
    assert "ruby" not in shown.languages
    assert shown.spec["image"] == IMAGE
    assert shown.spec["image_id"].startswith("sha256:")


async def test_stop_can_promise_what_a_namespace_can(make: Make) -> None:
    assert (await make()).guarantee == "pid_namespace"


async def test_a_session_keeps_its_workspace_and_a_restart_begins_afresh(make: Make) -> None:
    executor = await make()
    await run(executor, "open('kept', 'w').write('here')")
    assert (await run(executor, "print(open('kept').read())")).output == "here\n"
    before = executor._container

    await executor.restart()

    assert executor._container != before
    assert (await run(executor, "import os; print(os.listdir())")).output == "[]\n"


async def test_files_go_in_and_come_out(make: Make) -> None:
    executor = await make()

    async def content() -> Any:
        yield b"from outside"

    await executor.write_file("folder/name.txt", content())
    result = await run(
        executor, "print(open('folder/name.txt').read()); open('back', 'wb').write(bytes(300_000))"
    )
    files, more = await executor.list_files()

    assert result.output == "from outside\n"
    assert {file["path"]: file["size"] for file in files if file["type"] == "file"} == {
        "folder/name.txt": 12,
        "back": 300_000,
    }
    assert not more
    assert b"".join([piece async for piece in executor.read_file("back")]) == bytes(300_000)


async def test_given_input_is_read_and_questions_are_answered(make: Make) -> None:
    executor = await make()
    assert (await run(executor, "print(input())", stdin="given\n")).output == "given\n"

    blocks = [CodeBlock(code="print('got', input('Name? '))", language="python")]
    async for event in executor.run(blocks, RunOptions(allow_stdin=True)):
        if event.type == "input_request":
            await executor.send_input("Ada")
    assert event.data["outcome"].status == "ok"


async def test_a_timeout_ends_what_ignores_signals_and_what_has_left_its_session(make: Make) -> None:
    executor = await make()
    code = (
        "import os, signal, subprocess, time\n"
        "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\n"
        "subprocess.Popen(['setsid', 'sleep', '1000'])\n"
        "print('begun', flush=True)\ntime.sleep(1000)"
    )

    began = time.monotonic()
    result = await run(executor, code, timeout=0.5)

    assert (result.outcome.status, result.exit_code, result.output) == ("timeout", 124, "begun\n")
    assert time.monotonic() - began < 5
    assert result.outcome.verdict.survivors == 0
    assert "sleep" not in (await run(executor, "ps -e -o comm", "bash")).output.splitlines()


async def test_a_cancelled_run_has_ended_and_the_session_goes_on(make: Make) -> None:
    executor = await make()
    task = asyncio.ensure_future(run(executor, "import time; time.sleep(1000)"))
    await asyncio.sleep(0.3)

    await executor.cancel()

    assert (await task).outcome.status == "cancelled"
    assert (await run(executor, "print('next')")).output == "next\n"


async def test_more_memory_than_the_container_has_is_oom_and_names_the_limit(make: Make) -> None:
    executor = await make(settings={"memory_bytes": 200_000_000})
    container = executor._container

    result = await run(executor, GREEDY)

    assert_out_of_memory(result)
    assert result.outcome.verdict.state_kept
    assert (await run(executor, "print('next')")).output == "next\n"
    assert executor._container == container


async def test_files_that_take_all_the_memory_are_oom_and_the_next_run_has_a_fresh_container(
    make: Make,
) -> None:
    executor = await make(settings={"memory_bytes": 200_000_000})
    code = "with open('/workspace/big', 'wb') as file:\n    while True: file.write(bytes(1_000_000))"

    result = await run(executor, "print('begun', flush=True)\n" + code)

    assert_out_of_memory(result)
    assert not result.outcome.verdict.state_kept
    assert (await run(executor, "import os; print(os.listdir())")).output == "[]\n"


async def test_a_full_workspace_is_said_by_the_program_and_leaves_the_session(make: Make) -> None:
    executor = await make()
    code = "with open('/workspace/big', 'wb') as file:\n    while True: file.write(bytes(1_000_000))"

    result = await run(executor, code)

    assert (result.outcome.status, result.exit_code) == ("failed", 1)
    assert "No space left on device" in result.output
    await executor.delete_file("big")
    assert (await run(executor, "print('next')")).output == "next\n"


async def test_a_program_that_kills_itself_is_not_oom(make: Make) -> None:
    result = await run(await make(), "import os; os.kill(os.getpid(), 9)")

    assert (result.outcome.status, result.exit_code) == ("failed", 137)


async def test_a_program_that_kills_all_it_can_leaves_the_session(make: Make) -> None:
    executor = await make()
    container = executor._container

    result = await run(executor, "sleep 1000 & echo begun; kill -9 -1", "bash")

    assert result.output.startswith("begun\n")
    assert "sleep" not in (await run(executor, "ps -e -o comm", "bash")).output.splitlines()
    assert (await run(executor, "print('next')")).output == "next\n"
    assert executor._container == container


async def test_a_container_that_is_removed_under_a_run_is_lost_and_the_next_run_has_another(
    make: Make, own_engine: OwnEngine
) -> None:
    executor = await make()
    task = asyncio.ensure_future(run(executor, "import time; print('begun', flush=True); time.sleep(1000)"))
    await asyncio.sleep(0.5)

    await asyncio.to_thread(own_engine.client().remove_container, executor._container, force=True)
    result = await asyncio.wait_for(task, 5)

    assert (result.outcome.status, result.output) == ("lost", "begun\n")
    assert (await run(executor, "print('next')")).output == "next\n"


async def test_a_flood_is_capped_and_all_of_it_is_drained(make: Make) -> None:
    executor = await make(output_limit=100_000)

    result = await run(executor, "import sys\nfor _ in range(3000): sys.stdout.write('x' * 10_000 + '\\n')")

    assert result.outcome.status == "ok"
    assert result.outcome.truncated
    assert 90_000 < len(result.output) < 110_000


async def test_preloaded_modules_are_there_and_limits_of_a_process_hold(make: Make) -> None:
    from jupyter_exec_ext.environments.base import Limits

    executor = await make(preload=["decimal"], limits=Limits(file_bytes=1_000_000))

    result = await run(
        executor, "import sys; print('decimal' in sys.modules); open('f', 'wb').write(bytes(2_000_000))"
    )

    assert result.output.startswith("True\n")
    assert result.outcome.verdict.limits_hit == ["file_bytes"]


async def test_nothing_of_the_servers_environment_reaches_a_block(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXEC_TEST_MEANT", "yes")
    monkeypatch.setenv("EXEC_TEST_OTHER", "no")
    executor = await make(env_allow=["EXEC_TEST_MEANT"])

    result = await run(executor, "import os; print(sorted(os.environ))")

    assert set(eval(result.output)) == {
        "EXEC_TEST_MEANT", "HOME", "HOSTNAME", "LANG", "LOGNAME", "PATH",
        "PYTHONIOENCODING", "PYTHONUNBUFFERED", "USER",
    }  # fmt: skip


async def test_an_image_that_is_not_there_is_named_and_never_pulled(engine: Engine) -> None:
    environment = DockerPythonEnvironment("no-such-image:here", engine=engine)
    executor = DockerCommandLineCodeExecutor(environment)

    with pytest.raises(EnvironmentFailed, match="no-such-image:here is not on the container engine"):
        await executor.start()

    assert environment.describe().status == "unavailable"
    assert "no-such-image:here" in (environment.describe().reason or "")


async def test_another_kind_of_environment_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match="local is no container environment"):
        DockerCommandLineCodeExecutor(SystemPythonEnvironment())  # type: ignore[arg-type]


async def test_the_factory_makes_it_by_its_name_and_for_its_environment(engine: Engine) -> None:
    factory, environment = CodeExecutorFactory(), DockerPythonEnvironment(IMAGE, engine=engine)

    by_name = factory.create(
        {"executor": "commandline-docker", "commandline-docker": {"environment": environment}}
    )
    for_environment = factory.for_environment(environment, "/tmp", "/tmp/private")

    assert isinstance(by_name, DockerCommandLineCodeExecutor)
    assert isinstance(for_environment, DockerCommandLineCodeExecutor)
    async with for_environment:
        assert (await run(for_environment, "import os; print(os.getcwd())")).output == "/workspace\n"
