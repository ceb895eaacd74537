"""How git is let in: keys, passwords and authorities, read from their files at each use.

No secret enters an address, an argument or a variable: git and ssh are told the names of files,
and ask for a password through a script that reads one.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import ssl
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from envwatch.errors import SourceStalled
from envwatch.settings import Credentials

_SSH = (
    "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oConnectTimeout=15 -oServerAliveInterval=15 "
    "-oServerAliveCountMax=2 -oControlMaster=no -oControlPath=none -oClearAllForwardings=yes "
    "-oPermitLocalCommand=no"
)
_LONGEST = 2**16

# Git asks `Username for 'https://…'` and `Password for 'https://…'`; the first line of the file
# answers. What is asked for another host than the one of the address cannot come: no redirects.
_ASK = """\
#!/bin/sh
case "$1" in
  Username*) printf '%s\\n' "$ENVWATCH_USER" ;;
  *) head -c 65536 -- "$ENVWATCH_PASSWORD_FILE" | head -n 1 ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Helpers:
    """The files that git needs to be let in; `folder` is where they are made."""

    folder: Path
    credentials: Credentials

    @property
    def ask(self) -> Path:
        return self.folder / "askpass"

    @property
    def authorities(self) -> Path:
        named = str(self.credentials.ca_file).encode()
        return self.folder / f"authorities-{hashlib.sha256(named).hexdigest()[:12]}.pem"

    def prepare(self) -> None:
        """Write what is not there or is not as it should be. Raises SourceStalled."""
        _readable(self.credentials)
        if self.credentials.password_file:
            written(self.ask, _ASK.encode(), mode=0o700)
        if self.credentials.ca_file:
            written(self.authorities, _all_authorities(self.credentials.ca_file))

    def variables(self) -> dict[str, str]:
        """What git is told; no value is a secret."""
        told = {"GIT_ASKPASS": "", "GIT_SSH_COMMAND": self._ssh(), "GIT_SSH_VARIANT": "ssh"}
        given = self.credentials
        if given.password_file:
            told["GIT_ASKPASS"] = str(self.ask.absolute())
            told["ENVWATCH_USER"] = given.user or "git"
            told["ENVWATCH_PASSWORD_FILE"] = str(given.password_file)
        if given.ca_file:
            told["GIT_SSL_CAINFO"] = str(self.authorities.absolute())
        if given.proxy:
            told |= dict.fromkeys(("https_proxy", "HTTPS_PROXY"), given.proxy)
        return told

    def _ssh(self) -> str:
        # the words of this command are read by a shell
        command = _SSH
        if self.credentials.ssh_key:
            key = shlex.quote(str(self.credentials.ssh_key))
            command += f" -oIdentitiesOnly=yes -oIdentityAgent=none -i {key}"
        if self.credentials.known_hosts:
            # ssh itself takes spaces for the end of a file's name, unless it is quoted
            known = shlex.quote(f'-oUserKnownHostsFile="{self.credentials.known_hosts}"')
            command += f" {known} -oGlobalKnownHostsFile=/dev/null"
        return command


def written(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """The file holds this content and is whole at any time."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_file() and path.read_bytes() == content:
        return
    with NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
    Path(file.name).replace(path)


def _readable(credentials: Credentials) -> None:
    """Git's own words for a file that is not there lead astray. Raises SourceStalled."""
    for key in ("ssh_key", "known_hosts", "password_file", "ca_file"):
        path: Path | None = getattr(credentials, key)
        if path is None:
            continue
        try:
            path.open("rb").close()
        except OSError as e:
            raise SourceStalled(
                f"the file of `{key}` cannot be read: `{path}`: {e.strerror}",
                hint="let the user that runs envwatch read it",
            ) from e
    if credentials.password_file and not _first_line(credentials.password_file):
        raise SourceStalled(
            f"the file of `password_file` is empty: `{credentials.password_file}`",
            hint="write the password or token into its first line",
        )


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline(_LONGEST).strip()


def _all_authorities(extra: Path) -> bytes:
    """Those of this machine and the extra ones: what git is given replaces the usual ones."""
    usual = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    found = Path(usual).read_bytes() if usual and Path(usual).is_file() else b""
    return found + b"\n" + extra.read_bytes()
