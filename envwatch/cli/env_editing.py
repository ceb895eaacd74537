"""Commands that change the file of an environment: each is one commit, made by the daemon."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from envwatch import spec
from envwatch.cli.commits import How, commit_options, read_text, tell
from envwatch.cli.context import Options
from envwatch.cli.drafting import by_hand, solved
from envwatch.cli.house import Answer, House, open_house
from envwatch.cli.keys import key_argument, to_key
from envwatch.cli.messages import has_errors, print_messages, say_count
from envwatch.cli.names import namespaces
from envwatch.errors import Conflict, SpecError
from envwatch.model import EnvKey

_file_type = click.Path(path_type=Path, allow_dash=True)
_check_option = click.option(
    "--check", is_flag=True, help="Solve it first, and commit only what can be installed."
)


@click.command()
@key_argument
@click.option("--file", type=_file_type, help="The new text; `-` reads it. Not given: an editor.")
@click.option("--seen", default="", metavar="REVISION", help="The revision it was written for.")
@click.option("--yes", is_flag=True, help="Do not ask before the commit.")
@_check_option
@commit_options
@click.pass_obj
def edit(
    options: Options,
    key: EnvKey,
    file: Path | None,
    seen: str,
    yes: bool,
    check: bool,
    how: How,
) -> None:
    """Change the file of an environment by a commit.

    Without --file it is opened in $VISUAL or $EDITOR; then it is solved, what would change is
    shown, and the commit is asked for. What is refused is opened again, and never lost. So is a
    change of a file that somebody else has changed meanwhile. With --file it is solved where
    --check is said.
    """
    with open_house(options) as house:
        now = house.ask("file", namespace=key.namespace, name=key.name)

        def commit(text: str) -> Answer:
            wanted = {**_where(key, now), "text": text, "message": how.message}
            return house.edit(key, wanted | ({"seen": seen} if seen else {}), how.author)

        if file is None:
            tell(house, by_hand(house, key, now, commit, yes=yes), how)
            return
        text = read_text(file)
        if check:
            solved(house, key, now["path"], text)
        tell(house, commit(text), how)


@click.command()
@click.argument("what", metavar="FILE")
@click.option(
    "--namespace",
    default="",
    metavar="NS",
    shell_complete=namespaces,
    help="Where. Not given: your own, or the only one that takes edits.",
)
@click.option(
    "--file", type=_file_type, help="The text, where FILE is namespace/name; `-` reads it."
)
@click.option("--path", default="", help="Where it shall lie. Not given: NAME/environment.yml.")
@_check_option
@commit_options
@click.pass_obj
def create(
    options: Options,
    what: str,
    namespace: str,
    file: Path | None,
    path: str,
    check: bool,
    how: How,
) -> None:
    """Make an environment: a commit that adds its file to the source of its namespace.

    FILE is the environment file (`-` reads it), and says its name; or namespace/name, with --file.
    """
    with open_house(options) as house:
        text = read_text(file or Path(what))
        if file is None:
            key = EnvKey(namespace or house.default_namespace(), _checked(text, what))
        else:
            key = to_key(what)
        path = path or f"{key.name}/environment.yml"
        if check:
            solved(house, key, path, text)
        wanted = {"text": text, "message": how.message, "path": path, "name": key.name}
        tell(house, house.edit(key, wanted, how.author), how)


@click.command()
@key_argument
@commit_options
@click.pass_obj
def delete(options: Options, key: EnvKey, how: How) -> None:
    """Remove the file of an environment by a commit: it is retired.

    Link and kernels go; its history and its files stay, and it is back when the file is.
    """
    with open_house(options) as house:
        now = house.ask("file", namespace=key.namespace, name=key.name)
        wanted = {**_where(key, now), "text": None, "message": how.message}
        tell(house, house.edit(key, wanted, how.author), how)


def _where(key: EnvKey, now: Answer) -> Answer:
    """What an edit says of the file of one environment as it was seen."""
    seen = {"path": now["path"], "source": now["source"], "seen": now["revision"]}
    return {**seen, "name": key.name}


@click.command()
@key_argument
@commit_options
@click.pass_obj
def restore(options: Options, key: EnvKey, how: How) -> None:
    """Bring a retired environment back: a commit that adds the file which it had last."""
    with open_house(options) as house:
        tell(house, _restored(house, key, how), how)


def _restored(house: House, key: EnvKey, how: How) -> Answer:
    page = house.environment(key)
    if page.row.retired_at is None:
        raise Conflict(f"{key} is not retired")
    if page.layers:
        raise Conflict(
            f"{key} was made of {', '.join(page.layers)}", hint="bring them back by a commit"
        )
    wanted = {
        "text": page.spec_text,
        "message": how.message or f"Restore {page.row.path}",
        "path": page.row.path,
        "name": key.name,
    }
    return house.edit(key, wanted, how.author)


def _checked(text: str, path: str) -> str:
    """The name in an environment file. Exits where it would be refused, and says why."""
    data = text.encode()
    messages = spec.check(data, path=path)
    if has_errors(messages):
        print_messages(messages, as_json=False)
        say_count(messages, path)
        sys.exit(1)
    parsed = spec.parse(data, path=path)
    if parsed is None:
        raise SpecError(f"{path}: not an environment: it has no `dependencies`")
    if not parsed.name:
        raise SpecError(f"{path}: has no `name`", hint="begin it with `name: something`")
    return parsed.name
