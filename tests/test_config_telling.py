"""Who is told, as the config says it: defaults, secrets, and every fault with its place."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from envwatch import config
from envwatch.config.forges import api_of, host_and_name
from envwatch.errors import ConfigError
from envwatch.model import Level
from envwatch.settings import EVENTS, ForgeSettings, NotifierSettings, Settings

URL = "https://git.example.org/data/environments.git"
WEB = "web: {url: 'https://env.example.org/'}\n"


def source(forge: str, git: str = URL) -> str:
    return f"{WEB}sources: [{{name: team, git: '{git}', forge: {forge}}}]\n"


def written(folder: Path, text: str) -> Path:
    for name in ("token", "secret"):
        (folder / name).write_text("x")
        (folder / name).chmod(0o600)
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def load(folder: Path, text: str) -> Settings:
    return config.load(written(folder, text))


def told(folder: Path, text: str) -> list[str]:
    """Every remark, without the file and the level."""
    return [
        str(m).split("config.yaml:")[-1]
        for m in config.check(written(folder, text))
        if m.level is not Level.NOTE and "nothing is watched" not in m.text
    ]


@pytest.mark.parametrize(
    ("git", "found"),
    [
        ("https://git.example.org/data/envs.git", ("git.example.org", "data/envs")),
        ("https://git.example.org:8443/a/b/c", ("git.example.org:8443", "a/b/c")),
        ("ssh://git@git.example.org:2222/data/envs.git", ("git.example.org", "data/envs")),
        ("git@github.com:data/envs.git", ("github.com", "data/envs")),
        ("file:///srv/git/envs.git", ("", "")),
        ("/srv/git/envs.git", ("", "")),
        ("https://git.example.org/envs.git", ("git.example.org", "")),
    ],
)
def test_the_address_of_git_says_where_the_forge_is(git: str, found: tuple[str, str]) -> None:
    assert host_and_name(git) == found


def test_each_kind_has_its_api_in_its_place() -> None:
    assert api_of("github", "github.com") == "https://api.github.com"
    assert api_of("github", "ghe.example.org") == "https://ghe.example.org/api/v3"
    assert api_of("gitlab", "gitlab.com") == "https://gitlab.com/api/v4"
    assert api_of("gitea", "git.example.org:3000") == "https://git.example.org:3000/api/v1"


def test_a_forge_needs_only_its_kind_and_a_token(tmp_path: Path) -> None:
    settings = load(tmp_path, source("{kind: gitlab, token_file: token}"))
    assert settings.sources[0].forge == ForgeSettings(
        "gitlab", tmp_path / "token", "https://git.example.org/api/v4", "data/environments"
    )


def test_what_is_said_of_a_forge_holds(tmp_path: Path) -> None:
    said = (
        "{kind: gitea, token_file: token, api: 'http://10.0.0.1:3000/api/v1/', "
        "repository: a/b, context: ci}"
    )
    forge = load(tmp_path, source(said, "/srv/git/envs.git")).sources[0].forge
    assert forge == ForgeSettings(
        "gitea", tmp_path / "token", "http://10.0.0.1:3000/api/v1", "a/b", "ci"
    )


def test_notifiers_are_taken_over(tmp_path: Path) -> None:
    text = (
        "notify:\n"
        "  - {name: hook, webhook: 'https://h.example.org/x', secret_file: secret}\n"
        "  - {name: run, command: [./bin/tell, --now], events: [broken], namespaces: [team-*]}\n"
        "  - {name: mail, apprise_file: secret}\n"
    )
    settings = load(tmp_path, text)
    secret = tmp_path / "secret"
    assert settings.notify == (
        NotifierSettings("hook", "webhook", url="https://h.example.org/x", secret_file=secret),
        NotifierSettings(
            "run",
            "command",
            command=(str(tmp_path / "bin/tell"), "--now"),
            events=("broken",),
            namespaces=("team-*",),
        ),
        NotifierSettings("mail", "apprise", secret_file=secret, events=EVENTS),
    )
    again = config.load(written(tmp_path, config.show(settings)))
    assert again.notify == settings.notify


def test_a_forge_that_is_shown_can_be_loaded_again(tmp_path: Path) -> None:
    settings = load(tmp_path, source("{kind: github, token_file: token}"))
    again = config.load(written(tmp_path, config.show(settings)))
    assert replace(again, path=None) == replace(settings, path=None)


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (source("{kind: github, token_file: token}", "/srv/e.git"), "forge: `api` is missing"),
        (
            source("{kind: github, token_file: token}", "/srv/e.git"),
            "forge: `repository` is missing",
        ),
        (source("{kind: svn, token_file: token}"), "forge.kind: `svn` is not known here"),
        (source("{kind: github}"), "`token_file` is missing"),
        (
            source("{kind: github, token_file: token, api: 'https://me:pw@h/api'}"),
            "forge.api: holds credentials",
        ),
        (
            source("{kind: github, token_file: token, repository: envs}"),
            "forge.repository: `envs` is not a repository",
        ),
        (
            "sources: [{name: x, directory: /opt/e, forge: {kind: github, token_file: token}}]",
            "forge: has no meaning for a directory",
        ),
        (
            source("{kind: github, token_file: token}").removeprefix(WEB),
            "warning: sources[0].forge: statuses carry no link",
        ),
        (
            source("{kind: github, token_file: nowhere}"),
            "sources[0].forge.token_file: there is no file",
        ),
        ("notify: [{name: a}]", "notify[0]: has nobody to tell"),
        (
            "notify: [{name: a, command: [x], apprise_file: secret}]",
            "notify[0]: has `command` and `apprise_file`",
        ),
        (
            "notify: [{name: a, webhook: 'https://h/'}]",
            "notify[0]: `secret_file` is missing",
        ),
        (
            "notify: [{name: a, webhook: 'https://h/?token=CANARY', secret_file: secret}]",
            "notify[0].webhook: holds credentials",
        ),
        ("notify: [{name: a, command: []}]", "notify[0].command: is empty"),
        ("notify: [{name: a, command: [nowhere-prog]}]", "there is no program `nowhere-prog`"),
        (
            "notify: [{name: a, command: ['true']}, {name: A, command: ['true']}]",
            "notify[1].name: another notifier is called `a`",
        ),
        (
            "notify: [{name: a, command: ['true'], events: [explodes]}]",
            "`explodes` is not known here",
        ),
    ],
)
def test_each_fault_is_told_where_it_is(tmp_path: Path, text: str, remark: str) -> None:
    said = " ".join(told(tmp_path, text))
    assert remark in said
    assert "CANARY" not in said


def test_a_secret_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, source("{kind: github, token_file: token}"))
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(ConfigError, match=r"forge\.token_file: everybody can read it"):
        config.load(path)


def test_apprise_that_is_not_installed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "notify: [{name: mail, apprise_file: secret}]")
    config.load(path)
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"apprise is not installed.*notify"):
        config.load(path)


def test_two_sources_on_one_repository_need_two_contexts(tmp_path: Path) -> None:
    forge = "{kind: github, token_file: token%s}"
    one = f"  - {{name: %s, git: '{URL}', forge: {forge}}}\n"
    text = f"{WEB}sources:\n{one % ('a', '')}{one % ('b', '')}"
    assert any("statuses of the same name" in t for t in told(tmp_path, text))
    text = f"{WEB}sources:\n{one % ('a', '')}{one % ('b', ', context: b')}"
    assert not any("statuses of the same name" in t for t in told(tmp_path, text))
