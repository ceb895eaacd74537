"""`envwatch env`: the commands about environments, by name."""

from __future__ import annotations

import click

from envwatch.cli.lazy import LazyGroup, placeholders

LOOKING, CHANGING, USING = (f"envwatch.cli.env_{part}" for part in ("looking", "changing", "using"))
EDITING, PULLING = "envwatch.cli.env_editing", "envwatch.cli.env_pulling"

COMMANDS = (
    ("list", f"{LOOKING}:listed", "List environments, those that need attention first."),
    ("show", f"{LOOKING}:show", "Show one environment: what is asked for, current, installed."),
    ("log", f"{LOOKING}:log", "Tell its story: commits, builds, generations."),
    ("why", f"{LOOKING}:why", "Say why it was, or was not, built again."),
    ("diff", f"{LOOKING}:diff", "Compare two generations: file and packages."),
    ("lock", f"{LOOKING}:lock", "Print the conda-lock.yml of a generation."),
    ("file", f"{LOOKING}:file", "Print a file of a generation."),
    ("path", f"{USING}:path", "Print the path that people use."),
    ("shell-hook", f"{USING}:shell_hook", "Print the lines that activate it, without any conda."),
    ("run", f"{USING}:run", "Run a program in it."),
    ("pull", f"{PULLING}:pull", "Make the same environment here, from its lock."),
    ("wait", "envwatch.cli.env_waiting:wait", "Wait until its newest build is over."),
    ("create", f"{EDITING}:create", "Make one: a commit that adds its file."),
    ("edit", f"{EDITING}:edit", "Change its file by a commit."),
    ("delete", f"{EDITING}:delete", "Remove its file by a commit: it is retired."),
    ("restore", f"{EDITING}:restore", "Bring a retired one back by a commit, with its last file."),
    ("activate", f"{CHANGING}:activate", "Make a generation current and hold it there."),
    ("hold", f"{CHANGING}:hold", "Keep the current generation, or N, against newer ones."),
    ("release", f"{CHANGING}:release", "Let the newest generation become current again."),
    ("pin", f"{CHANGING}:pin", "Never delete a generation."),
    ("unpin", f"{CHANGING}:unpin", "Let retention decide over a generation again."),
    ("rebuild", f"{CHANGING}:rebuild", "Build again what is asked for, or a generation."),
    ("update", f"{CHANGING}:update", "Solve afresh: take the newest packages that fit."),
    ("archive", f"{CHANGING}:archive", "Have the archives of a generation made."),
)


@click.group("env", cls=LazyGroup, commands=placeholders(COMMANDS))
def command() -> None:
    """Environments: look at them, hold, rebuild, use them.

    KEY is namespace/name, N the number of a generation.
    """
