"""The panel in a real JupyterLab: what a person sees and does."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .conftest import Lab
from .screen import PANEL, item, open_panel, run_command, screenshot

HOSTILE = "<img src=x onerror=\"alert('hacked')\"><script>alert(1)</script>\u202egnp.exe"


def test_panel_lists_the_local_command_line_and_says_that_it_is_not_isolated(lab: Lab, page: Page) -> None:
    # Given JupyterLab
    lab.open(page)

    # when somebody opens the panel
    panel = open_panel(page)

    # then the local command line is there, ready, with its languages, and honest about itself.
    local = item(panel, "local")
    expect(local).to_contain_text("not isolated")
    expect(local).to_contain_text("ready")
    expect(local).to_contain_text("python")
    expect(local).to_contain_text("default")
    expect(panel.get_by_role("heading", name="Local command line")).to_be_visible()


def test_an_environment_made_elsewhere_appears_without_a_refresh(lab: Lab, page: Page) -> None:
    # Given the open panel
    lab.open(page)
    panel = open_panel(page)
    expect(item(panel, "local")).to_be_visible()

    # when an environment is made by REST
    made = lab.request(
        "POST", "api/exec/environments", kind="venv", name="venv:made", display_name="Made elsewhere"
    )
    assert made.status_code == 201, made.text

    # then the panel shows it, and soon that it is ready.
    expect(item(panel, "venv:made")).to_contain_text("Made elsewhere", timeout=5_000)
    expect(item(panel, "venv:made")).to_have_attribute("data-status", "ready", timeout=60_000)
    expect(panel.get_by_role("heading", name="Virtual environments")).to_be_visible()

    # And when it is deleted, it goes away.
    assert lab.request("DELETE", "api/exec/environments/venv:made").status_code == 204
    expect(item(panel, "venv:made")).to_have_count(0, timeout=5_000)


def test_a_hostile_name_is_shown_as_text(lab: Lab, page: Page) -> None:
    # Given a server that, unlike ours, lets markup, script and a change of direction be a name
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    refused = lab.request(
        "POST", "api/exec/environments", kind="venv", name="venv:hostile", display_name=HOSTILE
    )
    assert refused.json()["field"] == "display_name"
    hostile = {"name": "venv:hostile", "kind": "venv", "display_name": HOSTILE, "status": "ready"}
    page.route("**/api/exec/environments*", lambda route: route.fulfill(json={"environments": [hostile]}))

    # when the panel shows it
    lab.open(page)
    panel = open_panel(page)
    shown = item(panel, "venv:hostile").locator(".jp-Exec-name")

    # then it is its characters, the invisible one made visible, and nothing of it ran.
    expect(shown).to_have_text(HOSTILE.replace("\u202e", "\ufffd"))
    assert panel.locator("img, script").count() == 0
    assert dialogs == []


def test_the_panel_works_with_the_keyboard_alone(lab: Lab, page: Page) -> None:
    # Given JupyterLab, whose panel was opened by its command
    lab.open(page)
    run_command(page, "exec:show-environments")
    panel = page.locator(PANEL)
    expect(item(panel, "local")).to_be_visible()

    # when the refresh button has the focus and is pressed with a key
    button = panel.get_by_role("button", name="Refresh the list of environments")
    button.focus()
    with page.expect_response("**/api/exec/environments*") as answer:
        page.keyboard.press("Enter")

    # then the list is read again, and what scrolls can be reached, too.
    assert answer.value.ok
    region = panel.get_by_role("region", name="List of environments")
    region.focus()
    expect(region).to_be_focused()


def test_a_server_that_went_away_is_an_error_with_a_way_back(own_lab: Lab, page: Page) -> None:
    # Given the open panel
    own_lab.open(page)
    panel = open_panel(page)
    expect(item(panel, "local")).to_be_visible()

    # when the server goes away and the list is refreshed
    own_lab.stop()
    run_command(page, "exec:refresh-environments")

    # then the panel says so, instead of showing what may no longer be true.
    alert = panel.get_by_role("alert")
    expect(alert).to_contain_text("The server does not answer")
    expect(item(panel, "local")).to_have_count(0)
    screenshot(page, "panel-error.png")

    # And when it is back, trying again shows the list.
    own_lab.start()
    page.evaluate("() => document.querySelectorAll('.jp-Dialog').forEach(dialog => dialog.remove())")
    alert.get_by_role("button", name="Try again").click()
    expect(item(panel, "local")).to_be_visible()


def test_a_server_that_went_away_is_noticed_without_a_refresh(own_lab: Lab, page: Page) -> None:
    # Given the open panel
    own_lab.open(page)
    panel = open_panel(page)
    expect(item(panel, "local")).to_be_visible()

    # when the server goes away and nobody does anything
    own_lab.stop()

    # then the panel says so before its next reading is due.
    expect(panel.get_by_role("alert")).to_contain_text("The server does not answer", timeout=25_000)
    expect(item(panel, "local")).to_have_count(0)


def test_the_name_that_requests_give_is_on_the_screen(lab: Lab, page: Page) -> None:
    # Given the open panel
    lab.open(page)
    panel = open_panel(page)

    # then the local command line tells that it is called `local`.
    expect(item(panel, "local").get_by_text("local", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"environments": []}', "No environments"),
        ('{"environments": "many"}', "cannot be used"),
        ("<html>", "cannot be used"),
    ],
)
def test_an_answer_without_environments_is_explained(lab: Lab, page: Page, body: str, words: str) -> None:
    # Given a server (or a proxy before it) with a strange answer
    page.route(
        "**/api/exec/environments*",
        lambda route: route.fulfill(status=200, content_type="application/json", body=body),
    )

    # when the panel is opened
    lab.open(page)
    panel = open_panel(page)

    # then it says what is the matter.
    expect(panel).to_contain_text(words)


def test_environments_of_every_state_can_be_told_apart(lab: Lab, page: Page) -> None:
    # Given a server with environments that this machine may not have
    def environment(name: str, **some: Any) -> dict[str, Any]:
        return {
            "name": name,
            "kind": name.split(":")[0],
            "display_name": name,
            "languages": ["python"],
            **some,
        }

    environments = [
        environment("local", isolation="none", status="ready", default=True),
        environment("venv:new", isolation="none", status="preparing", reason="Installing numpy"),
        environment(
            "docker:python", isolation="container", status="unavailable", reason="No engine answers."
        ),
        environment("sandbox", isolation="process", status="ready"),
    ]
    page.route("**/api/exec/environments*", lambda route: route.fulfill(json={"environments": environments}))

    # when the panel is opened
    lab.open(page)
    panel = open_panel(page)

    # then each tells its state, its reason and what isolates it, in the order of the kinds.
    expect(item(panel, "docker:python")).to_contain_text("unavailable")
    expect(item(panel, "docker:python")).to_contain_text("No engine answers.")
    expect(item(panel, "docker:python")).to_contain_text("container")
    expect(item(panel, "venv:new")).to_contain_text("preparing")
    expect(item(panel, "sandbox").locator(".jp-Exec-isolation")).to_have_text("process")
    headings = panel.locator("h4").all_text_contents()
    assert headings == ["Local command line", "Virtual environments", "Sandboxes", "Containers"]
    screenshot(page, "panel-states.png")
