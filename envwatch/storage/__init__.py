"""Where artifacts are: files under keys, apart from the prefixes they tell of."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Protocol

from envwatch.storage.filesystem import open_storage

__all__ = ["Storage", "open_storage"]


class Storage(Protocol):
    """Files under keys `namespace/name/generation/filename`; a key is written once and read often.

    A key that does not exist, or could never exist, is `NotFound`; all else is `StorageError`.
    """

    def put(self, key: str, path: Path) -> None:
        """Keep the file at `path` under `key`: whole or not at all, and safe on the disk."""

    def open(self, key: str) -> BinaryIO: ...

    def path(self, key: str) -> Path | None:
        """The file itself, where this storage has files on this machine."""

    def size(self, key: str) -> int: ...

    def delete(self, key: str) -> None:
        """Forget `key`; it is no error if it is gone already."""

    def list(self, prefix: str = "") -> tuple[str, ...]:
        """All keys that start with `prefix`, in order."""

    def exists(self, key: str) -> bool: ...
