"""Whether a commit, or the tag that names it, is signed by somebody who may."""

from __future__ import annotations

import hashlib
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

from envwatch.errors import SourceError, SourceStalled
from envwatch.git.credentials import written
from envwatch.git.refs import TAGS, Tip
from envwatch.git.run import GitFailed, last_word
from envwatch.settings import Verify

TIMEOUT = 30.0  # seconds for the import of a keyring

# Runs git in the mirror and returns what it said. Raises GitFailed.
Say = Callable[..., str]

_SSH = re.compile(r'Good "git" signature for (?P<who>\S+) with (?P<key>\S+ key \S+)')
_GPG = re.compile(r"^\[GNUPG:\] GOODSIG (?P<key>[0-9A-F]+) (?P<who>.+)$", re.MULTILINE)
_SHOWN = 200


def signer(tip: Tip, verify: Verify, say: Say, folder: Path) -> str:
    """Who signed, as `ada@example.org (ED25519 key SHA256:…)`; empty where nobody need.

    An annotated tag counts as well as its commit. Raises SourceStalled where neither is signed.
    """
    if not verify.scheme:
        return ""
    _keys(verify)
    options = _options(verify, folder)
    tagged = tip.target != tip.revision
    found = _ask(say, options, "verify-tag", tip.target) if tagged else ""
    found = found or _ask(say, options, "verify-commit", tip.revision)
    if not found:
        tag = f"neither tag `{tip.ref.removeprefix(TAGS)}` nor its " if tagged else ""
        no = "" if tagged else "not "
        raise SourceStalled(
            f"{tag}commit `{tip.revision[:12]}` is {no}signed by anybody who may sign",
            hint=f"sign it, or add who signed it to `{verify.signers}`",
        )
    return found


def _ask(say: Say, options: tuple[str, ...], command: str, oid: str) -> str:
    try:
        said = say(*options, command, "--raw", oid)
    except GitFailed as e:
        if "no user exists for uid" in e.text.lower():
            raise SourceStalled(
                "ssh-keygen does not know the user that runs envwatch, and checks no signature",
                hint="give its uid a name in /etc/passwd",
            ) from e
        return ""
    found = _SSH.search(said) or _GPG.search(said)
    text = f"{found['who']} ({found['key']})" if found else ""
    return "".join(c for c in text if c.isprintable())[:_SHOWN]


def _options(verify: Verify, folder: Path) -> tuple[str, ...]:
    if verify.scheme == "ssh":
        return ("-c", f"gpg.ssh.allowedSignersFile={verify.signers}")
    return ("-c", f"gpg.program={_gpg(_keys(verify), folder)}")


def _gpg(keys: bytes, folder: Path) -> Path:
    """A gpg that knows these keys alone, whatever the service user has in a keyring."""
    home = folder / f"gpg-{hashlib.sha256(keys).hexdigest()[:12]}"
    program = home / "gpg"
    if not program.is_file():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = ("gpg", "--homedir", str(home), "--batch", "--no-autostart", "--no-options")
        # a keyring file as it is: an import would ask an agent, whose socket has a short path
        ring = home / "keys.gpg"
        written(ring, _dearmored(command, keys))
        ours = ("--no-default-keyring", "--keyring", str(ring), "--trust-model", "always")
        script = f'#!/bin/sh\nexec {shlex.join((*command, *ours))} "$@"\n'
        # the program comes last: a home that is half made is made again
        written(program, script.encode(), mode=0o700)
    return program


def _dearmored(command: tuple[str, ...], keys: bytes) -> bytes:
    """Public keys as a keyring holds them; those that are so already stay as they are."""
    try:
        done = subprocess.run(
            (*command, "--dearmor"), input=keys, capture_output=True, timeout=TIMEOUT, check=False
        )
    except FileNotFoundError:
        raise SourceStalled("there is no gpg on this machine", hint="install gnupg") from None
    except subprocess.TimeoutExpired as e:
        raise SourceError(f"gpg did not end within {TIMEOUT:.0f} s") from e
    if done.returncode or not done.stdout:
        said = last_word(done.stderr.decode(errors="replace"))
        raise SourceStalled(
            f"the file of `signers` holds no public keys: {said}",
            hint="write it by `gpg --armor --export NAME…`",
        )
    return done.stdout


def _keys(verify: Verify) -> bytes:
    try:
        return verify.signers.read_bytes() if verify.signers else b""
    except OSError as e:
        raise SourceStalled(
            f"the file of `signers` cannot be read: `{verify.signers}`: {e.strerror}",
            hint="let the user that runs envwatch read it",
        ) from e
