"""Real providers and a real browser: sign in, sign out, everywhere, and after a restart."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import oidc_program
import pytest
from browsing import chromium, faults
from hub import free_ports, make_hub
from oidc_program import sign_in
from playwright.sync_api import Browser, BrowserContext, Page, expect
from web_helpers import Stand, stand

from envwatch.access import Identity
from envwatch.settings import LoginSettings, Network, OidcSettings, WebSettings
from envwatch.signin import open_providers
from envwatch.web import serve

pytestmark = pytest.mark.browser


@dataclass
class House:
    """The pages at one address, which can be closed and opened again on the same catalog."""

    root: Path
    login: LoginSettings
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def open(self) -> Iterator[Stand]:
        providers = open_providers(self.login, Network())
        with stand(self.root, self.address, providers=providers, login=self.login) as made:
            server = serve(made.app, WebSettings(port=self.port))
            try:
                yield made
            finally:
                server.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("browser")) as made:
        yield made


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[[House], Page]]:
    """Another browser of a person, which asks nobody but this machine."""
    contexts: list[BrowserContext] = []

    def new(house: House, *, scripts: bool = True) -> Page:
        context = browser.new_context(base_url=house.address, java_script_enabled=scripts)
        context.route(
            lambda url: not url.startswith("http://127.0.0.1:"), lambda route: route.abort()
        )
        contexts.append(context)
        return context.new_page()

    yield new
    for context in contexts:
        context.close()


@pytest.fixture
def house(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, empty_root: Path
) -> Iterator[House]:
    port, other = free_ports(2)
    issuer = f"http://127.0.0.1:{other}"
    secret = tmp_path / "secret"
    login = LoginSettings(oidc=OidcSettings(issuer, "envwatch", secret, title="Lab"))
    shutil.copytree(empty_root, tmp_path / "root")
    made = House(tmp_path / "root", login, port)
    with oidc_program.provider(tmp_path_factory, tmp_path, issuer, made.address, secret):
        yield made


def test_a_person_signs_in_and_out(house: House, visit: Callable[..., Page]) -> None:
    with house.open() as made:
        page = visit(house, scripts=False)
        page.goto("/builds")
        sign_in(page)
        expect(page).to_have_url(f"{house.address}/builds")
        page.get_by_role("link", name="ada").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("ada")
        expect(page.locator(".labels")).to_have_text("staff")
        assert made.catalog.people.identity("ada") == Identity("ada", ("staff",))
        page.get_by_role("button", name="Sign out", exact=True).click()
        expect(page.get_by_role("status")).to_contain_text("You are signed out here")
        page.goto("/me")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_signing_out_everywhere_reaches_the_other_browser(
    house: House, visit: Callable[..., Page]
) -> None:
    with house.open():
        one, two, bob = visit(house), visit(house), visit(house)
        for page, name in ((one, "ada"), (two, "ada"), (bob, "bob")):
            page.goto("/")
            sign_in(page, name)
        one.goto("/me")
        one.get_by_role("button", name="Sign out everywhere").click()
        for page in (one, two):
            page.goto("/me")
            expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
        bob.goto("/me")
        expect(bob.get_by_role("heading", level=1)).to_have_text("bob")


def test_a_session_survives_a_restart(house: House, visit: Callable[..., Page]) -> None:
    page = visit(house)
    with house.open():
        page.goto("/")
        sign_in(page)
    with house.open():
        page.goto("/me")
        expect(page.get_by_role("heading", level=1)).to_have_text("ada")


def test_no_code_stays_in_the_history(house: House, visit: Callable[..., Page]) -> None:
    page = visit(house)
    with house.open():
        page.goto("/sources")
        sign_in(page)
        expect(page).to_have_url(f"{house.address}/sources")
        page.go_back()
        assert "code=" not in page.url
        assert not page.url.startswith(f"{house.address}/signin/oidc")


def test_a_form_that_outlived_its_session_is_sent_after_all(
    house: House, visit: Callable[..., Page]
) -> None:
    with house.open() as made:
        page = visit(house, scripts=False)
        page.goto("/")
        sign_in(page)
        page.goto("/me")
        page.get_by_label("Name", exact=True).fill("laptop")
        page.get_by_label("Namespaces").fill("ada")
        made.catalog.people.close_all("ada")
        page.get_by_role("button", name="Make the token").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Not sent yet")
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="Continue with Lab").click()
        expect(opened.value.get_by_role("heading", level=1)).to_have_text("You are signed in")
        page.get_by_role("button", name="Send it again").click()
        expect(page.locator(".made")).to_contain_text("envwatch_")
        assert [t.name for t in made.catalog.tokens.all()] == ["laptop"]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_the_pages_are_fit_for_everybody(
    browser: Browser, empty_root: Path, tmp_path: Path, scheme: Any, width: int
) -> None:
    shutil.copytree(empty_root, tmp_path / "root")
    house = House(tmp_path / "root", LoginSettings(), free_ports(1)[0])
    with house.open() as made:
        view = {"width": width, "height": 900}
        context = browser.new_context(
            base_url=house.address, color_scheme=scheme, viewport=view, reduced_motion="reduce"
        )
        page = context.new_page()
        page.goto("/signin?trouble=stale")
        found = faults(page)
        _be(context, house, made)
        page.goto("/me")
        page.get_by_label("Name", exact=True).fill("laptop")
        page.get_by_label("Namespaces").fill("ada")
        page.get_by_role("button", name="Make the token").click()
        found += faults(page)
        made.catalog.people.close_all("ada")
        page.get_by_role("button", name="Revoke").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Not sent yet")
        found += faults(page)
        context.close()
    assert found == []


def _be(context: BrowserContext, house: House, made: Stand) -> None:
    made.catalog.people.seen(Identity("ada", ("/staff",)), "oidc")
    secret = made.catalog.people.open_session("ada", 600)
    context.add_cookies([{"name": "envwatch_session", "value": secret, "url": house.address}])


def test_a_person_signs_in_by_a_hub(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    empty_root: Path,
    visit: Callable[..., Page],
) -> None:
    hub = make_hub(tmp_path / "hub", tmp_path_factory)
    login = LoginSettings(jupyterhub=hub.settings)
    shutil.copytree(empty_root, tmp_path / "root")
    house = House(tmp_path / "root", login, free_ports(1)[0])
    (provider,) = open_providers(login, Network())
    back = f"{house.address}/signin/jupyterhub/callback"
    with hub.running(back), house.open() as made:
        assert provider.check().startswith(f"{hub.url}, version ")
        page = visit(house)
        page.goto("/sources")
        page.get_by_role("link", name="Sign in").click()
        page.get_by_role("link", name="Continue with JupyterHub").click()
        page.get_by_label("Username").fill("ada")
        page.get_by_label("Password").fill("whatever")
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(f"{house.address}/sources")
        page.goto("/me")
        expect(page.get_by_role("heading", level=1)).to_have_text("ada")
        assert made.catalog.people.identity("ada") == Identity("ada", ("staff",))
