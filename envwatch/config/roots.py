"""Which folders may be the root: envwatch deletes in it, and prefixes carry its path."""

from __future__ import annotations

import re
from pathlib import Path

from envwatch.config.words import Wrong, quoted

# a prefix is `<root>/builds/<id>-<digest8>`; conda packages have room for 255 bytes, and some
# have less
LONGEST_PREFIX = 200
LONGEST_ROOT = LONGEST_PREFIX - len("/builds/") - 10 - len("-") - 8

# folders that belong to the system, with all that is in them
SYSTEM = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr/bin",
    "/usr/lib",
    "/usr/sbin",
    "/usr/share",
)
# folders of many things: a folder in them is fine, they are not
SHARED = (
    "/",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/srv",
    "/tmp",  # noqa: S108 — refused, not used
    "/usr",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/lib",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/tmp",  # noqa: S108 — refused, not used
)
# prefixes are named in shebang lines, in PATH and in shell code of packages
ODD = re.compile(r"[\s:;\"'`$\\*?\[\]{}<>|&!#%()]")


def root_problem(root: Path) -> None:
    """Refuse a root, links already resolved, that would harm others or break packages."""
    hint = "choose a folder of its own: `/srv/envwatch`"
    system = next((s for s in SYSTEM if Path(s) in (root, *root.parents)), None)
    if system:
        raise Wrong(f"{quoted(str(root))} belongs to the system", hint)
    if str(root) in SHARED or root == Path.home() or root.parent == Path("/home"):
        raise Wrong(f"{quoted(str(root))} holds other things than environments", hint)
    if odd := ODD.search(str(root)):
        text = f"{quoted(str(root))} holds `{odd[0]}`, which breaks scripts in packages"
        raise Wrong(text, "choose a path of letters, digits, `.`, `_` and `-`")
    if len(bytes(root)) > LONGEST_ROOT:
        text = f"the path is {len(bytes(root))} bytes long, at most {LONGEST_ROOT} work"
        raise Wrong(text, "packages have little room for the path of a prefix: " + hint)
