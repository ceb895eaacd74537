"""The command line as on another machine: an address, a token, folders of its own."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from running import Forked, Running, cli, text

from envwatch.model import EnvKey


@dataclass
class Far:
    """Runs commands against a daemon. `home` is what this machine keeps, `name` the token's."""

    running: Running
    home: Path
    token: str = ""
    name: str = ""
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.running.port}"

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "ENVWATCH_URL": self.url,
            "ENVWATCH_TOKEN": self.token,
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_DATA_HOME": str(self.home / "data"),
            "TMPDIR": str(self.home),
        }
        return {k: v for k, v in (own | self.variables).items() if v}

    def __call__(self, *arguments: object, check: int = 0) -> subprocess.CompletedProcess[str]:
        out, err = (self.home / f"command.{name}" for name in ("out", "err"))
        for file in (out, err):
            file.write_text("")
        with mock.patch.dict(os.environ, self.environment):
            process = Forked("envwatch", *arguments, out=out, err=err)
        try:
            code = process.wait(180)
        finally:
            process.kill()
        done = subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())
        assert code == check, f"{arguments}: {code}\n{done.stdout}{done.stderr}"
        return done

    def json(self, *arguments: object) -> Any:
        return json.loads(self(*arguments, "--json").stdout)

    def file(self, content: str, name: str = "new.yml") -> Path:
        path = self.home / name
        path.write_text(content)
        return path


def token(running: Running, name: str, *options: str) -> str:
    return cli(running, "token", "create", name, *options).stdout.strip()


def made(far: Far, name: str, *dependencies: str, extra: str = "") -> EnvKey:
    """An environment that is live there."""
    content = text(*(dependencies or ("tiny=1.0",)), name=name, extra=extra)
    far("env", "create", far.file(content), "--wait")
    return EnvKey("people", name)
