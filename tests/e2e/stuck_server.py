"""Serves a managed source, and stops at one point of a push until it is killed.

usage: stuck_server.py ROOT POINT    where POINT is `before` or `after` the refs have moved
"""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path

from managed_helpers import served, settings_for

import envwatch.daemon.parts as made


def stuck(*_: object) -> None:
    Path(sys.argv[1]).with_name("stuck").touch()
    threading.Event().wait()


def main() -> None:
    root, point = Path(sys.argv[1]), sys.argv[2]
    door = made.open_door

    def opened(*args: object) -> object:
        editor, pushes = door(*args)  # type: ignore[arg-type]
        part = {"judge": stuck} if point == "before" else {"mark": stuck}
        return editor, replace(pushes, **part)

    made.open_door = opened  # type: ignore[assignment]
    with served(settings_for(root)) as lab:
        root.with_name("address").write_text(lab.url(lab.token()))
        root.with_name("ready").touch()
        threading.Event().wait()


if __name__ == "__main__":
    main()
