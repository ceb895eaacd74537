"""What people paste once so that their programs find what is published, and what they type then."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from envwatch.model import EnvKey
from envwatch.settings import LOOPBACK

OWN_FOLDER = "~/.conda/envs"


@dataclass(frozen=True, slots=True)
class Spaces:
    """Where namespaces lie, for programs that look for environments and kernels."""

    root: Path
    names: tuple[str, ...]

    @property
    def condarc(self) -> str:
        """For ~/.condarc. What people make themselves goes on into the first folder.

        Without `env_prompt` conda puts the whole path before the prompt of the shell.
        """
        folders = [OWN_FOLDER, *(str(self.root / "envs" / n) for n in self.names)]
        said = {"envs_dirs": folders, "env_prompt": "({name}) "}
        return _yaml(said)

    @property
    def jupyter_path(self) -> str:
        return os.pathsep.join(str(self.root / "jupyter" / n) for n in self.names)

    @property
    def jupyter(self) -> str:
        """For a shell's profile."""
        path = shlex.quote(self.jupyter_path)
        return f"export JUPYTER_PATH={path}${{JUPYTER_PATH:+:$JUPYTER_PATH}}"

    @property
    def hub(self) -> str:
        """For jupyterhub_config.py: the servers of all people see these kernels."""
        # Python reads it as JSON does, and people write it with these quotes
        said = json.dumps({"JUPYTER_PATH": self.jupyter_path}, ensure_ascii=False)
        return f"c.Spawner.environment.update({said})"


@dataclass(frozen=True, slots=True)
class Lines:
    """What people type to use one environment; they are for a POSIX shell."""

    root: Path
    key: EnvKey

    @property
    def link(self) -> str:
        return shlex.quote(str(self.root / "envs" / self.key.namespace / self.key.label))

    @property
    def python(self) -> str:
        """Its interpreter; all else of it is beside that."""
        return f"{self.link}/bin/python"

    @property
    def shell(self) -> str:
        """A shell in which it is active, without any conda."""
        launch = shlex.quote(str(self.root / "jupyter" / "launch"))
        return f"{launch} {self.link} bash"

    @property
    def hook(self) -> str:
        """The same in the shell that is open, with the program envwatch."""
        root = shlex.quote(str(self.root))
        return f'eval "$(envwatch --root {root} env shell-hook {self.key})"'

    @property
    def conda(self) -> str:
        return f"conda activate {self.key.label}"

    @property
    def micromamba(self) -> str:
        """By its path, which needs nothing that was pasted before; conda and mamba take it too."""
        return f"micromamba activate {self.link}"

    @property
    def user_site(self) -> str:
        """Shows what `pip install --user` has left."""
        return f'site=$({self.python} -m site --user-site)\nls "$site"'

    @property
    def user_site_aside(self) -> str:
        """After `user_site`."""
        return 'mv "$site" "$site.off"'

    @property
    def venv(self) -> str:
        """A folder on top of it into which pip may install."""
        return f"{self.python} -m venv --system-site-packages ~/{self.key.label}-mine"


NO_USER_SITE = "export PYTHONNOUSERSITE=1"


def texts(spaces: Spaces, lines: Lines | None, *, python: bool) -> dict[str, str]:
    """Each text by its name: of namespaces and of an environment, where there are such.

    `python` says whether the environment has one.
    """
    found = {"no_user_site": NO_USER_SITE}
    if spaces.names:
        found |= {"condarc": spaces.condarc, "jupyter": spaces.jupyter, "hub": spaces.hub}
    if lines is not None:
        found |= {"shell": lines.shell, "hook": lines.hook}
        found |= {"conda": lines.conda, "micromamba": lines.micromamba}
    if lines is not None and python:
        found |= {"python": lines.python, "user_site": lines.user_site}
        found |= {"user_site_aside": lines.user_site_aside, "venv": lines.venv}
    return found


def clones(address: str, namespaces: Iterable[str]) -> str:
    """How people get the repositories that are kept here."""
    return "\n".join(f"git clone {shlex.quote(f'{address}/git/{n}.git')}" for n in namespaces)


def elsewhere(address: str, key: EnvKey, *, python: bool) -> dict[str, str]:
    """How people with the program envwatch get the same environment on their own machine.

    Over http a token can be read on the way: that must be said.
    """
    parts, url = urlsplit(address), shlex.quote(address)
    open_way = parts.scheme == "http" and parts.hostname not in LOOPBACK
    use = f"envwatch env run {key} -- python" if python else f"envwatch env path {key}"
    pull = f"export ENVWATCH_URL={url}\nenvwatch env pull {key}\n{use}"
    return {"login": f"envwatch login {'--insecure-http ' * open_way}{url}", "pull": pull}


def download(url: str, *, public: bool) -> str:
    """How a program gets a file; with a token in a variable where it is not for everybody."""
    token = "" if public else '-H "Authorization: Bearer $ENVWATCH_TOKEN" '
    return f"curl -fsSO {token}{shlex.quote(url)}"


def _yaml(said: Mapping[str, object]) -> str:
    dumped: str = yaml.dump(said, Dumper=_Indented, sort_keys=False, allow_unicode=True, width=4096)
    return dumped


class _Indented(yaml.SafeDumper):
    """Lists stand below their key, as people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002  # as PyYAML calls it
        super().increase_indent(flow, indentless=False)
