"""Where things are on the screen, and pictures of it."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

PANEL = "#jupyter-exec-ext-panel"
ROOT = Path(__file__).parents[2]


def open_panel(page: Page) -> Locator:
    """Click on the icon in the left side bar."""
    page.get_by_role("tab", name="Code execution").click()
    panel = page.locator(PANEL)
    expect(panel).to_be_visible()
    return panel


def item(panel: Locator, name: str) -> Locator:
    """One environment in the panel."""
    return panel.locator(f'[data-environment="{name}"]')


def run_command(page: Page, command: str) -> None:
    """Run a command of JupyterLab."""
    page.evaluate("command => window.jupyterapp.commands.execute(command)", command)


def screenshot(page: Page, name: str) -> None:
    """Make a picture for the documents, where SCREENSHOTS names a directory."""
    if directory := os.environ.get("SCREENSHOTS"):
        page.mouse.move(700, 700)
        page.screenshot(path=ROOT / directory / name)
