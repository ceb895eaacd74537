"""Virtual packages: what the machine that an environment is for has of its own."""

from __future__ import annotations

from dataclasses import dataclass

from rattler import Subdir, Version, VirtualPackage
from rattler.exceptions import InvalidVersionError

from envwatch import spec as specs
from envwatch.errors import SolveError
from envwatch.lockfile.content import assumed_virtual_packages
from envwatch.solvers.request import Request


@dataclass(frozen=True, slots=True)
class Virtual:
    """`__cuda`, `12.4`, `0`."""

    name: str
    version: str
    build: str


def virtual_packages(request: Request, platform: str) -> tuple[Virtual, ...]:
    """This machine's for its own platform, conda-lock's assumptions for the others; over these
    go the overrides of the config, then those of an `envwatch.yml`, and over all the
    `CONDA_OVERRIDE_…` variables of the spec.

    An override without a version takes the virtual package away.
    """
    known = {v.name: v for v in _given(platform)}
    for name, text in (*_configured(request), *specs.virtual_overrides(request.spec, platform)):
        known.pop(name, None)
        if text:
            known[name] = _override(name, text)
    return tuple(known.values())


def is_host(platform: str) -> bool:
    return platform == str(Subdir.current())


def _given(platform: str) -> list[Virtual]:
    if is_host(platform):
        detected = (found.into_generic() for found in VirtualPackage.detect())
        return [Virtual(v.name.normalized, str(v.version), str(v.build_string)) for v in detected]
    assumed = [Virtual(*entry) for entry in assumed_virtual_packages(platform)]
    return sorted(assumed, key=lambda v: Version(v.version))


def _configured(request: Request) -> list[tuple[str, str]]:
    pairs = (entry.partition("=") for entry in request.options.virtual_packages)
    return [(name.strip().lower(), text.strip()) for name, _, text in pairs]


def _override(name: str, text: str) -> Virtual:
    """`12.4`, `1=x86_64`; the value of `__archspec` is its build, as for conda."""
    version, _, build = text.partition("=")
    if name == "__archspec" and not build:
        version, build = "1", version
    try:
        Version(version)
    except InvalidVersionError as e:
        problem = f"`{text}` is not a version of the virtual package `{name}`"
        raise SolveError(problem, hint="for example `__cuda=12.4`") from e
    return Virtual(name, version, build or "0")
