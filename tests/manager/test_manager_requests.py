"""What a request comes to: refused before anything runs, or the execution that was asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jupyter_exec_ext.errors import Conflict, InvalidRequest, NotFound, UnknownEnvironment, UnknownLanguage
from jupyter_exec_ext.manager.admission import body_hash, folder_of
from jupyter_exec_ext.models import CodeBlock, ExecutionRequest


async def refusal(it: Any, error: type[Exception], **fields: Any) -> str | None:
    """The field that a request is refused for; nothing of it may be left."""
    with pytest.raises(error) as caught:
        await it.manager.submit(ExecutionRequest(**fields))
    assert await it.manager.list_executions() == []
    assert it.manager.queued == it.manager.running == 0
    return caught.value.field  # type: ignore[attr-defined, no-any-return]


async def test_A12_an_unknown_environment_and_A13_an_unknown_session_are_refused(house: Any) -> None:
    async with house() as it:
        assert await refusal(it, UnknownEnvironment, code="1", environment="venv:none") == "environment"
        await refusal(it, NotFound, code="1", session="0" * 32)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"code": "1", "language": "klingon"}, "language"),
        (
            {"code_blocks": [CodeBlock(code="1"), CodeBlock(code="1", language="klingon")]},
            "code_blocks[1].language",
        ),
        ({"markdown": "```python\n1\n```\n```klingon\n1\n```\n"}, "markdown"),
    ],
)
async def test_a_language_the_environment_does_not_offer_is_refused(
    house: Any, fields: Any, field: str
) -> None:
    async with house() as it:
        assert await refusal(it, UnknownLanguage, **fields) == field


async def test_a_language_that_policy_refuses_is_refused_and_is_no_default(house: Any) -> None:
    async with house(registry_options={"policies": {"python": "refuse"}}) as it:
        assert await refusal(it, UnknownLanguage, code="1", language="py") == "language"

        ended = await it.run("echo $0")

        assert ended.code_blocks[0].language != "python"
        assert ended.status == "ok"


async def test_the_default_language_is_the_first_and_aliases_become_names(house: Any) -> None:
    async with house() as it:
        first = it.registry.get("local").describe().languages[0]

        assert (await it.run("print(1)")).code_blocks[0].language == first
        assert (await it.run("print(1)", language=" Py ")).code_blocks[0].language == "python"


async def test_the_code_blocks_of_markdown_run_in_order(house: Any) -> None:
    async with house() as it:
        request = ExecutionRequest(markdown="# Title\n\n```python\nprint(1)\n```\n\n~~~bash\necho 2\n~~~\n")

        execution = await it.manager.submit(request)

        ended = await it.manager.wait(execution.id, 20)
        assert (ended.status, ended.output) == ("ok", "1\n2\n")
        assert [block.language for block in ended.code_blocks] == ["python", "bash"]


async def test_markdown_without_a_code_block_is_refused(house: Any) -> None:
    async with house() as it:
        assert await refusal(it, InvalidRequest, markdown="only prose") == "markdown"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a\0b", "x" * 300 + ".py"])
async def test_F4_F5_a_file_name_that_cannot_be_is_refused_before_anything_runs(
    house: Any, name: str
) -> None:
    async with house() as it:
        code = f"# filename: {name}\nprint(1)"
        assert await refusal(it, InvalidRequest, code=code) == "code"
        blocks = [CodeBlock(code="1"), CodeBlock(code=code)]
        assert await refusal(it, InvalidRequest, code_blocks=blocks) == "code_blocks[1].code"


async def test_the_timeout_is_the_servers_default_and_never_above_its_maximum(house: Any) -> None:
    async with house(default_timeout=0.5, max_timeout=2.0) as it:
        assert await refusal(it, InvalidRequest, code="1", timeout=2.1) == "timeout"

        ended = await it.run("print(1, flush=True)\nimport time\ntime.sleep(60)")

        assert (ended.status, ended.exit_code) == ("timeout", 124)
        assert ended.output.startswith("1\n")
        assert (await it.run("1", timeout=2.0)).status == "ok"


@pytest.mark.parametrize(
    "path",
    ["..", "sub/..", "/", "/etc", "a\0b", "nowhere", "file", "out", "loop", "sub/deep/../..", "x" * 5000],
)
def test_a_path_that_is_no_folder_below_the_root_is_refused(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "file").touch()
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")

    with pytest.raises(InvalidRequest) as caught:
        folder_of(root, path)

    assert caught.value.field == "path"


def test_a_path_below_the_root_is_its_folder_with_links_resolved(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to("sub")

    assert folder_of(tmp_path, None) == folder_of(tmp_path, "") == folder_of(tmp_path, ".") == tmp_path
    assert folder_of(tmp_path, "link/") == folder_of(tmp_path, "./sub") == tmp_path / "sub"


async def test_A16_the_same_key_and_body_is_one_run_also_at_the_same_moment(house: Any) -> None:
    async with house() as it:
        code = f"open({str(it.root / 'runs')!r}, 'a').write('x')"

        answers = await asyncio.gather(*(it.submit(code, idempotency_key="k") for _ in range(20)))

        assert len({answer.id for answer in answers}) == 1
        await it.manager.wait(answers[0].id, 20)
        assert (await it.submit(code, idempotency_key="k")).id == answers[0].id
        assert (it.root / "runs").read_text() == "x"
        with pytest.raises(Conflict, match="another key"):
            await it.submit(code + " ", idempotency_key="k")
        assert (await it.submit(code, idempotency_key="other")).id != answers[0].id


async def test_A16_a_key_is_known_after_a_restart_of_the_server(house: Any) -> None:
    async with house() as it:
        first = await it.run("print(1)", idempotency_key="k")

    async with house() as it:
        again = await it.submit("print(1)", idempotency_key="k")

        assert again.id == first.id
        assert (await it.manager.wait(again.id, 0)).output == "1\n"
        with pytest.raises(Conflict):
            await it.submit("print(2)", idempotency_key="k")
        await it.manager.forget(first.id)
        assert (await it.submit("print(1)", idempotency_key="k")).id != first.id


async def test_a_request_that_is_refused_leaves_its_key_free(house: Any) -> None:
    async with house() as it:
        await refusal(it, InvalidRequest, code="1", path="nowhere", idempotency_key="k")
        (it.root / "nowhere").mkdir()

        assert (await it.run("1", path="nowhere", idempotency_key="k")).status == "ok"


def test_the_order_of_the_fields_does_not_make_another_body() -> None:
    one = ExecutionRequest(code="1", env={"A": "1", "B": "2"}, idempotency_key="x")
    same = ExecutionRequest(env={"B": "2", "A": "1"}, code="1", idempotency_key="y")

    assert body_hash(one) == body_hash(same)
    assert body_hash(one) != body_hash(ExecutionRequest(code="1", env={"A": "1"}))


async def test_input_is_answered_where_it_may_be_asked_for_and_a_conflict_elsewhere(house: Any) -> None:
    async with house() as it:
        asking = await it.submit("print('got', input())", allow_stdin=True)
        async for event in it.manager.events(asking.id):
            if event.type == "input_request":
                break

        await it.manager.send_input(asking.id, "me")

        assert (await it.manager.wait(asking.id, 20)).output.endswith("got me\n")
        with pytest.raises(Conflict, match="has ended"):
            await it.manager.send_input(asking.id, "again")
        with pytest.raises(NotFound):
            await it.manager.send_input("0" * 32, "nobody")
        deaf = await it.submit("import time; print('began', flush=True); time.sleep(60)")
        await it.until(deaf, "began\n")
        with pytest.raises(Conflict, match="allow_stdin"):
            await it.manager.send_input(deaf.id, "unasked")


async def test_any_number_may_wait_and_a_wait_that_is_over_answers_with_what_there_is(house: Any) -> None:
    async with house() as it:
        execution = await it.submit("import time; print(1, flush=True); time.sleep(0.5)")
        await it.until(execution, "1")
        waiting = [asyncio.create_task(it.manager.wait(execution.id, 20)) for _ in range(50)]

        early = await it.manager.wait(execution.id, 0.01)
        waiting.pop().cancel()

        assert (early.status, early.output) == ("running", "1\n")
        assert {(one.status, one.output) for one in await asyncio.gather(*waiting)} == {("ok", "1\n")}
        assert (await it.manager.wait(execution.id, 20)).status == "ok"


async def test_an_execution_is_forgotten_once_it_has_ended(house: Any) -> None:
    async with house() as it:
        execution = await it.submit("import time; time.sleep(60)")
        with pytest.raises(Conflict):
            await it.manager.forget(execution.id)
        await it.manager.cancel(execution.id)
        await it.manager.wait(execution.id, 20)

        await it.manager.forget(execution.id)

        with pytest.raises(NotFound):
            await it.manager.get(execution.id)


async def test_files_go_into_a_session_and_come_out_of_it(house: Any) -> None:
    async with house() as it:
        session = await it.session()

        async def pieces() -> Any:
            yield b"one "
            yield b"two"

        await it.manager.write_file(session, "sub/file.txt", pieces())
        files, more = await it.manager.list_files(session)
        assert "sub/file.txt" in [file["path"] for file in files]
        assert not more
        assert (await it.run("print(open('sub/file.txt').read())", session=session)).output == "one two\n"
        assert (
            b"".join([piece async for piece in it.manager.read_file(session, "sub/file.txt")]) == b"one two"
        )
        await it.manager.delete_file(session, "sub/file.txt")
        with pytest.raises(NotFound):
            await anext(it.manager.read_file(session, "sub/file.txt"))
