"""Which installed distributions become packages, under which names, with which requirements."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from running_channel import run_channel

from envwatch.channel.distribution import conda_name, find, installed
from envwatch.errors import Conflict

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up site-packages that is searched first."""
    folder = tmp_path / "venv" / "lib" / f"python{MINOR}" / "site-packages"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def distribute(site: Path, name: str, *lines: str, **files: str) -> None:
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    metadata = "\n".join((f"Name: {name}", "Version: 1.0", *lines, ""))
    texts = {"METADATA": metadata, **{key.replace("__", "."): text for key, text in files.items()}}
    for file, text in texts.items():
        (info / file).write_text(text)
    (info / "RECORD").write_text("".join(f"{info.name}/{file},,\n" for file in texts))


def test_requirements_through_extras_are_followed(site: Path) -> None:
    distribute(
        site, "user-of", "Requires-Dist: toolbox[hot]>=1", "Requires-Dist: never; extra == 'x'"
    )
    distribute(
        site,
        "toolbox",
        "Requires-Dist: handle",
        "Requires-Dist: stove; extra == 'hot'",
        "Requires-Dist: toolbox[hot]; extra == 'hot'",
    )
    distribute(site, "handle")
    distribute(site, "stove")
    assert [str(r) for r in find("user-of").requirements] == [
        "toolbox[hot]>=1",
        'stove; extra == "hot"',
        'toolbox[hot]; extra == "hot"',
    ]


def test_requirement_that_is_not_installed_is_left_out(site: Path) -> None:
    distribute(site, "lonely", "Requires-Dist: surely-not-installed")
    assert find("lonely").requirements == ()


def test_editable_distribution_is_refused(site: Path) -> None:
    distribute(
        site, "worked-on", direct_url__json='{"url": "file:///x", "dir_info": {"editable": true}}'
    )
    assert not installed("worked-on")
    with pytest.raises(Conflict, match="`worked-on` is an editable install"):
        find("worked-on")


def test_missing_distribution_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="the distribution `surely-not` is not installed"):
        run_channel(tmp_path / "c", "--no-python", "--dist=surely-not")


def test_names_are_those_that_conda_users_know() -> None:
    assert [conda_name(n) for n in ("PyYAML", "typing-extensions", "tzdata")] == [
        "pyyaml",
        "typing_extensions",
        "python-tzdata",
    ]
