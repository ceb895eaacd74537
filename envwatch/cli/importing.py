"""`envwatch import`: environments of Nebari, of a conda-store or of a directory come here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from envwatch.cli.context import Options
from envwatch.cli.control import caller
from envwatch.cli.messages import print_messages
from envwatch.cli.output import json_option, print_json, safe, say
from envwatch.cli.reading import check_owner
from envwatch.cli.settings import settings_of
from envwatch.cli.waiting import busy
from envwatch.edit import Author
from envwatch.errors import Conflict, NotFound
from envwatch.git.bare import Bare
from envwatch.importing import Found, Imported
from envwatch.importing.client import open_client, read_token
from envwatch.importing.condastore import Environment, environments, read_namespace
from envwatch.importing.folder import read_folder
from envwatch.importing.nebari import read_nebari
from envwatch.importing.writing import Target, write
from envwatch.model import Level
from envwatch.settings import Settings, SourceKind
from envwatch.store import Store


@dataclass(frozen=True, slots=True)
class Wish:
    """What the options say."""

    into: tuple[str, ...]
    token_file: Path | None
    all_builds: bool
    keep_broken: bool
    insecure_http: bool


@click.command("import")
@click.argument("what")
@click.option(
    "--into",
    multiple=True,
    metavar="NAMESPACE",
    help="Where they go. For a conda-store also THEIRS=OURS, more than once; not given: the same "
    "names.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with the token for a conda-store.",
)
@click.option(
    "--all-builds/--current",
    default=True,
    help="All builds of a conda-store as history, or the current ones only.",
)
@click.option("--keep-broken", is_flag=True, help="Take files too that would be refused.")
@click.option("--insecure-http", is_flag=True, help="Ask a conda-store of elsewhere without TLS.")
@click.option("--dry-run", is_flag=True, help="Only say what would be committed.")
@json_option
@click.pass_obj
def command(options: Options, /, what: str, dry_run: bool, as_json: bool, **wishes: object) -> None:
    """Bring environments into managed repositories, with their history.

    WHAT is a nebari-config.yaml, a directory of environment files, or the address of a
    conda-store. Commits are put on top; a second import adds only what is new, and a file that
    was changed here is left as it is. Exits with 1 if something could not be taken.
    """
    settings = settings_of(options)
    check_owner(settings.root, superuser=False)
    wish = Wish(**wishes)  # type: ignore[arg-type]  # by the names of the options
    author = Author(caller(), f"{caller()}@localhost")
    with busy("reading what is there"):
        found = tuple(_found(settings, what, wish))
    store = Store(settings.root)
    store.check_whole()
    if not dry_run:
        store.prepare()
    done = [write(one, target, author, dry_run=dry_run) for one, target in found]
    if as_json:
        print_json(done)
    _tell(done, as_json=as_json, dry_run=dry_run)
    sys.exit(1 if any(m.level is not Level.NOTE for one in done for m in one.left) else 0)


def _found(settings: Settings, what: str, wish: Wish) -> Iterator[tuple[Found, Target]]:
    """What there is, with the place where it goes."""
    if what.startswith(("http://", "https://")):
        yield from _of_store(settings, what, wish)
        return
    path = Path(what)
    if len(wish.into) != 1 or "=" in wish.into[0]:
        raise click.UsageError("files go into one namespace: --into NAMESPACE")
    target = _targets(settings, wish.into)[0]
    if path.is_dir():
        yield read_folder(path, keep_broken=wish.keep_broken), target
    elif path.exists():
        yield read_nebari(path, keep_broken=wish.keep_broken), target
    else:
        raise NotFound(f"{what}: there is no such file, directory or address")


def _of_store(settings: Settings, url: str, wish: Wish) -> Iterator[tuple[Found, Target]]:
    token = read_token(wish.token_file) if wish.token_file else ""
    client = open_client(url, settings.network, token=token, insecure=wish.insecure_http)
    known = environments(client)
    names = _names(wish.into, known)
    targets = _targets(settings, names.values())
    for theirs, target in zip(names, targets, strict=True):
        mine = [e for e in known if e.namespace == theirs]
        found = read_namespace(
            client, mine, all_builds=wish.all_builds, keep_broken=wish.keep_broken
        )
        yield found, target


def _names(into: tuple[str, ...], known: Iterable[Environment]) -> dict[str, str]:
    """Their namespace → ours."""
    theirs = sorted({e.namespace for e in known})
    if not into:
        return {name: name for name in theirs}
    plain = [name for name in into if "=" not in name]
    if plain and (len(into) > 1 or len(theirs) > 1):
        listed = ", ".join(f"`{safe(name)}`" for name in theirs)
        raise click.UsageError(f"write --into THEIRS=OURS for each of {listed}")
    pairs = dict(zip(theirs, plain, strict=False)) if plain else _pairs(into)
    missing = [name for name in pairs if name not in theirs]
    if missing:
        raise NotFound(f"there is no environment in the namespace `{missing[0]}`, or it is hidden")
    if len(set(pairs.values())) < len(pairs):
        raise click.UsageError("two namespaces cannot go into the same one")
    return pairs


def _pairs(into: tuple[str, ...]) -> dict[str, str]:
    split = [name.partition("=") for name in into]
    return {theirs: ours for theirs, _, ours in split}


def _targets(settings: Settings, namespaces: Iterable[str]) -> tuple[Target, ...]:
    """The managed repositories. Raises Conflict, which says what to add to the config."""
    managed = {s.namespace: s for s in settings.sources if s.kind is SourceKind.MANAGED}
    wanted = tuple(namespaces)
    missing = [name for name in wanted if name not in managed]
    if missing:
        lines = "".join(f"\n  - {{name: {name}, managed: true}}" for name in missing)
        text = ", ".join(f"`{safe(name)}`" for name in missing)
        raise Conflict(
            f"the config has no managed source for {text}",
            hint=f"add to its `sources`, then import again:\nsources:{lines}",
        )
    return tuple(
        Target(name, Bare(Path(managed[name].url)), managed[name].branch) for name in wanted
    )


def _tell(done: Iterable[Imported], *, as_json: bool, dry_run: bool) -> None:
    for one in done:
        if not as_json:
            print_messages(one.left, as_json=False)
        if not one.commits:
            say(f"{one.namespace}: nothing new")
            continue
        verb = "would be made" if dry_run else "made"
        say(
            f"{one.namespace}: {_count(one.commits, 'commit')} {verb}, "
            f"{_count(len(one.files), 'file')}"
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
