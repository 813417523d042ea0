"""Unpacking writes plain files below one folder, whole or not at all, whatever the archive says."""

from __future__ import annotations

import gzip
import io
import os
import random
import re
import tarfile

import pytest

from smp_datasets import DownloadError, OptionError, UnsafeArchiveError
from smp_datasets.extract import extract_folder


def refused(error, message):
    return pytest.raises(error, match=re.escape(message))


@pytest.fixture
def make(tmp_path):
    """``make(("data/a.txt", b"a"), tarfile.TarInfo("..."))`` -> the path of an archive."""

    def write(*members, name="a.tar.gz"):
        path = tmp_path / name
        with tarfile.open(path, "w:gz") as file:
            for member in members:
                if isinstance(member, tarfile.TarInfo):
                    file.addfile(member)
                    continue
                info = tarfile.TarInfo(member[0])
                info.size, info.mode, info.uid = len(member[1]), 0o6000, 0
                file.addfile(info, io.BytesIO(member[1]))
        return path

    return write


def of_kind(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder(make, tmp_path):
    archive = make(
        of_kind("data", tarfile.DIRTYPE), ("data/a.txt", b"a"), ("./data/b/c.txt", b"c"), ("other/d.txt", b"d")
    )
    root = tmp_path / "root"
    root.mkdir()
    assert extract_folder(archive, "data", root) == root / "data"
    assert contents(root) == {"data/a.txt": b"a", "data/b/c.txt": b"c"}
    assert [path.name for path in root.iterdir()] == ["data"]
    assert (root / "data/a.txt").stat().st_mode & 0o6000 == 0


def test_what_is_there_is_left_alone(make, tmp_path):
    (tmp_path / "data").mkdir()
    assert extract_folder(tmp_path / "no such archive", "data", tmp_path) == tmp_path / "data"


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "data/../../evil",
        "/tmp/evil",
        "..\\evil",
        "data\\..\\..\\evil",
        "C:\\evil",
        "C:evil",
        "\\\\host\\evil",
    ],
)
def test_names_that_lead_out(name, make, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    archive = make(("data/a.txt", b"a"), (name, b"evil"))
    message = f"archive {str(archive)!r} is refused: its member {name!r} would be written outside of the folder"
    with refused(UnsafeArchiveError, message):
        extract_folder(archive, "data", root)
    assert contents(tmp_path).keys() == {"a.tar.gz"}
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "a.txt"),
        (tarfile.LNKTYPE, "data/a.txt"),
        (tarfile.FIFOTYPE, ""),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
    ],
)
def test_links_and_devices(kind, target, make, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    archive = make(("data/a.txt", b"a"), of_kind("data/b", kind, target))
    with refused(
        UnsafeArchiveError, f"{str(archive)!r} is refused: its member 'data/b' is neither a file nor a folder"
    ):
        extract_folder(archive, "data", root)
    assert list(root.iterdir()) == []


def test_no_such_folder(make, tmp_path):
    archive = make(("other/a.txt", b"a"))
    with refused(DownloadError, f"archive {str(archive)!r} has no folder 'data'"):
        extract_folder(archive, "data", tmp_path)


def test_damaged_archives(make, tmp_path):
    archive = make(("data/a.txt", bytes(range(256)) * 999))
    whole = archive.read_bytes()
    for content in (b"", b"not an archive", whole[: len(whole) // 2]):
        archive.write_bytes(content)
        with refused(DownloadError, f"archive {str(archive)!r} is damaged: "):
            extract_folder(archive, "data", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


@pytest.mark.parametrize("name", ["", ".", "./"])
def test_members_without_a_name(name, make, tmp_path):
    archive = make((name, b"x"), ("data/a.txt", b"a"))
    with refused(UnsafeArchiveError, "is neither a file nor a folder"):
        extract_folder(archive, "data", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


def test_the_folder_itself_as_a_member(make, tmp_path):
    archive = make(of_kind(".", tarfile.DIRTYPE), ("./data/a.txt", b"a"))
    assert (extract_folder(archive, "data", tmp_path) / "a.txt").read_bytes() == b"a"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("data/a", b"x"), of_kind("data/a", tarfile.DIRTYPE)], "is damaged: 'data/a' is a file and a folder"),
        ([of_kind("data/a", tarfile.DIRTYPE), ("data/a", b"x")], "is damaged: 'data/a' is a file and a folder"),
        ([("data/a", b"x"), ("data/a/b", b"y")], "could not be unpacked to "),
    ],
)
def test_a_file_and_a_folder_of_one_name(members, message, make, tmp_path):
    with refused(DownloadError, message):
        extract_folder(make(*members), "data", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


def test_a_small_archive_that_claims_much(tmp_path):
    member = tarfile.TarInfo("data/zeros")
    member.size = 1 << 40
    path = tmp_path / "a.tar"
    path.write_bytes(member.tobuf() + bytes(1024))
    with refused(UnsafeArchiveError, f"is refused: it unpacks to more than {20 << 30} bytes; pass limit= for more"):
        extract_folder(path, "data", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_the_limit(make, tmp_path):
    archive = make(("data/a", bytes(60)), ("data/b", bytes(50)))
    with refused(UnsafeArchiveError, "is refused: it unpacks to more than 100 bytes; pass limit= for more"):
        extract_folder(archive, "data", tmp_path, limit=100)
    assert extract_folder(archive, "data", tmp_path, limit=110).is_dir()


def test_a_full_disk(make, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    archive = make(("data/a", b"x"))
    monkeypatch.setattr("smp_datasets.extract.shutil.copyfileobj", full)
    with refused(DownloadError, f"could not be unpacked to {str(tmp_path)!r}: [Errno 28] No space left on device"):
        extract_folder(archive, "data", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]
    with refused(DownloadError, "could not be unpacked to "):
        extract_folder(archive, "data", tmp_path / "missing")


# --- archives that nobody would make


def header(name, size, kind=tarfile.REGTYPE):
    """A header with any size, also one that no file can have."""
    member = tarfile.TarInfo(name)
    member.type = kind
    data = bytearray(member.tobuf(format=tarfile.GNU_FORMAT))
    data[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    return bytes(data)


_FOLDER, _FILE, _END = header("data", 0, tarfile.DIRTYPE), header("data/a", 1) + b"a".ljust(512, b"\0"), bytes(1024)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.GNUTYPE_SPARSE])
@pytest.mark.parametrize("size", [-512, -1024, -(2**62)])
def test_a_size_below_nothing(kind, size, tmp_path):
    (tmp_path / "a.tar").write_bytes(_FOLDER + header("data/b", size, kind) + _FILE + _END)
    with refused(DownloadError, f"a.tar' is damaged: a header says that it is followed by {size} bytes"):
        extract_folder(tmp_path / "a.tar", "data", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_name_that_fills_the_memory(kind, tmp_path):
    (tmp_path / "a.tar").write_bytes(_FOLDER + header("data/b", 2 << 20, kind) + bytes(2 << 20) + _FILE + _END)
    with refused(DownloadError, "a.tar' is damaged: a header says that it is followed by 2097152 bytes"):
        extract_folder(tmp_path / "a.tar", "data", tmp_path, limit=1000)


@pytest.mark.parametrize(
    "facts",
    [
        {"GNU.sparse.map": "abc"},
        {"GNU.sparse.size": "q"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "x"},
        {"size": "-5"},
    ],
)
def test_facts_that_are_none(facts, tmp_path):
    member = tarfile.TarInfo("data/s")
    member.pax_headers = facts
    (tmp_path / "a.tar").write_bytes(_FOLDER + member.tobuf(format=tarfile.PAX_FORMAT) + _END)
    with refused(DownloadError, "a.tar' is damaged: "):
        extract_folder(tmp_path / "a.tar", "data", tmp_path)


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_a_flipped_byte(compression, tmp_path):
    """Also where only the checksum at the end of the archive tells."""
    noise = random.Random(0)
    with tarfile.open(tmp_path / "whole", f"w:{compression}") as file:
        for number in range(20):
            info = tarfile.TarInfo(f"data/{number}")
            info.size = 3000
            file.addfile(info, io.BytesIO(noise.randbytes(3000)))
    data = (tmp_path / "whole").read_bytes()
    for at in range(50, len(data), len(data) // 9):
        (tmp_path / "a.tar").write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
        with refused(DownloadError, "a.tar' is damaged: "):
            extract_folder(tmp_path / "a.tar", "data", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "whole"]
    (tmp_path / "a.tar").write_bytes(data)
    assert len(contents(extract_folder(tmp_path / "a.tar", "data", tmp_path))) == 20


def test_what_follows_the_last_member_counts(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(_FOLDER + _FILE + _END + bytes(30 << 20)))
    with refused(UnsafeArchiveError, "it unpacks to more than 1000 bytes"):
        extract_folder(tmp_path / "a.tar.gz", "data", tmp_path, limit=1000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_an_archive_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "a.tar")
    for path in (tmp_path / "a.tar", tmp_path):
        with refused(DownloadError, f"archive {str(path)!r} cannot be read: it is no regular file"):
            extract_folder(path, "data", tmp_path)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0", 3])
def test_a_name_of_no_folder(name, make, tmp_path):
    with refused(OptionError, f"extract_folder: name must be that of a folder in the archive, got {name!r}"):
        extract_folder(make(("data/a", b"a")), name, tmp_path)


@pytest.mark.parametrize("limit", ["5", -1, None, True])
def test_a_limit_that_is_none(limit, make, tmp_path):
    with refused(OptionError, f"extract_folder: limit must be a number of bytes, got {limit!r}"):
        extract_folder(make(("data/a", b"a")), "data", tmp_path, limit=limit)
