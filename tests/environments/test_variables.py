"""What of the server's environment reaches a block."""

from __future__ import annotations

import pytest

from jupyter_exec_ext.environments.variables import allowed_variables, denied, prepended

SECRETS = [
    "JUPYTER_TOKEN",
    "JUPYTERHUB_API_TOKEN",
    "JUPYTER_CONFIG_DIR",
    "JPY_PARENT_PID",
    "JPY_API_TOKEN",
    "GITHUB_TOKEN",
    "MY_TOKENS",
    "CLIENT_SECRET",
    "SECRET_KEY_BASE",
    "DB_PASSWORD",
    "PASSWORD",
    "OPENAI_API_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AZURE_CLIENT_ID",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "jupyter_token",
]


def test_only_what_a_program_needs_passes() -> None:
    # given a server's environment
    needed = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "USER", "VIRTUAL_ENV")
    others = (
        "PYTHONPATH",
        "LD_PRELOAD",
        "SHELL",
        "DISPLAY",
        "SSH_AUTH_SOCK",
        "PWD",
        "PATHS",
        "XHOME",
        *SECRETS,
    )
    source = dict.fromkeys((*needed, *others), "x")

    assert allowed_variables((), source) == dict.fromkeys(needed, "x")


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_never_passes_by_a_pattern(name: str) -> None:
    assert denied(name)
    assert allowed_variables(["*"], {name: "x"}) == {}
    assert allowed_variables(["LC_*", name[:3] + "*"], {name: "x"}) == {}


def test_what_the_administrator_names_passes() -> None:
    source = {"HPC_NODE": "1", "HPC_TOKEN": "2", "LICENSE_KEY": "3", "OTHER": "4"}

    # a pattern does not reach secrets, a full name was meant
    assert allowed_variables(["HPC_*"], source) == {"HPC_NODE": "1"}
    assert allowed_variables(["HPC_*", "LICENSE_KEY"], source) == {"HPC_NODE": "1", "LICENSE_KEY": "3"}


def test_a_secret_that_looks_like_an_allowed_name_does_not_pass() -> None:
    assert allowed_variables((), {"LC_SECRET": "x", "LC_API_KEY": "y"}) == {}


def test_a_folder_comes_first_on_the_path_and_only_once() -> None:
    assert prepended("/usr/bin:/v/bin:/bin", "/v/bin") == "/v/bin:/usr/bin:/bin"
