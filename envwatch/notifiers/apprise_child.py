"""The child of the notifier `apprise`: `python -m envwatch.notifiers.apprise_child FILE`.

FILE holds one address of apprise per line; title and text come as JSON on standard input. Exits
with 0 where every address was told, 1 to try again, 3 where a person must look.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import apprise
import certifi

from envwatch.errors import NotifyStalled
from envwatch.notifiers.files import read_lines
from envwatch.redact import redact

TYPES = {
    "broken": apprise.NotifyType.FAILURE,
    "stalled": apprise.NotifyType.WARNING,
    "fixed": apprise.NotifyType.SUCCESS,
    "published": apprise.NotifyType.SUCCESS,
}


def main(path: Path) -> int:
    told = json.load(sys.stdin)
    try:
        lines = read_lines(path)
    except NotifyStalled as e:
        print(e)  # noqa: T201  # what it says goes to the daemon
        return 3
    addresses = apprise.Apprise()
    for number, line in enumerate(lines, 1):
        if not addresses.add(line):
            print(f"address {number} of `{path}` is none that it knows")  # noqa: T201  # as above
            return 3
    with (
        TemporaryDirectory() as folder,
        apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as output,  # type: ignore[no-untyped-call]  # it has none
    ):
        _trust(Path(folder, "bundle.pem"))
        kind = TYPES.get(told["kind"], apprise.NotifyType.INFO)
        ok = addresses.notify(body=told["text"], title=told["title"], notify_type=kind)
        said = output.getvalue()
    if not ok:
        for line in lines:
            said = said.replace(line, "***")
        print(redact(said.strip()) or "not every address could be told")  # noqa: T201  # as above
    return 0 if ok else 1


def _trust(bundle: Path) -> None:
    """The certificates of the config besides the usual ones; requests takes one file."""
    more = os.environ.get("ENVWATCH_CA_FILE")
    if more:
        bundle.write_text(certifi.contents() + "\n" + Path(more).read_text())
        os.environ["REQUESTS_CA_BUNDLE"] = str(bundle)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
