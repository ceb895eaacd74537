"""Why no set of packages fits, in the words and with the line numbers a person needs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from rattler import MatchSpec, RepoDataRecord
from rattler.exceptions import GatewayError

from envwatch.errors import SolveError
from envwatch.model import Requirement
from envwatch.redact import redact
from envwatch.solvers.index import Index
from envwatch.solvers.request import Request
from envwatch.solvers.virtual import is_host
from envwatch.solvers.wanted import Wanted

MAX_LINES = 10
MAX_WIDTH = 160
MAX_VERSIONS = 5
LEAD = "Cannot solve the request because of: "
NO_CANDIDATES = re.compile(r"([\w.-]+)((?: [^,\n]+)?), for which no candidates were found")
BRANCH = re.compile(r"^[├└]─ ([\w.-]+)")
SYSTEM = {
    "__cuda": "CUDA",
    "__glibc": "the GNU C library",
    "__linux": "a Linux kernel",
    "__osx": "macOS",
    "__win": "Windows",
    "__archspec": "a processor",
}


async def explain(
    raw: str, request: Request, platform: str, index: Index, wanted: Sequence[Wanted]
) -> SolveError:
    """The solver's own text becomes the first of these that fits: a name that no channel has, a
    version that no channel has, a virtual package that the machine lacks, a missing dependency,
    a conflict."""
    for dependency in wanted:
        if problem := await _unavailable(dependency, request, platform, index):
            return problem
    text = raw.strip().removeprefix(LEAD).strip()
    if not text:
        silent = f"the solver gave no reason ({platform}, {_listed(index.channels)})"
        return _error(silent, "the log has all that it said", [])
    found = NO_CANDIDATES.search(text)
    if found and "conflicts with" not in text:
        return _lacking(found[1], found[2].strip(), text, platform, index, wanted)
    return _conflict(text, platform, index, wanted)


# ---------------------------------------------------------------- one dependency


async def _unavailable(
    wanted: Wanted, request: Request, platform: str, index: Index
) -> SolveError | None:
    channels = (wanted.channel,) if wanted.channel else ()
    if await index.records(platform, [MatchSpec(wanted.match)], channels):
        return None
    same_name = await index.records(platform, [MatchSpec(wanted.name)], channels)
    where = f"{platform}, {_listed(channels or index.channels)}"
    if same_name:
        problem = f"no version of `{wanted.name}` fits `{redact(wanted.requirement.text)}`"
        return _at(wanted, f"{problem} ({where})", _versions(same_name))
    hint = await _elsewhere(wanted, request, platform, index)
    return _at(wanted, f"no channel has a package `{wanted.name}` ({where})", hint)


def _versions(records: Iterable[RepoDataRecord]) -> str:
    newest = {str(r.version): None for r in sorted(records, key=lambda r: r.version, reverse=True)}
    shown = list(newest)[:MAX_VERSIONS]
    more = f" and {len(newest) - len(shown)} older" if len(newest) > len(shown) else ""
    return f"there is {', '.join(shown)}{more}"


async def _elsewhere(wanted: Wanted, request: Request, platform: str, index: Index) -> str:
    """A name that is near, another channel that may be used, another platform."""
    names = await index.names(platform)
    if near := difflib.get_close_matches(wanted.name, sorted(names), n=3, cutoff=0.75):
        return f"did you mean {_or(near)}?"
    others = [c for c in request.allowed if c.rstrip("/") not in index.channels]
    for channel in others:
        if await _has(index, platform, wanted.name, channel):
            return f"the channel `{redact(channel)}` has it: add it to `channels:`"
    for other in request.platforms:
        if other != platform and wanted.name in await index.names(other):
            return f"there is one for {other}: keep the line for it with `# [{_selector(other)}]`"
    return "check the name; a package that only PyPI has belongs into the `pip:` list"


async def _has(index: Index, platform: str, name: str, channel: str) -> bool:
    try:
        return bool(await index.records(platform, [MatchSpec(name)], [channel]))
    except GatewayError:
        # a hint is not worth a second failure
        return False


def _selector(platform: str) -> str:
    system, _, machine = platform.partition("-")
    return {"64": f"{system}64"}.get(machine, machine)


# ---------------------------------------------------------------- what dependencies need


def _lacking(
    name: str, condition: str, text: str, platform: str, index: Index, wanted: Sequence[Wanted]
) -> SolveError:
    root = _roots(text, wanted)
    who = f"`{root[0].name}`" if root else "a package"
    need = f"{name} {condition}".strip()
    if name.startswith("__"):
        problem = f"{who} needs `{need}`, which {_machine(name, platform)} ({platform})"
        hint = f"if it will have it, set `virtual_packages: [{name}=…]`, or `CONDA_OVERRIDE_"
        hint += f"{name.strip('_').upper()}` in `variables:`"
        return _error(problem, hint, root)
    problem = f"{who} needs `{need}`, which no channel has ({platform}, {_listed(index.channels)})"
    return _error(problem, "add the channel that has it to `channels:`", root)


def _machine(name: str, platform: str) -> str:
    what = SYSTEM.get(name, f"`{name}`")
    if not is_host(platform):
        return "is not taken for granted on other platforms"
    return f"this machine does not have: no {what}, or not in this version"


def _conflict(text: str, platform: str, index: Index, wanted: Sequence[Wanted]) -> SolveError:
    root = _roots(text, wanted)
    lines = [_shown(line, wanted) for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("The following packages")]
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"… and {len(lines) - MAX_LINES} lines, which the log has"]
    head = f"these packages cannot be together ({platform}, {_listed(index.channels)})"
    return _error("\n".join([head, *lines]), "relax one of their versions", root)


def _shown(line: str, wanted: Sequence[Wanted]) -> str:
    """A line of the tree; a dependency of the file with its line number."""
    root = _root(line, wanted)
    if root and root.requirement.line:
        line = line.replace(root.name, f"{root.name} ({_place(root.requirement)})", 1)
    line = line.replace(" * ", " ")
    return line if len(line) <= MAX_WIDTH else line[: MAX_WIDTH - 1] + "…"


def _roots(text: str, wanted: Sequence[Wanted]) -> list[Wanted]:
    """The dependencies of the file at fault, the worst first: one that cannot be installed at all
    before one that could be but for the others."""
    first, *branches = text.splitlines()
    branches.sort(key=lambda line: "cannot be installed" not in line)
    found = [_root(line, wanted) for line in (f"└─ {first}", *branches)]
    return [w for w in dict.fromkeys(found) if w]


def _root(line: str, wanted: Sequence[Wanted]) -> Wanted | None:
    """The dependency of the file that a branch of the tree starts with; of two for one package
    the one with this version."""
    found = BRANCH.match(line)
    same_name = [w for w in wanted if found and w.name == found[1]]
    exact = [w for w in same_name if line[3:].startswith(str(MatchSpec(w.match)))]
    return next(iter(exact or same_name), None)


# ---------------------------------------------------------------- words


def _at(wanted: Wanted, problem: str, hint: str) -> SolveError:
    return _error(problem, hint, [wanted])


def _error(problem: str, hint: str, root: Sequence[Wanted]) -> SolveError:
    place = root[0].requirement if root else None
    line, column, path = (place.line, place.column, place.path) if place else (0, 0, "")
    return SolveError(problem, hint=hint, line=line, column=column, path=path)


def _place(requirement: Requirement) -> str:
    """`line 4`, or `base.yml:4` where the spec is made of several files."""
    line = requirement.line
    return f"{requirement.path}:{line}" if requirement.path else f"line {line}"


def _listed(channels: Iterable[str]) -> str:
    return ", ".join(redact(c) for c in channels)


def _or(words: Sequence[str]) -> str:
    return " or ".join(f"`{w}`" for w in words)
