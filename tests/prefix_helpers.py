"""Prefixes for tests, made by rattler alone: packages in a cache by their hash, linked from there.

rattler runs in a child: its threads do not outlive a test, and the tests may fork.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

MODULE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
SITE_PACKAGES = f"{MODULE}/site-packages"


def make_prefix(
    channel: Path, root: Path, name: str, *specs: str, variables: dict[str, str] | None = None
) -> Path:
    """A finished prefix at `<root>/builds/<name>`, its packages in `<root>/pkgs`."""
    command = (sys.executable, str(Path(__file__)), str(channel), str(root), name, *specs)
    subprocess.run(command, check=True, timeout=120)
    prefix = root / "builds" / name
    if variables:
        state = prefix / "conda-meta" / "state"
        state.write_text(json.dumps({"version": 1, "env_vars": variables}))
    return prefix


def install_wheel(prefix: Path, folder: Path, name: str, source: str) -> None:
    """Put a module with a console script of its name into a prefix, as `pip:` does."""
    info = f"{name}-1.0.dist-info"
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    files = {
        f"{name}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    uv = Path(sys.executable).with_name("uv")
    command = (str(uv), "pip", "install", "--offline", "--no-deps", "--no-config", "--quiet")
    environment = {"PATH": os.environ["PATH"], "UV_CACHE_DIR": str(folder / "uv")}
    target = (f"--python={prefix}/bin/python", "--link-mode=copy", str(wheel))
    subprocess.run((*command, *target), check=True, timeout=60, env=environment)


async def _install(channel: Path, root: Path, name: str, specs: list[str]) -> None:
    import rattler
    from rattler.package_streaming import extract

    client = rattler.Client.default_client()
    gateway = rattler.Gateway(cache_dir=str(root / "repodata"), client=client)
    records = await rattler.solve(
        [channel.as_uri()],
        specs,
        gateway=gateway,
        platforms=["linux-64", "noarch"],
        virtual_packages=rattler.VirtualPackage.detect(),
        channel_relations="disabled",
    )
    view = root / "view" / name
    view.mkdir(parents=True)
    for record in records:
        package = root / "pkgs" / record.sha256.hex()
        if not package.exists():
            extract(record.url.removeprefix("file://"), package)
            _make_read_only(package)
        link = view / f"{record.name.normalized}-{record.version}-{record.build}"
        link.symlink_to(package)
    cache = rattler.PackageCache.new_layered([view], False, rattler.ValidationMode.fast())
    prefix = root / "builds" / name
    await rattler.install(
        records, str(prefix), client=client, show_progress=False, package_cache=cache
    )
    _name_sources(prefix, root / "pkgs")


def _make_read_only(package: Path) -> None:
    for path in package.rglob("*"):
        if not path.is_symlink() and path.is_file():
            path.chmod(0o555 if path.stat().st_mode & 0o100 else 0o444)


def _name_sources(prefix: Path, pkgs: Path) -> None:
    for path in (prefix / "conda-meta").glob("*.json"):
        record = json.loads(path.read_text())
        record["link"]["source"] = str(pkgs / record["sha256"])
        record["extracted_package_dir"] = record["link"]["source"]
        path.write_text(json.dumps(record))
        path.chmod(0o444)


if __name__ == "__main__":
    _, channel, root, name, *specs = sys.argv
    (Path(root) / "pkgs").mkdir(parents=True, exist_ok=True)
    asyncio.run(_install(Path(channel), Path(root), name, specs))
    # rattler's threads may still run, and crash an interpreter that ends in good order
    os._exit(0)
