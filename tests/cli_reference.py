"""The reference in docs/cli.md, made from the commands themselves.

usage: python tests/cli_reference.py docs/cli.md    writes it into the page, between its marks
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from envwatch.cli import command
from envwatch.cli.lazy import Placeholder

BEGIN = "<!-- made by tests/cli_reference.py -->\n"
END = "<!-- end -->\n"


def commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its full name, groups before their commands."""
    yield from _below((), command)


def _below(
    name: tuple[str, ...], found: click.Command
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    real = found.load() if isinstance(found, Placeholder) else found
    if name:
        yield name, real
    if isinstance(real, click.Group):
        for child, its in real.commands.items():
            yield from _below((*name, child), its)


def reference() -> str:
    """The part of the page that is made."""
    parts = [_section(name, found) for name, found in commands()]
    return "\n".join([_options("`envwatch`", command), *parts])


def _section(name: tuple[str, ...], found: click.Command) -> str:
    title = " ".join(("envwatch", *name))
    if isinstance(found, click.Group):
        return f"## {title}\n\n{_help(found)}"
    context = click.Context(found, info_name=name[-1])
    usage = " ".join((title, *found.collect_usage_pieces(context)))
    level = "#" * (len(name) + 1)
    options = _options("", found)
    told = f"{_help(found)}\n{options}" if options else _help(found)
    return f"{level} {title}\n\n    {usage}\n\n{told}"


def _help(found: click.Command) -> str:
    paragraphs = (found.help or "").strip().split("\n\n")
    return "\n\n".join(" ".join(p.split()) for p in paragraphs) + "\n"


def _options(title: str, found: click.Command) -> str:
    options = [p for p in found.params if isinstance(p, click.Option) and not p.hidden]
    if not options:
        return ""
    rows = "".join(f"| {_names(o)} | {_told(o)} |\n" for o in options)
    return f"| {title or 'option'} | |\n|---|---|\n{rows}"


def _names(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    takes = "" if option.is_flag or "--version" in option.opts else f" {_value(option)}"
    return names + takes


def _value(option: click.Option) -> str:
    return option.metavar or option.human_readable_name.upper()


def _told(option: click.Option) -> str:
    text = " ".join((option.help or "").split())
    if isinstance(option.type, click.Choice):
        text += " One of " + ", ".join(f"`{c}`" for c in option.type.choices) + "."
    if option.show_default:
        text += f" Default: `{option.default}`."
    variable = option.envvar
    return f"{text} (`{variable}`)" if variable else text


def main(path: Path) -> None:
    page = path.read_text()
    before, rest = page.split(BEGIN)
    path.write_text(before + BEGIN + "\n" + reference() + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
