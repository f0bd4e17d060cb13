"""A sweep on disk: zarr v3, one run chunk to one zarr chunk, written before it is marked as done."""

import errno
import hashlib
import json
import os
import shutil
import uuid
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from divjax.sweeps.configuration import fingerprint
from divjax.sweeps.table import Sink, Table, absent, labels

LEDGER = "_sweep"  # a subgroup: plain xarray.open_zarr does not see it


class Found(NamedTuple):
    """A sweep that is already there."""

    chunk: tuple[int, ...]
    setting: dict[str, Any]
    programs: list[str]  # hashes of what ran
    jax: str
    platform: str


def peek(path: str | os.PathLike) -> Found | None:
    """What lies at ``path``: None if nothing does. Reads only.

    Raises:
        FileExistsError: something that no sweep has written.
    """
    path = Path(path)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    try:
        ledger = json.loads((path / LEDGER / "zarr.json").read_text())["attributes"]
        return Found(tuple(ledger.pop("chunk")), **ledger)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileExistsError(
            f"Expected {path} to be absent, empty or a sweep's store; got "
            f"{'a directory with other contents' if path.is_dir() else 'a file'}. Choose another path."
        ) from error


def in_store(
    path: str | os.PathLike, table: Table, found: Found | None, setting: dict[str, Any], programs: list[str]
) -> Sink:
    """A sink of zarr arrays: those found at ``path`` if they are of the same sweep, otherwise new ones.

    ``programs`` is the text of what will run: a changed loss or optimiser is another sweep, though every name
    and number that the configuration knows may be the same.

    Raises:
        FileExistsError: the store is of another sweep.
    """
    import xarray
    import zarr

    path = Path(path)
    hashes = [digest(text) for text in programs]
    mine = Found(table.chunk, setting, hashes, jax.__version__, jax.default_backend())
    if found is None:
        create(path, table, mine)
    else:
        check_same(path, found, mine)
    root = zarr.open_group(path, mode="r+", use_consolidated=False)
    arrays = {name: root[name] for name in table.variables}
    marks = root[f"{LEDGER}/done"]

    def write(iteration, block, region, values):
        for name, value in values.items():
            arrays[name][(iteration, *region)] = value
        marks[iteration, block] = True  # last: a mark promises that the data are there

    def finish():
        return xarray.open_zarr(path)[list(table.variables)]

    return Sink(marks[...], write, finish)


def check_same(path: Path, found: Found, mine: Found) -> None:
    """Refuses another sweep's store, and says in what it differs."""
    if fingerprint(found.setting) != fingerprint(mine.setting):
        where = differences(found.setting, mine.setting)
        raise FileExistsError(
            f"Expected {path} to hold this sweep (fingerprint {fingerprint(mine.setting)[:12]}); got another "
            f"({fingerprint(found.setting)[:12]}), different in {', '.join(where)}. Choose another path."
        )
    # None is a program whose text holds addresses of this process: nothing to compare.
    other = [
        name
        for name, theirs, ours in zip(mine.setting["iterations"], found.programs, mine.programs, strict=True)
        if None not in (theirs, ours) and theirs != ours
    ]
    if other:
        raise FileExistsError(
            f"Expected {path} to hold this sweep; got one whose programs differ for {', '.join(other)} "
            f"(jax {found.jax} on {found.platform}; now {mine.jax} on {mine.platform}). "
            "Read it with xarray.open_zarr, or choose another path."
        )


def differences(a: dict[str, Any], b: dict[str, Any], prefix: str = "") -> list[str]:
    """Where two configurations differ, by path."""
    paths = []
    for key in sorted(a.keys() | b.keys()):
        x, y = a.get(key), b.get(key)
        if isinstance(x, dict) and isinstance(y, dict) and "sha256" not in x:
            paths += differences(x, y, f"{prefix}{key}.")
        elif x != y:
            paths.append(f"{prefix}{key}")
    return paths


def create(path: Path, table: Table, mine: Found) -> None:
    """The store without values: built beside ``path`` and renamed, so that it is never there in part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.draft")
    try:
        write_skeleton(draft, table, mine)
        os.rename(draft, path)  # replaces an empty directory, and nothing else
    except OSError as error:
        if not draft.exists() or error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        raise FileExistsError(
            f"Expected {path} to be absent or empty; got something that came meanwhile. Choose another path."
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_skeleton(path: Path, table: Table, mine: Found) -> None:
    import xarray
    import zarr

    names = np.array(table.names, dtype=object)  # strings of any length: the kind that zarr v3 specifies
    coords = {**labels(table), table.dim: names}
    xarray.Dataset(coords=coords, attrs=table.attributes).to_zarr(path, mode="w-", zarr_format=3, consolidated=False)
    root = zarr.open_group(path, mode="r+")
    for name, variable in table.variables.items():
        root.create_array(
            name,
            shape=table.shape + variable.shape,
            chunks=(1, *table.chunk, *(max(length, 1) for length in variable.shape)),
            dtype=variable.dtype,
            fill_value=absent(variable.dtype),
            dimension_names=table.dims + variable.dims,
        )
    with warnings.catch_warnings():
        # Consolidated metadata are an extension of v3; without them plain open_zarr warns instead.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(path)
    ledger = root.create_group(LEDGER, attributes={**mine._asdict(), "chunk": list(mine.chunk)})
    blocks = (table.blocks[0], int(np.prod(table.blocks[1:])))
    ledger.create_array("done", shape=blocks, chunks=(1, 1), dtype=bool, fill_value=False)


def digest(text: str) -> str | None:
    """Hash of a program's text, or None where the text is not the same in every process (host callbacks)."""
    return None if "callback" in text else hashlib.sha256(text.encode()).hexdigest()
