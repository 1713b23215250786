"""Certificate directories as they change in real life: a kubelet's volume, and files overwritten in place."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # needs more than the standard library, which the demo does not ask for
    from .pki import Pair

version = itertools.count(1)


class Volume:
    """A Secret mounted as a volume: files are links through `..data`, which an update swaps (kubelet's AtomicWriter)."""

    def __init__(self, path: Path, files: dict[str, bytes]):
        self.path = path
        path.mkdir(parents=True)
        path.chmod(0o755)
        self.swap(files)

    def swap(self, files: dict[str, bytes]) -> None:
        """Everything at once, by one rename; names that are no longer there lose their link."""
        fresh = self.path / f"..2026_{next(version):06}"
        fresh.mkdir()
        fresh.chmod(0o755)
        for name, content in files.items():
            write(fresh / name, content)
        old = self.path / os.readlink(self.path / "..data") if (self.path / "..data").is_symlink() else None
        (self.path / "..data_tmp").symlink_to(fresh.name)
        os.rename(self.path / "..data_tmp", self.path / "..data")
        for name in files:
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(f"..data/{name}")
        for link in self.path.iterdir():
            if not link.name.startswith("..") and link.name not in files:
                link.unlink()
        if old:
            remove(old)


def pair_files(pair: Pair, **more: bytes) -> dict[str, bytes]:
    return {"tls.crt": pair.certificate_pem, "tls.key": pair.key_pem} | more


def write(path: Path, content: bytes) -> None:
    """In place, as `cp` does."""
    path.write_bytes(content)
    path.chmod(0o644)


def rename_over(path: Path, content: bytes) -> None:
    """Beside it first, then renamed, as careful programs do."""
    fresh = path.with_name(f".{path.name}.new")
    write(fresh, content)
    os.rename(fresh, path)


def remove(directory: Path) -> None:
    for entry in directory.iterdir():
        entry.unlink()
    directory.rmdir()
