"""Commands that look at environments, and change nothing."""

from __future__ import annotations

import click

from envwatch.artifacts import ARCHIVES
from envwatch.cli.context import Options
from envwatch.cli.house import Facts, House, open_house
from envwatch.cli.keys import key_argument, number_argument
from envwatch.cli.names import namespaces
from envwatch.cli.output import json_option, print_json, print_table, safe, say
from envwatch.cli.story import print_facts, print_story, reasons, story
from envwatch.cli.words import (
    commit_text,
    diff_count,
    failure_line,
    package_lines,
    short,
    text_lines,
    took,
    when,
)
from envwatch.cli.words import (
    number as numbered,
)
from envwatch.errors import Conflict, NotFound
from envwatch.model import ArtifactKind, EnvKey
from envwatch.units import size
from envwatch.views.values import DiffPage, EnvironmentPage, EnvRow

FILES = [kind.value for kind in ArtifactKind if kind not in ARCHIVES]
STATES = ("ready", "building", "failed", "missing", "invalid", "attention", "preview")


@click.command("list")
@click.option("--all", "everything", is_flag=True, help="Retired ones too.")
@click.option(
    "--namespace",
    default="",
    metavar="NS",
    shell_complete=namespaces,
    help="Only those of one namespace.",
)
@click.option("--state", type=click.Choice(STATES), help="Only those in one state.")
@click.option("--label", default="", metavar="NAME[=VALUE]", help="Only those with a label.")
@json_option
@click.pass_obj
def listed(
    options: Options,
    everything: bool,
    namespace: str,
    state: str | None,
    label: str,
    as_json: bool,
) -> None:
    """List environments, those that need attention first."""
    chosen = {"namespace": namespace, "state": state or "", "label": label}
    with open_house(options) as house:
        rows = house.rows(chosen, retired=False)
        rows += house.rows(chosen, retired=True) if everything else []
    if as_json:
        print_json(rows)
        return
    if not rows:
        say(
            "no environment is like that" if any(chosen.values()) else "there is no environment yet"
        )
        if not everything:
            say("`--all` shows retired ones too")
        return
    print_table(
        ("environment", "git", "env", "what", "size", "changed"),
        [_row(r) for r in rows],
        styles=["dim" if r.retired_at else "yellow" if r.attention else "" for r in rows],
    )


@click.command()
@key_argument
@json_option
@click.pass_obj
def show(options: Options, key: EnvKey, as_json: bool) -> None:
    """Show one environment: what is asked for, what is current, what is installed."""
    with open_house(options) as house:
        page = house.environment(key)
        places = house.places(key)
    if as_json:
        print_json(page)
        return
    print_facts(_facts(page, places))
    for message in page.spec_messages:
        click.echo(safe(str(message)))
    click.echo()
    _print_generations(page)
    click.echo()
    print_table(
        ("package", "version", "build", "from", "asked for"),
        [
            (p.name, p.version, p.build, p.channel or p.manager, "yes" if p.requested else "")
            for p in page.packages
        ],
    )


@click.command()
@key_argument
@json_option
@click.pass_obj
def log(options: Options, key: EnvKey, as_json: bool) -> None:
    """Tell its story, newest first: commits, builds, generations, changes of packages."""
    with open_house(options) as house:
        moments = story(house, key)
    print_story(moments, as_json=as_json)


@click.command()
@key_argument
@json_option
@click.pass_obj
def why(options: Options, key: EnvKey, as_json: bool) -> None:
    """Say why it was, or was not, built again."""
    with open_house(options) as house:
        said = reasons(house.environment(key))
    if as_json:
        print_json(said)
        return
    for line in said:
        click.echo(safe(line))


@click.command()
@key_argument
@click.argument("old", metavar="[A]", type=click.IntRange(min=1), required=False)
@click.argument("new", metavar="[B]", type=click.IntRange(min=1), required=False)
@json_option
@click.pass_obj
def diff(options: Options, key: EnvKey, old: int | None, new: int | None, as_json: bool) -> None:
    """Compare two generations: file and packages.

    Without B the current one, without A the one before that.
    """
    with open_house(options) as house:
        page = _compare(house, key, old, new)
    if as_json:
        print_json({"key": key, "old": page.old.number, "new": page.new.number,
                    "spec": page.spec, "packages": page.packages})  # fmt: skip
        return
    click.echo(f"{key} #{page.old.number} → #{page.new.number}")
    for line in (*text_lines(page.spec), *package_lines(page.packages)):
        click.echo(safe(line))


@click.command()
@key_argument
@click.argument("kind", metavar="FILE", type=click.Choice(FILES))
@number_argument
@click.pass_obj
def file(options: Options, key: EnvKey, kind: str, number: int | None) -> None:
    """Print a file of the current generation, or of N.

    FILE is environment.yml, environment.pinned.yml, conda-lock.yml, explicit.txt, packages.json,
    build.log or SHA256SUMS.
    """
    with open_house(options) as house:
        content = house.file(key, number or current(house, key), ArtifactKind(kind))
    click.echo(content, nl=False)


@click.command()
@key_argument
@number_argument
@click.pass_obj
def lock(options: Options, key: EnvKey, number: int | None) -> None:
    """Print the conda-lock.yml of the current generation, or of N."""
    with open_house(options) as house:
        text = house.file(key, number or current(house, key), ArtifactKind.LOCK)
    click.echo(text, nl=False)


def _row(row: EnvRow) -> tuple[str, ...]:
    said = f"retired {when(row.retired_at)}" if row.retired_at else row.sentence
    return (
        str(row.key),
        row.git,
        row.env,
        said,
        size(row.size) if row.size else "-",
        when(row.changed_at),
    )


def _facts(page: EnvironmentPage, places: Facts) -> Facts:
    row, made = page.row, page.generation
    said = page.commit
    asked = f"{row.source} {row.path} at {short(page.record.revision)}"
    failure = row.failure
    return (
        ("environment", str(row.key)),
        ("description", row.description),
        ("labels", ", ".join(f"{name}={value}" for name, value in row.labels)),
        ("git", row.git),
        ("env", f"{row.env}: {row.sentence}"),
        ("retired", when(row.retired_at) if row.retired_at else ""),
        ("asked for by", asked),
        ("made of", ", ".join(page.layers)),
        ("commit", commit_text(said)),
        ("refused", str(row.invalid) if row.invalid else ""),
        ("failed", failure_line(failure, row.path) if failure else ""),
        ("damaged", row.damaged),
        *(places if made and not row.retired_at else ()),
        ("prefix", str(made.prefix) if made else ""),
        ("python", made.python if made else ""),
        ("size", size(made.size) if made else ""),
        ("kernels", ", ".join(k.name for k in made.kernels) if made else ""),
        ("archive", made.archive if made else ""),
        *_wished(page),
    )


def _wished(page: EnvironmentPage) -> Facts:
    """What an `envwatch.yml` asks for."""
    wished = page.record.wishes
    if wished is None:
        return ()
    kept = (("last", wished.keep_last), ("days", wished.keep_days))
    return (
        ("shown as", wished.kernel),
        ("kept", ", ".join(f"{name} {n:g}" for name, n in kept if n is not None)),
        ("updated", wished.update),
    )


def _print_generations(page: EnvironmentPage) -> None:
    rows = [
        (
            f"{'*' if g.current else ' '}{numbered(g.generation.number)}",
            when(g.generation.published_at),
            g.generation.reason,
            short(g.generation.revision),
            diff_count(g.diff),
            size(g.generation.size),
            took(g.seconds),
            _marks(g.generation.pinned, g.generation.pruned_at is not None, g.generation.damaged),
        )
        for g in page.generations
    ]
    titles = ("generation", "published", "why", "commit", "packages", "size", "took", "")
    print_table(titles, rows)


def _marks(pinned: bool, pruned: bool, damaged: str) -> str:  # three marks
    marks = (("pinned", pinned), ("pruned", pruned), ("damaged", bool(damaged)))
    return ", ".join(word for word, holds in marks if holds)


def _compare(house: House, key: EnvKey, old: int | None, new: int | None) -> DiffPage:
    second = new or current(house, key)
    first = old or second - 1
    if not first:
        raise Conflict(f"{key}: #{second} is the first generation", hint="name two of them")
    return house.compare(key, first, second)


def current(house: House, key: EnvKey) -> int:
    """The generation that is current. Raises NotFound."""
    found = house.environment(key).row.current
    if found is None:
        raise NotFound(f"{key}: nothing is published yet", hint=f"see `envwatch env show {key}`")
    return found
