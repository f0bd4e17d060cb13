"""Tables as pandas, R and spreadsheets write them, and damaged or hostile ones: read rightly, or refused in a line."""

import gzip
import io
import zipfile

import numpy as np
import pandas
import pytest

from divjax.compare.read import aligned, filled, noted, read_samples
from divjax.inputs.text import read_csv

NAN = np.nan
# What stands in a file, the names of its columns of numbers, and the numbers.
TABLES = {
    "numbered.csv": ("0,1\n0.5,1.5\n3.5,4.5\n", ("0", "1"), [[0.5, 1.5], [3.5, 4.5]]),
    "whole.csv": ("0,1\n3,4\n6,7\n", ("0", "1"), [[0, 1], [3, 4], [6, 7]]),
    "pandas.csv": (",a,b\n0,1.5,2\n1,2.5,3\n", ("a", "b"), [[1.5, 2], [2.5, 3]]),
    "r.csv": ('"","a","b"\n"x",1.5,2\n"y",2.5,3\n', ("a", "b"), [[1.5, 2], [2.5, 3]]),
    "r_table.csv": ('"a","b"\n"1",1.5,2\n"2",2.5,3\n', ("a", "b"), [[1.5, 2], [2.5, 3]]),
    "unnamed.csv": ("a,,b\n1,2.5,3\n4,5.5,6\n", ("a", "unnamed 1", "b"), [[1, 2.5, 3], [4, 5.5, 6]]),
    "thousands.csv": ('a,b\n"1,234.5",2\n"12,000",3\n', ("a", "b"), [[1234.5, 2], [12000, 3]]),
    "semicolons.csv": ("a;b\n1.234,5;2\n2,5;3\n", ("a", "b"), [[1234.5, 2], [2.5, 3]]),
    "one_column.csv": ("a\n1,5\n2\n", ("a",), [[1.5], [2]]),
    "tabs.tsv": ("a\tb\n1\t2\n3\t4\n", ("a", "b"), [[1, 2], [3, 4]]),
    "packed.csv.gz": ("a,b\n1,2\n3,4\n", ("a", "b"), [[1, 2], [3, 4]]),
    "mark.csv": ("\ufeffa,b\r\n1,2\r\n\r\n3,4\r\n", ("a", "b"), [[1, 2], [3, 4]]),
    "comments.csv": ("# made by hand\na,b\n1,2\n# more\n3,4\n", ("a", "b"), [[1, 2], [3, 4]]),
    "trailing.csv": ("a,b,\n1,2,\n3,4,\n", ("a", "b"), [[1, 2], [3, 4]]),
    "truth.csv": ("a,b\nTrue,1\nFALSE,2\n", ("a", "b"), [[1, 1], [0, 2]]),
    "underscore.csv": ("a,b\n1_000,1\n2_000,2\n", ("b",), [[1], [2]]),
    "vectors.csv": ('id,e\n7,"[0.1, 0.2]"\n9,"[0.3, 0.4]"\n', ("e[0]", "e[1]"), [[0.1, 0.2], [0.3, 0.4]]),
    "gaps.csv": ("a,b\nNA,1\n3,\n4,nan\n5,3\n", ("a", "b"), [[NAN, 1], [3, NAN], [4, NAN], [5, 3]]),
    "quoted.csv": ('"a, x","b"\n"1","2"\n"3","4"\n', ("a, x", "b"), [[1, 2], [3, 4]]),
    "words.csv": ("name,a\nx;y,1\nz;w,2\n", ("a",), [[1], [2]]),
    "no_header.csv": ("1,2\n3,4\n", ("0", "1"), [[1, 2], [3, 4]]),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_read_as_they_are_meant(name, tmp_path):
    text, columns, numbers = TABLES[name]
    raw = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    found = read_samples(tmp_path / name)
    assert found.columns == columns
    np.testing.assert_array_equal(found.x, np.asarray(numbers, float))
    assert read_csv(tmp_path / name).columns == columns


def test_what_is_left_out_is_said(tmp_path):
    (tmp_path / "x.csv").write_text(',id,e\n0,7,"[0.1, 0.2]"\n1,9,"[0.3, 0.4]"\n')
    notes = " ".join(read_samples(tmp_path / "x.csv").notes)
    assert "no name and numbers the rows" in notes
    assert "beside the vectors: id" in notes


def test_a_table_is_the_same_from_text_and_from_parquet(tmp_path):
    frame = pandas.DataFrame(
        {"a": [1.5, NAN, 3.0], "b": [1, 2, 3], "c": [True, False, True], "s": ["x", "y", "z"]}, index=[0, 1, 2]
    )
    frame.to_csv(tmp_path / "t.csv")
    frame.to_parquet(tmp_path / "t.parquet", index=True)
    vectors = pandas.DataFrame({"id": ["x", "y"], "e": [[0.1, 0.2], [0.3, 0.4]]})
    vectors.to_csv(tmp_path / "v.csv", index=False)
    vectors.to_parquet(tmp_path / "v.parquet")
    for name in ("t", "v"):
        text, parquet = (read_samples(tmp_path / f"{name}{suffix}") for suffix in (".csv", ".parquet"))
        assert text.columns == parquet.columns
        np.testing.assert_array_equal(text.x, parquet.x)


def test_two_files_are_set_side_by_side(tmp_path):
    (tmp_path / "x.csv").write_text("a,b,c\n1,,255\n3,,0\n")
    x = read_samples(tmp_path / "x.csv")
    with pytest.raises(ValueError, match=r"got none in b. Leave such columns out with --drop-empty"):
        filled(x, "x.csv", drop=False)
    x = filled(x, "x.csv", drop=True)
    assert x.columns == ("a", "c")
    assert "for being empty: b" in x.notes[-1]
    (tmp_path / "y.csv").write_text("a,d\n0.5,1\n0.25,0\n")
    y = read_samples(tmp_path / "y.csv")
    with pytest.raises(ValueError, match="c in the first alone and d in the second alone"):
        aligned(x, "x.csv", y, "y.csv")
    assert "the same unit" in noted(x, "x.csv", y, "y.csv").notes[-1]
    np.save(tmp_path / "nchw.npy", np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5))
    moved = read_samples(tmp_path / "nchw.npy")
    assert moved.shape == (4, 5, 3)
    np.testing.assert_array_equal(moved.x[0].reshape(4, 5, 3)[..., 1], np.arange(20.0).reshape(4, 5) + 20.0)


def test_sizes_that_a_header_declares_are_checked_before_memory_is_taken(tmp_path):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    (tmp_path / "huge.npy").write_bytes(buffer.getvalue() + b"0" * 64)
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("a.npy", buffer.getvalue() + b"0" * 64)
    for name in ("huge.npy", "huge.npz"):
        with pytest.raises(ValueError, match="declares 8,000,000,000,000 bytes"):
            read_samples(tmp_path / name)


def damaged(rng, content: bytes) -> bytes:
    """Cut, with bytes changed, or with some put in."""
    raw, way = bytearray(content), rng.integers(4)
    if way == 0:
        return bytes(raw[: rng.integers(len(raw))])
    if way == 1:
        return bytes(raw) + bytes(rng.integers(0, 256, 20).tolist())
    for _ in range(rng.integers(1, 6)):
        place = rng.integers(len(raw))
        if way == 2:
            raw[place] = rng.integers(256)
        else:
            raw[place:place] = rng.choice(
                [b",", b"\n", b'"', b"[", b"1e999", b"\x00", b";", b"#", b"\xff\xfe"]
            ).tobytes()
    return bytes(raw)


@pytest.mark.filterwarnings("ignore:.*")  # of numpy and pandas, of what is damaged
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path):
    """500 of them: no other error, and no message of more than a line."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 2))
    np.save(tmp_path / "x.npy", x)
    np.savez_compressed(tmp_path / "x.npz", x=x)
    pandas.DataFrame(x, columns=["a", "b"]).to_parquet(tmp_path / "x.parquet")
    whole = {path.suffix: path.read_bytes() for path in tmp_path.iterdir()}
    whole |= {f".{i}.csv": text.encode() for i, (text, *_) in enumerate(TABLES.values())}
    whole[".csv.gz"] = gzip.compress(TABLES["gaps.csv"][0].encode())
    names, messages = list(whole), []
    for i in range(500):
        suffix = names[rng.integers(len(names))]
        path = tmp_path / f"f{suffix}"
        path.write_bytes(damaged(rng, whole[suffix]))
        try:
            found = read_samples(path)
            assert found.x.dtype == np.float64, i
            assert found.x.shape[1] == len(found.columns), i
        except ValueError as error:
            messages.append(str(error))
    assert 100 < len(messages) < 450
    assert not [message for message in messages if "\n" in message or len(message) > 700]
