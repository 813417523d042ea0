"""Whether the directories of a TIFF, one a page, can be read in a time that its size warrants.

Libraries believe what a directory says of itself. One that claims 65,535 tags, in a chain of hundreds that lie over
each other, keeps them busy for minutes with a file of 400 bytes.
"""

from __future__ import annotations

import struct
from pathlib import Path

from smp_datasets.errors import UnreadableFileError

# By the version: bytes of a directory's count, of a tag, and of an offset, with the codes of `struct` for the two.
_CLASSIC, _BIG = 42, 43
_LAYOUT = {_CLASSIC: (2, "H", 12, 4, "I"), _BIG: (8, "Q", 20, 8, "Q")}


def check_directories(path: str) -> None:
    """Refuse a TIFF whose directories lie outside of the file, over each other, or in a circle.

    What is no TIFF is left to its reader.

    Raises:
        UnreadableFileError: says which directory.
    """
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        version = struct.unpack(f"{order}H", head[2:4])[0] if order and len(head) >= 4 else None
        if version not in _LAYOUT:
            return
        count_size, count_code, tag_size, offset_size, offset_code = _LAYOUT[version]
        start = 4 if version == _CLASSIC else 8
        link = head[start : start + offset_size]
        number, left = 0, size
        while len(link) == offset_size and (offset := struct.unpack(f"{order}{offset_code}", link)[0]):
            file.seek(min(offset, size))
            count = file.read(count_size)
            tags = struct.unpack(f"{order}{count_code}", count)[0] if len(count) == count_size else size
            length = count_size + tags * tag_size
            left -= length
            if offset + length > size or left < 0:
                raise UnreadableFileError(
                    f"cannot read {path!r}: it is damaged; directory {number} of its pages, at byte {offset} with "
                    f"{tags} tags, does not fit into the {size} bytes of the file"
                )
            file.seek(offset + length)
            link = file.read(offset_size)
            number += 1
