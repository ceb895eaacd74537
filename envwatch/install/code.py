"""Code of packages, run where it can do no harm."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from envwatch.bytecode import Run
from envwatch.errors import InstallError
from envwatch.gate import SCRIPT
from envwatch.install.records import Record
from envwatch.model import Folders
from envwatch.sandbox import clean_environment, run

TIMEOUT = 1800.0
SCRIPT_TIMEOUT = 300.0


def runner(tmp: Path, mode: str, timeout: float = TIMEOUT) -> Run:
    """Starts package code that may write the folders it is given, and has no network."""

    def confined(command: Sequence[str], write: Sequence[Path]) -> tuple[int, str]:
        outcome = run(
            command,
            write=(tmp, *write),
            env=clean_environment(tmp),
            cwd=tmp,
            timeout=timeout,
            mode=mode,
        )
        return outcome.status, outcome.output

    return confined


def run_link_scripts(records: Sequence[Record], folders: Folders, mode: str) -> None:
    """Run the post-link scripts of packages, in this order; only where the operator allows it."""
    prefix = folders.prefix
    for record in records:
        for path in record.names:
            match = SCRIPT.fullmatch(path)
            if not match or match["kind"] != "post-link" or not path.endswith(".sh"):
                continue
            env = clean_environment(folders.tmp, keep=_script_environment(prefix, record))
            outcome = run(
                ("/bin/sh", str(prefix / path)),
                write=(folders.tmp, prefix),
                env=env,
                cwd=prefix,
                timeout=SCRIPT_TIMEOUT,
                mode=mode,
            )
            if outcome.status:
                raise InstallError(
                    f"the post-link script of `{record.label}` ended with {outcome.status}:"
                    f" {outcome.output.strip()[-500:]}"
                )


def _script_environment(prefix: Path, record: Record) -> dict[str, str]:
    return {
        "PATH": f"{prefix / 'bin'}{os.pathsep}/usr/bin:/bin",
        "PREFIX": str(prefix),
        "CONDA_PREFIX": str(prefix),
        "PKG_NAME": record.name,
        "PKG_VERSION": record.version,
        "PKG_BUILDNUM": record.build.rpartition("_")[2],
    }
