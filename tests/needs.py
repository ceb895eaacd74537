"""Skip a test where a program is missing; in CI, where all must be there, fail it."""

from __future__ import annotations

import os
import pwd
import shutil

import pytest


def need(program: str) -> str:
    """The path of the program."""
    found = shutil.which(program)
    if found is None:
        lack(f"the program `{program}` is not there")
    return found


def need_user() -> str:
    """The name of the user who tests: ssh and its programs do nothing for a uid without one."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        lack("this uid has no name, and ssh wants one")
        raise


def lack(reason: str) -> None:
    """End the test that cannot run here: skipped with the reason, or failed in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and CI must have it")
    pytest.skip(reason)
