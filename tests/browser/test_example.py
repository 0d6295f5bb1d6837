"""The example notebook that the start command opens."""

from __future__ import annotations

import shutil

from playwright.sync_api import Page, expect

from .conftest import ROOT, TOKEN, Lab
from .screen import item, open_panel, run_command, screenshot

# Typing or running before the kernel is connected gets lost.
CONNECTED = """async () => {
  const context = window.jupyterapp.shell.currentWidget?.sessionContext;
  await context?.ready;
  const kernel = context?.session?.kernel;
  await kernel?.info;
  return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""


def test_the_example_notebook_runs_from_top_to_bottom(lab: Lab, page: Page) -> None:
    # Given JupyterLab with the example opened, and an environment more in the panel
    shutil.copy(ROOT / "examples" / "first_block.ipynb", lab.root)
    lab.request("POST", "api/exec/environments", kind="venv", name="venv:analysis", display_name="Analysis")
    lab.wait_until_ready("venv:analysis")
    page.goto(f"{lab.url}/lab/tree/first_block.ipynb?token={TOKEN}&reset")
    page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell", timeout=60_000)
    panel = open_panel(page)
    page.locator(".jp-NotebookPanel .jp-CodeCell").first.click()
    page.wait_for_function(CONNECTED, timeout=60_000)

    # when all of it is run
    run_command(page, "notebook:run-all-cells")

    # then every step shows what it says it shows, and none fails.
    outputs = [
        "local ready",
        "Hello from",
        "5.",
        "step 4",
        "working... cancelled 130",
        "status ready",
        "204 204",
        " local ok",
    ]
    cells = page.locator(".jp-NotebookPanel .jp-CodeCell")
    expect(cells).to_have_count(len(outputs))
    for index, words in enumerate(outputs):
        expect(cells.nth(index).locator(".jp-OutputArea")).to_contain_text(words, timeout=60_000)
    expect(page.locator('.jp-NotebookPanel [data-mime-type="application/vnd.jupyter.stderr"]')).to_have_count(
        0
    )
    expect(item(panel, "venv:example")).to_have_count(0)

    cells.first.scroll_into_view_if_needed()
    screenshot(page, "panel.png")
    run_command(page, "kernelmenu:shutdown")
    lab.request("DELETE", "api/exec/environments/venv:analysis")
