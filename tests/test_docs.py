"""What the README shows is true: its yaml parses, its commands and links exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from cli_helpers import cli

from envwatch import config, repofile, spec
from envwatch.cli import command as envwatch
from envwatch.model import EnvKey
from envwatch.pasting import Lines, Spaces, texts
from envwatch.repowords import COMMON_KEYS, KEYS

TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text()
PAGES = sorted(p for p in TOP.glob("*.md")) + sorted((TOP / "docs").glob("*.md"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_environment_of_the_readme_is_understood() -> None:
    parsed = spec.parse(blocks("yaml")[0].encode(), path="demo/environment.yml")
    assert parsed is not None
    assert parsed.name == "demo"
    assert parsed.messages == ()


def test_the_config_of_the_readme_loads(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(blocks("yaml")[1].replace("/srv/envwatch", str(tmp_path / "root")))
    assert [s.name for s in config.load(path).sources] == ["team", "local", "people"]


def test_the_first_two_commands_are_one_line_each() -> None:
    commands = [b.strip() for b in blocks("sh")[:2]]
    assert all("\n" not in c for c in commands)
    assert commands[0].endswith(".venv/bin/envwatch demo")
    assert commands[1].endswith(".venv/bin/pytest")


def used(text: str) -> set[tuple[str, ...]]:
    """The commands of envwatch that a page names, without their arguments."""
    found = re.findall(r"(?<![\w/.-])envwatch ((?:[a-z][a-z-]+ ?)+)", text)
    return {tuple(shlex.split(f)[:2]) for f in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    code = " | ".join(re.findall(r"`([^`\n]+)`", page.read_text()))
    code += "\n" + " ".join(re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL))
    for words in used(code):
        node: click.Command | None = envwatch
        for word in words:
            if not isinstance(node, click.Group):
                break
            node = node.get_command(click.Context(node), word)
            assert node is not None, f"{page.name}: envwatch {' '.join(words)}"


def test_the_config_of_the_readme_is_checked_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text(blocks("yaml")[1])
    monkeypatch.chdir(tmp_path)
    (line,) = re.findall(r"^envwatch (config check.*)", README, re.MULTILINE)
    told = cli(*shlex.split(line))
    assert told.code == 0, told.err
    assert "config.yaml: no errors" in told.err


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


HERE = Path("/srv/envwatch")
SHOWN = texts(Spaces(HERE, ("analyst",)), Lines(HERE, EnvKey("analyst", "demo")), python=True)


@pytest.mark.parametrize("name", SHOWN)
def test_the_page_about_using_says_what_the_page_of_the_daemon_says(name: str) -> None:
    page = re.sub(r" +# .*", "", (TOP / "docs/using.md").read_text())
    said = SHOWN[name].strip()
    assert f"\n{said}\n" in page or f"`{said}`" in page


@pytest.mark.parametrize("name", ["python", "shell", "hook", "conda", "micromamba", "jupyter"])
def test_the_readme_shows_the_same_lines(name: str) -> None:
    lines = re.sub(r" +# .*", "", README.partition("## For your users")[2]).splitlines()
    assert SHOWN[name] in lines


def test_every_promise_of_the_contract_is_numbered_in_the_readme() -> None:
    assert re.findall(r"^(\d)\. ", README.partition("## The contract")[2], re.MULTILINE) == list(
        "123456789"
    )


def test_the_envwatch_yml_of_its_page_is_understood() -> None:
    page = (TOP / "docs/envwatch-yml.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    read = repofile.read(text.encode(), path="envwatch.yml")
    assert read.messages == ()
    said = {key for e in read.environments for key, _, _ in e.words.said}
    assert said | {"files"} == set(KEYS)
    assert {key for key, _, _ in read.defaults.said} < set(COMMON_KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_of_an_envwatch_yml_is_on_its_page(key: str) -> None:
    assert f"| `{key}` |" in (TOP / "docs/envwatch-yml.md").read_text()
