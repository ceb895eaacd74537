"""Answers what conda-lock asks of conda, by really solving with rattler.

Run as a program: `info --json` and `create --dry-run --json …`; `--version` needs no Python.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import sys
from pathlib import Path

from rattler import Client, Gateway, GenericVirtualPackage, MatchSpec, RepoDataRecord, Version
from rattler import solve as rattler_solve
from rattler.exceptions import SolverError
from rattler.package import BuildString, PackageName

# the folder in which conda-lock puts a channel of virtual packages
VIRTUAL = "conda-lock-fake-repodata"


def install(folder: Path, name: str = "conda") -> Path:
    """A program of this name that runs this file."""
    program = folder / name
    python = shlex.join([sys.executable, "-I", __file__])
    version = '[ "$1" = --version ] && echo conda 24.7.1 && exit'
    program.write_text(f'#!/bin/sh\n{version}\nexec {python} "$@"\n')
    program.chmod(0o755)
    return program


def main(arguments: list[str]) -> int:
    if arguments[0] == "info":
        say({"pkgs_dirs": []})
        return 0
    return create(arguments[1:])


def create(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix")
    parser.add_argument("--channel", action="append")
    for flag in ("--dry-run", "--json", "--override-channels"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("specs", nargs="*")
    options = parser.parse_args(arguments)
    try:
        records = asyncio.run(solve(options.channel, options.specs, os.environ["CONDA_SUBDIR"]))
    except SolverError as e:
        say({"message": str(e), "error": "UnsatisfiableError", "success": False})
        return 1
    actions = {"FETCH": [fetch(r) for r in records], "LINK": [link(r) for r in records]}
    say({"actions": actions, "success": True})
    return 0


def say(answer: dict[str, object]) -> None:
    json.dump(answer, sys.stdout)


async def solve(channels: list[str], specs: list[str], platform: str) -> list[RepoDataRecord]:
    real = [c for c in channels if VIRTUAL not in c]
    virtual = [v for c in channels if VIRTUAL in c for v in virtual_packages(c, platform)]
    return await rattler_solve(
        real,
        [MatchSpec(spec) for spec in specs],
        gateway=Gateway(cache_dir=Path(os.environ["CONDA_PKGS_DIRS"]), client=Client()),
        platforms=[platform, "noarch"],
        virtual_packages=virtual,
        channel_relations="disabled",
    )


def virtual_packages(channel: str, platform: str) -> list[GenericVirtualPackage]:
    text = Path(channel.removeprefix("file://"), platform, "repodata.json").read_text()
    return [
        GenericVirtualPackage(
            PackageName(p["name"]), Version(p["version"]), BuildString(p["build"])
        )
        for p in json.loads(text)["packages"].values()
    ]


def fetch(record: RepoDataRecord) -> dict[str, object]:
    known = json.loads(record.to_json())
    return {**known, "fn": record.file_name, "url": record.url, "constrains": record.constrains}


def link(record: RepoDataRecord) -> dict[str, str]:
    name, version = record.name.normalized, str(record.version)
    return {"name": name, "version": version, "dist_name": f"{name}-{version}-{record.build}"}


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    # rattler's threads may crash the interpreter on its way out
    os._exit(code)
