"""Unpacking writes plain files below one folder, whole or not at all, whatever the archive says."""

from __future__ import annotations

import io
import re
import tarfile

import pytest

from smp_datasets import DownloadError, UnsafeArchiveError
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
