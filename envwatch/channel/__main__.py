"""Make a channel in a process of its own: `python -m envwatch.channel DIR`.

The daemon and the tests start it as a child, because the library that indexes leaves threads
behind that must not outlive it.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from envwatch.channel import demo_distributions, make, make_second
from envwatch.errors import EnvwatchError


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        _make(options)
    except EnvwatchError as e:
        logging.getLogger(__name__).error("%s", e)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m envwatch.channel", description=__doc__)
    add = parser.add_argument
    add("channel", type=Path, help="the folder to fill")
    add("--dist", action="append", default=[], metavar="NAME", help="an installed distribution")
    add("--demo", action="store_true", help="the distributions of the demo, if installed")
    add("--fixtures", action="store_true", help="the small packages of the tests")
    add("--no-python", action="store_true", help="only what else is asked for; indexes again")
    add("--second", action="store_true", help="only what a second channel has for the tests")
    return parser


def _make(options: argparse.Namespace) -> None:
    if options.second:
        make_second(options.channel)
        return
    distributions = [*options.dist, *(demo_distributions() if options.demo else ())]
    python = not options.no_python
    make(options.channel, distributions=distributions, fixtures=options.fixtures, python=python)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: the library's threads can crash the interpreter while it shuts down.
    os._exit(code)
