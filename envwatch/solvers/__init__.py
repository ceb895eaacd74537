"""Solvers choose the packages of an environment: `Request` → `Lock`."""

from __future__ import annotations

from envwatch.errors import ConfigError
from envwatch.solvers.conda_lock import CondaLockSolver
from envwatch.solvers.rattler import RattlerSolver
from envwatch.solvers.request import Request, Solver

__all__ = ["Request", "Solver", "open_solver"]


def open_solver(name: str) -> Solver:
    """The solver that `solver:` in the config names."""
    solvers: dict[str, Solver] = {"rattler": RattlerSolver(), "conda-lock": CondaLockSolver()}
    if name not in solvers:
        raise ConfigError(f"unknown solver `{name}`", hint=f"known are {', '.join(solvers)}")
    return solvers[name]
