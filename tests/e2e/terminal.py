"""A command on a real terminal, on which a test types."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field

from far import Far
from waiting import wait_for


@dataclass
class Terminal:
    """A command that runs on a real one; `shown` is what stands there."""

    far: Far
    arguments: tuple[str, ...]
    blocks: list[bytes] = field(default_factory=list)

    def __enter__(self) -> Terminal:
        self.outer, inner = pty.openpty()
        self.process = subprocess.Popen(
            (sys.executable, "-m", "envwatch", *self.arguments),
            stdin=inner, stdout=inner, stderr=inner, env=os.environ | self.far.environment,
        )  # fmt: skip
        os.close(inner)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join(30)
        os.close(self.outer)

    def _read(self) -> None:
        try:
            while block := os.read(self.outer, 4096):
                self.blocks.append(block)
        except OSError:
            return  # the other end is closed

    @property
    def shown(self) -> str:
        return b"".join(self.blocks).decode().replace("\r\n", "\n")

    def find(self, pattern: str) -> str:
        wait_for(lambda: re.search(pattern, self.shown), 60)
        found = re.search(pattern, self.shown)
        assert found
        return found[1]

    def type(self, text: str) -> None:
        os.write(self.outer, text.encode())

    def end(self, timeout: float = 60) -> int:
        """The status, once all that it showed was read."""
        code = self.process.wait(timeout)
        self.reader.join(30)
        return code
