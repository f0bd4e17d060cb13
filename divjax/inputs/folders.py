"""Folders for results: made where they are missing, and nothing in them is overwritten."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]+:[/\\]"
)  # s3://bucket, of which a path leaves one slash; a drive has one letter


def check_no_file(path: Path) -> None:
    """ValueError where --out is a file, or an address."""
    if ADDRESS.match(str(path)):
        raise ValueError(
            f"Expected --out to be a folder of this machine; got {str(path)!r}, an address. Name a folder, and copy it."
        )
    if path.exists() and not path.is_dir():
        raise ValueError(f"Expected --out to be a folder; got {str(path)!r}, which is a file. Name another.")


def make(path: Path, expected: str) -> None:
    """The folder with all above it, unless it is there; ValueError where it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"Expected {expected} that can be made; got {str(path)!r}: {error.strerror}. Name another."
        ) from None


def folder(path: Path, store: str = "", drawn: tuple[str, ...] = ()) -> None:
    """Made if it is not there. Figures that lie in it without the store they are drawn from, if any, are not ours."""
    check_no_file(path)
    make(path, "--out to be a folder")
    ours = store and (path / store).exists()
    if not ours and (taken := [name for name in drawn if (path / name).exists()]):
        without = f", which has no {store}" if store else ""
        raise ValueError(f"Expected no {', '.join(taken)} in {path}{without}; it is there already. Name another --out.")


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Where a file is written before it takes its name, whole; with the same suffix, and gone in the end."""
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def write_new(path: Path, text: str, option: str) -> None:
    """The whole file or none, beside which another writer's is not overwritten: ValueError where there is one."""
    with aside(path) as draft:
        draft.write_text(text, encoding="utf-8")
        try:
            os.link(draft, path)
        except FileExistsError:
            raise ValueError(
                f"Expected {option} to be a new file; got {str(path)!r}, which appeared meanwhile. Name another."
            ) from None


def drawn_new(draw: Callable[[Path], None], path: Path) -> None:
    """A picture, whole; ValueError where another one lies there. The same one may."""
    with aside(path) as draft:
        draw(draft)
        if path.exists() and path.read_bytes() != draft.read_bytes():
            raise ValueError(
                f"Expected no other {path.name} in {path.parent}; it is there already. Name another --out."
            )
        os.replace(draft, path)


def file_name(text: str) -> str:
    """Letters, digits, - and _ stay; the rest becomes _."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in text)


def told(started: float, out: Path, *written: str) -> str:
    """The last line of a command: how long it took, from ``time.perf_counter()``, and what it wrote."""
    return f"{time.perf_counter() - started:.0f} s. In {out}: {', '.join(written)}."
