"""The files of a test image: programs of this machine with the libraries they need, and its Python."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["packed"]

_LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "__pycache__", "site-packages"}
_USERS = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"
_GROUPS = "root:x:0:\nnogroup:x:65534:\n"
_FOLDERS = ("proc", "sys", "dev", "tmp", "root", "etc", "run", "home", "usr/bin", "usr/lib", "usr/lib64")
_ALIASES = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64"}


def packed(path: Path, programs: Iterable[str], *, python: bool) -> Path:
    """Write the archive of an image.

    Parameters
    ----------
    path : Path
        Where.
    programs : iterable of str
        Names on this machine's PATH; one that is not there is left out.
    python : bool
        Whether Debian's Python goes with its standard library.
    """
    found = [Path("/usr/bin", name) for name in programs]
    files = [file for file in found if file.exists() and (python or not file.name.startswith("python"))]
    extra = list(_standard_library()) if python else []
    with tarfile.open(path, "w") as archive:
        for folder in _FOLDERS:
            _add_folder(archive, folder)
        for alias, target in _ALIASES.items():
            _add_link(archive, alias, target)
        for name, text in (("passwd", _USERS), ("group", _GROUPS)):
            _add_text(archive, path.with_name(name), f"etc/{name}", text)
        for file in files:
            archive.add(file.resolve(), _inside(file))
        for library in _libraries([*files, *(file for file in extra if file.suffix == ".so")]):
            archive.add(library.resolve(), _inside(library))
        for file in extra:
            archive.add(file, _inside(file))
    return path


def _standard_library() -> Iterator[Path]:
    command = ["/usr/bin/python3", "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]
    root = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _LEFT_OUT and not name.startswith("config-")]
        yield from (Path(folder, name) for name in names)


def _libraries(files: Iterable[Path]) -> list[Path]:
    """What the dynamic linker names, and the parts of libc that are loaded when they are needed."""
    linked = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True).stdout
    found = set(re.findall(r"(?:=> )?(/\S+) \(0x", linked))
    libc = next((Path(name).resolve().parent for name in found if "/libc.so" in name), None)
    parts = libc.glob("libnss_*.so*") if libc is not None else ()
    return sorted({Path(name) for name in found} | set(parts))


def _inside(path: Path) -> str:
    text = str(path).lstrip("/")
    return text if text.startswith("usr/") else f"usr/{text}"


def _add_folder(archive: tarfile.TarFile, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
    archive.addfile(entry)


def _add_link(archive: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    archive.addfile(entry)


def _add_text(archive: tarfile.TarFile, scratch: Path, name: str, text: str) -> None:
    scratch.write_text(text)
    archive.add(scratch, name)
    scratch.unlink()
