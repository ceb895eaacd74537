"""A package index on this machine, for the `pip:` section of environments."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Index:
    """A package index of the test: `wheel` and `sdist` add to it. `asked` are the paths so far."""

    folder: Path
    url: str = ""

    def __post_init__(self) -> None:
        self.asked: list[str] = []

    def wheel(
        self,
        name: str,
        version: str = "1.0",
        *,
        files: Sequence[tuple[str, str]] = (),
        requires: Sequence[str] = (),
        scripts: Sequence[str] = (),
        tag: str = "py3-none-any",
    ) -> Path:
        stem = f"{name.replace('-', '_')}-{version}"
        info = f"{stem}.dist-info"
        head = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
        content = {
            **dict(files or [(f"{name.replace('-', '_')}.py", "x = 1\n")]),
            f"{info}/METADATA": "\n".join([*head, *(f"Requires-Dist: {r}" for r in requires), ""]),
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
            f"{info}/entry_points.txt": "\n".join(["[console_scripts]", *scripts, ""]),
        }
        rows = [
            f"{path},sha256={_urlsafe(hashlib.sha256(text.encode()).digest())},{len(text)}"
            for path, text in content.items()
        ]
        archive = self._folder(name) / f"{stem}-{tag}.whl"
        with zipfile.ZipFile(archive, "w") as wheel:
            for path, text in content.items():
                wheel.writestr(path, text)
            wheel.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,", ""]))
        self._write(name)
        return archive

    def sdist(self, name: str, version: str = "1.0") -> Path:
        archive = self._folder(name) / f"{name}-{version}.tar.gz"
        meta = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
        with tarfile.open(archive, "w:gz") as file:
            member = tarfile.TarInfo(f"{name}-{version}/PKG-INFO")
            member.size = len(meta)
            file.addfile(member, io.BytesIO(meta))
        self._write(name)
        return archive

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def _write(self, name: str) -> None:
        lines = [
            f'<a href="{p.name}#sha256={hashlib.sha256(p.read_bytes()).hexdigest()}">{p.name}</a>'
            for p in sorted((self.folder / name).iterdir())
            if p.name != "index.html"
        ]
        (self.folder / name / "index.html").write_text("\n".join(lines))


def _urlsafe(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, index: Index, *arguments: object) -> None:
        self.index = index
        super().__init__(*arguments, directory=str(index.folder))  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        self.index.asked.append(self.path)


@contextmanager
def serve_index(folder: Path) -> Iterator[Index]:
    folder.mkdir()
    index = Index(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, index))
    index.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
