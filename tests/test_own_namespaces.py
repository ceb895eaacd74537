"""Who signs in has a namespace of their own: made when they come, and nobody else's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import urllib3
from managed_helpers import Lab, served, settings_for

from envwatch.settings import AccessSettings, LoginSettings, NamespaceSettings, ProxyLogin, Settings

USER = "X-Person"


def settings(root: Path, **access: bool) -> Settings:
    """A proxy signs people in; what `try-…` is called, branches fill."""
    return replace(
        settings_for(root),
        login=LoginSettings(proxy=ProxyLogin(USER)),
        access=AccessSettings(**access),
        patterns=(("try-*", NamespaceSettings("try-*")),),
    )


@contextmanager
def opened(root: Path, **access: bool) -> Iterator[Lab]:
    with served(settings(root, **access)) as lab:
        yield lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with opened(tmp_path / "root") as lab:
        yield lab


def status(lab: Lab, path: str, person: str) -> int:
    address = f"{lab.address}{path}"
    return urllib3.request("GET", address, headers={USER: person}, timeout=30).status


def made(lab: Lab) -> list[tuple[str, str]]:
    return [(n.name, n.made_by) for n in lab.parts.catalog.namespaces.all()]


def test_it_is_made_when_a_person_comes_for_the_first_time(lab: Lab) -> None:
    assert status(lab, "/", "ada") == 200
    assert made(lab) == [("ada", "ada")]
    assert (lab.parts.store.managed / "ada.git/HEAD").exists()
    assert "ada" in lab.parts.roster.names()
    (audit,) = lab.parts.catalog.audits.all()
    assert (audit.person, audit.action, audit.namespace) == ("ada", "create namespace", "ada")


def test_its_page_is_there_before_anything_is_in_it_and_for_nobody_else(lab: Lab) -> None:
    found = [status(lab, "/ada/", who) for who in ("ada", "bob")]
    assert found == [200, 404]
    assert status(lab, "/bob/", "bob") == 200


def test_it_takes_new_environments(lab: Lab) -> None:
    page = urllib3.request("GET", f"{lab.address}/new", headers={USER: "ada"}, timeout=30)
    assert "<option selected>ada</option>" in page.data.decode()


def test_it_is_made_once(lab: Lab, tmp_path: Path) -> None:
    for _ in range(2):
        status(lab, "/", "ada")
    assert made(lab) == [("ada", "ada")]


def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        with opened(tmp_path / "root") as lab:
            assert status(lab, "/ada/", "ada") == 200
            assert made(lab) == [("ada", "ada")]


def test_where_the_config_says_no_none_is_made(tmp_path: Path) -> None:
    with opened(tmp_path / "root", own_namespace=False) as lab:
        assert status(lab, "/", "ada") == 200
        assert made(lab) == []


@pytest.mark.parametrize("person", ["people", "PEOPLE", "try-ada", "ada@example.org", "envs", ".."])
def test_what_the_config_names_is_nobodys_own(lab: Lab, person: str) -> None:
    assert status(lab, "/", person) == 200
    assert made(lab) == []


def test_a_namespace_that_somebody_else_made_is_not_theirs(lab: Lab) -> None:
    lab.parts.catalog.namespaces.make("bio", by="grace")
    for person in ("bio", "Bio"):
        assert status(lab, "/", person) == 200
        assert status(lab, "/bio/", person) == 404
    assert made(lab) == [("bio", "grace")]


def test_who_cannot_be_given_one_is_signed_in_all_the_same(lab: Lab) -> None:
    shutil.rmtree(lab.parts.store.managed)
    lab.parts.store.managed.write_text("in the way")
    assert status(lab, "/me", "ada") == 200
