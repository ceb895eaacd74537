"""A lock becomes a prefix: conda packages by rattler, pip packages by uv, byte code, checks."""

from __future__ import annotations

from envwatch.install.conda import install_conda
from envwatch.install.finish import Facts, facts, kernels
from envwatch.install.helper import Helper, ahead
from envwatch.install.pip import install_pip, resolve_pip
from envwatch.install.verify import conclude, faults, verify

__all__ = [
    "Facts",
    "Helper",
    "ahead",
    "conclude",
    "facts",
    "faults",
    "install_conda",
    "install_pip",
    "kernels",
    "resolve_pip",
    "verify",
]
