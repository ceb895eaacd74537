"""Runs uv in a sandbox: no config, no environment, no interpreter of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from uv import find_uv_bin

from envwatch.errors import PipError
from envwatch.model import Job
from envwatch.redact import redact
from envwatch.sandbox import Outcome, clean_environment, run

TIMEOUT = 1800.0
EXPLANATION = 1500


def run_uv(arguments: Sequence[str], job: Job) -> Outcome:
    """`uv pip …` for the prefix of a job; it may write the prefix, tmp and the uv cache."""
    folders = job.folders
    folders.uv.mkdir(parents=True, exist_ok=True)
    command = (
        find_uv_bin(), "pip", *arguments,
        "--python", str(folders.prefix / "bin/python"),
        "--cache-dir", str(folders.uv),
        "--no-config", "--no-python-downloads", "--no-progress", "--color", "never",
    )  # fmt: skip
    return run(
        command,
        write=(folders.prefix, folders.tmp, folders.uv),
        env=_environment(job),
        cwd=folders.tmp,
        timeout=TIMEOUT,
        mode=job.install.sandbox,
        network=True,
    )


def _environment(job: Job) -> dict[str, str]:
    network = job.network
    keep = {"UV_HTTP_TIMEOUT": "60", "UV_HTTP_RETRIES": str(network.retries)}
    if network.proxy:
        keep |= {"HTTP_PROXY": network.proxy, "HTTPS_PROXY": network.proxy}
    if network.ca_file:
        keep["SSL_CERT_FILE"] = str(network.ca_file)
    return clean_environment(job.folders.tmp, keep=keep)


def index_arguments(job: Job) -> tuple[str, ...]:
    """Where wheels come from, and that nothing is built unless it is allowed."""
    options = job.pip
    more = [word for url in options.extra_index for word in ("--index", url)]
    build = () if options.allow_sdist else ("--only-binary", ":all:")
    return ("--default-index", options.index, *more, *build)


def explained(outcome: Outcome, what: str, job: Job) -> PipError:
    """uv's explanation for a person: what cannot be, and the line of the file it came from."""
    text = redact(outcome.output).strip()
    text = re.sub(r"^error: No solution found when resolving dependencies\s*", "", text)
    text = re.sub(r"\s*\n\s+", " ", re.sub(r"^\s*(cause:|error:)\s*", "", text))
    explanation, _, said = text.partition("\nhint:")
    line, column = _place(explanation, job)
    return PipError(
        f"{what}: {_shortened(explanation)}",
        line=line,
        column=column,
        hint=_hint(text, said.strip()),
    )


def _hint(text: str, said: str) -> str:
    if "no usable wheels" in text or "building from source is disabled" in text:
        return "it is published only as source: ask the operator for `pip.allow_sdist`"
    if "was not found in the package registry" in text:
        return "is the name right, and is it on the index?"
    return _shortened(said)


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= EXPLANATION else f"{text[:EXPLANATION]}…"


def _place(text: str, job: Job) -> tuple[int, int]:
    """Where the requirement stands that is named first."""
    found = []
    for requirement in job.spec.pip:
        match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement.text)
        if match:
            name = re.sub(r"[-_.]+", "[-_.]+", match[0])
            at = re.search(rf"(?<![\w.-]){name}(?![\w-])", text, re.IGNORECASE)
            if at:
                found.append((at.start(), requirement.line, requirement.column))
    return min(found)[1:] if found else (0, 0)


def write_lines(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path
