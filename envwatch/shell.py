"""POSIX shell text: variables to export, lines that activate, the launcher of kernels."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from envwatch.errors import SpecError

VARIABLES_FILE = "etc/envwatch/variables.sh"
"""Where a prefix keeps the script of `variables_script`, relative to the prefix."""

PREFIX_MARK = "@prefix@"
"""In an argument for the launcher: the prefix that the link leads to when the program starts."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# What conda does on activation, in its order: the variables first, so that the scripts see them.
# All names start with `envwatch_`, for the scripts run in this very shell.
_ENTER = f"""\
export CONDA_PREFIX="$envwatch_prefix" CONDA_DEFAULT_ENV="$envwatch_name"
export PATH="$envwatch_prefix/bin:$PATH" PYTHONNOUSERSITE=1
if [ -r "$envwatch_prefix/{VARIABLES_FILE}" ]; then
    . "$envwatch_prefix/{VARIABLES_FILE}"
fi
for envwatch_script in "$envwatch_prefix"/etc/conda/activate.d/*.sh; do
    if [ -r "$envwatch_script" ]; then . "$envwatch_script"; fi
done
"""

_LAUNCH = """\
#!/bin/sh
# Starts a program of a published environment: launch LINK PROGRAM [ARGUMENT...]
# The link is resolved first, so that a running program keeps its files when the link is switched.
# Scripts in activate.d are often written for bash, and some of them end a plain sh.
if [ -z "${BASH_VERSION:-}" ] && envwatch_bash=$(command -v bash); then
    exec "$envwatch_bash" -- "$0" "$@"
fi
if [ "$#" -lt 2 ]; then
    echo 'usage: launch LINK PROGRAM [ARGUMENT...]' >&2
    exit 2
fi
envwatch_name=${1##*/}
envwatch_prefix=$(cd -- "$1" && pwd -P) || exit 127
shift
"""

_EXECUTE = f"""\
for envwatch_rest do
    shift
    envwatch_argument=
    while case $envwatch_rest in *{PREFIX_MARK}*) ;; *) false ;; esac; do
        envwatch_argument=$envwatch_argument${{envwatch_rest%%{PREFIX_MARK}*}}$envwatch_prefix
        envwatch_rest=${{envwatch_rest#*{PREFIX_MARK}}}
    done
    set -- "$@" "$envwatch_argument$envwatch_rest"
done
exec "$@"
"""

# A function, for only there zsh can be told to take a pattern without a match as nothing.
_ACTIVATE = """\
_envwatch_activate() {{
if [ -n "${{ZSH_VERSION:-}}" ]; then setopt local_options null_glob; fi
envwatch_name={name}
envwatch_prefix=$(cd -- {link} && pwd -P) || return 1
{enter}\
unset envwatch_prefix envwatch_name envwatch_script
}}
_envwatch_activate
unset -f _envwatch_activate
"""


def variables_script(variables: tuple[tuple[str, str], ...]) -> str:
    """The `variables:` of a spec as a script to source; every value is literal text."""
    return "".join(f"export {_name(name)}={_value(name, value)}\n" for name, value in variables)


def unset_script(variables: tuple[tuple[str, str], ...]) -> str:
    """The opposite of `variables_script`, for deactivation."""
    return "".join(f"unset {_name(name)}\n" for name, _ in variables)


def activation_lines(link: Path) -> str:
    """Lines for `eval` that activate a published environment in sh, bash, dash, ksh or zsh."""
    return _ACTIVATE.format(name=shlex.quote(link.name), link=shlex.quote(str(link)), enter=_ENTER)


def launch_script() -> str:
    """The program that Jupyter starts for each kernel; it needs a POSIX shell and nothing else."""
    return _LAUNCH + _ENTER + _EXECUTE


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise SpecError(
            f"`variables`: `{name}` cannot be the name of a variable",
            hint="use letters, digits and _, and start with a letter or _",
        )
    return name


def _value(name: str, value: str) -> str:
    if "\0" in value:
        raise SpecError(f"`variables`: the value of `{name}` holds a NUL character")
    return shlex.quote(value)
