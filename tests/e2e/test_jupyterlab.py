"""A person opens JupyterLab by a real JupyterHub, and works in an environment from there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub import Hub, make_hub
from needs import need
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from repos import GitRepo
from running import Running, free_port, text
from waiting import wait_for

from envwatch.pasting import Spaces

pytestmark = [pytest.mark.browser, pytest.mark.peer]

FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
PATIENCE = 90_000.0  # a spawn and a first kernel take half a minute where all cores are busy

# what only the hub of a test needs
SPAWNER = """
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = 90
c.Spawner.http_timeout = 90
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r}
"""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A browser that asks nobody but this machine."""
    chromium = need("chromium")
    (tmp_path / "browser").mkdir()
    with sync_playwright() as playwright:
        browser: Browser = playwright.chromium.launch(
            executable_path=chromium, args=list(FLAGS), env={"HOME": str(tmp_path / "browser")}
        )
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.route(
            lambda url: not url.startswith("http://127.0.0.1:"), lambda route: route.abort()
        )
        yield context.new_page()
        browser.close()


@pytest.fixture
def hub(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Hub:
    return make_hub(tmp_path / "hub", tmp_path_factory)


@pytest.fixture
def running(make_running: Callable[..., Running], hub: Hub, repo: GitRepo) -> Running:
    """A daemon to which people come from the hub; it builds an environment with a kernel."""
    port = free_port()
    login = {"url": hub.url, "client_id": hub.settings.client_id}
    running = make_running(
        {"name": "team", "git": str(repo.path), "branch": "main", "namespace": "analyst"},
        web={"listen": f"127.0.0.1:{port}", "url": f"http://127.0.0.1:{port}"},
        login={"jupyterhub": {**login, "client_secret_file": str(hub.settings.secret_file)}},
        access={"grants": [{"role": "viewer", "namespaces": ["analyst"], "groups": ["staff"]}]},
    )
    running.port = port
    repo.commit({"demo/environment.yml": text("python", "ipykernel", "rich")})
    running.start()
    return running


def test_a_person_works_in_jupyterlab_with_the_kernel_of_an_environment(
    page: Page, hub: Hub, running: Running, tmp_path: Path
) -> None:
    address = f"http://127.0.0.1:{running.port}"
    more = SPAWNER.format(python=sys.executable, homes=str(tmp_path / "homes/{username}"))
    # the line that people are shown who run a hub
    more += Spaces(running.root, ("analyst",)).hub
    with hub.running(f"{address}/signin/jupyterhub/callback", more):
        prefix = running.wait_current(1)
        wait_for((running.root / "jupyter/analyst/kernels/analyst-demo/kernel.json").exists)
        sign_in(page, address)
        expect(page.get_by_role("heading", level=1)).to_have_text("analyst / demo")
        expect(page.locator("#use-it")).to_contain_text("analyst-demo")
        assert (running.root / "managed/ada.git/HEAD").exists(), "a namespace of their own"
        page.goto(f"{hub.url}/", timeout=PATIENCE)
        open_notebook(page, "analyst-demo")
        shown = run(page, "import sys, rich; print(sys.prefix)")
        page.screenshot(path=tmp_path / "jupyterlab.png")
        assert shown == str(prefix)


def sign_in(page: Page, address: str) -> None:
    """From the page of an environment, by the hub, and back to it."""
    page.goto(f"{address}/signin?next=/analyst/demo/")
    page.get_by_role("link", name="Continue with JupyterHub").click()
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("whatever")
    page.get_by_role("button", name="Sign in").click()


def open_notebook(page: Page, kernel: str) -> None:
    """By the card of the launcher that has the name of the kernel."""
    card = page.locator(f".jp-LauncherCard[data-category=Notebook][title={kernel}]")
    card.click(timeout=PATIENCE)
    idle = page.get_by_role("button", name=f"{kernel} | Idle")
    expect(idle).to_be_visible(timeout=PATIENCE)


def run(page: Page, code: str) -> str:
    """What one cell prints."""
    cell = page.locator(".jp-Notebook .jp-Cell .cm-content").first
    cell.click()
    expect(cell).to_be_focused()
    page.keyboard.insert_text(code)
    expect(cell).to_have_text(code)
    output = page.locator(".jp-OutputArea-output")
    wait_for(lambda: _runs(page, output), PATIENCE / 1000, code)
    return output.inner_text().strip()


def _runs(page: Page, output: Locator) -> bool:
    """JupyterLab passes over a cell that is run in the moment in which it takes up the kernel."""
    page.keyboard.press("Control+Enter")
    try:
        output.wait_for(timeout=5000)
    except PlaywrightTimeout:
        return False
    return True
