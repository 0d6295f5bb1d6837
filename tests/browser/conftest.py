"""A real JupyterLab and a real browser. Nothing here is skipped: without them the tests fail."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TOKEN = "a-token-of-the-tests"


def _chromium() -> str:
    for name in (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.fail("There is no Chromium; install it (apt-get install chromium) or name it in CHROMIUM.")


@pytest.fixture
def browser() -> Iterator[Browser]:
    """The browser, for one test: Playwright keeps an event loop running, and pytest-jupyter has its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh window."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


class Lab:
    """JupyterLab as a process, with directories of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "root"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.root.mkdir()
        _share_extension(home)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._log = (self.home / "lab.log").open("ab")
        self._process = subprocess.Popen(
            self._command(), cwd=self.root, env=self.variables(), stdout=self._log, stderr=subprocess.STDOUT
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if self.request("GET", "api/exec/environments").ok:
                    return
            except requests.ConnectionError:
                pass
            time.sleep(0.1)
        self.stop()
        pytest.fail(f"JupyterLab did not start:\n{(self.home / 'lab.log').read_text()[-4000:]}")

    def stop(self) -> None:
        """Stop it as Jupyter is stopped, and wait until it is gone."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._process = None
            self._log.close()

    def request(self, verb: str, path: str, **body: Any) -> requests.Response:
        """Ask the server; `body` is sent as JSON."""
        return requests.request(
            verb,
            f"{self.url}/{path}",
            json=body or None,
            headers={"Authorization": f"token {TOKEN}"},
            timeout=30,
        )

    def wait_until_ready(self, name: str) -> None:
        """Wait until an environment is no longer being prepared; it must be ready then."""
        deadline = time.monotonic() + 60
        state = {"status": "preparing"}
        while state["status"] == "preparing" and time.monotonic() < deadline:
            time.sleep(0.1)
            state = self.request("GET", f"api/exec/environments/{name}").json()
        assert state["status"] == "ready", state

    def open(self, page: Page) -> None:
        """Open JupyterLab in a window."""
        page.goto(f"{self.url}/lab?token={TOKEN}&reset")
        page.wait_for_selector("#jp-main-dock-panel .jp-LauncherCard", timeout=60_000)

    def _command(self) -> list[str]:
        command = [
            sys.executable,
            *("-m", "jupyterlab", "--no-browser", f"--port={self.port}", "--ServerApp.port_retries=0"),
            *(f"--IdentityProvider.token={TOKEN}", "--LabApp.expose_app_in_browser=True"),
        ]
        return command + (["--allow-root"] if hasattr(os, "getuid") and os.getuid() == 0 else [])

    def variables(self) -> dict[str, str]:
        """The environment variables it runs with."""
        own = {f"JUPYTER_{name}_DIR": str(self.home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        own["JUPYTERLAB_WORKSPACES_DIR"] = str(self.home / "workspaces")
        own["JUPYTERLAB_SETTINGS_DIR"] = str(self.home / "settings")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("JUPYTER")}
        return {**inherited, **own}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _share_extension(home: Path) -> None:
    """Turn the pop-up about news off; where the package is a mere checkout, announce its two parts."""
    settings = home / "config" / "labconfig"
    settings.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("settings.json"), settings / "default_setting_overrides.json")
    if Path(sys.prefix, "share/jupyter/labextensions/jupyter_exec_ext").exists():
        return
    built = ROOT / "jupyter_exec_ext" / "labextension"
    if not built.exists():
        pytest.fail("The front end is not built; run `npm ci && npm run build:prod`, or scripts/test.")
    extensions = home / "data" / "labextensions"
    extensions.mkdir(parents=True)
    (extensions / "jupyter_exec_ext").symlink_to(built)
    shutil.copytree(ROOT / "jupyter-config" / "server-config", home / "config" / "jupyter_server_config.d")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running JupyterLab that the tests of one file share."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    lab.start()
    yield lab
    lab.stop()


@pytest.fixture
def own_lab(tmp_path: Path) -> Iterator[Lab]:
    """A running JupyterLab for one test, which may stop it."""
    lab = Lab(tmp_path)
    lab.start()
    yield lab
    lab.stop()
