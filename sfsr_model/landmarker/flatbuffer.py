"""Reading tables of a FlatBuffers file, every offset checked against the file's length.

Layout (FlatBuffers' internals document): a table starts with the distance back to its vtable; the vtable holds its own
size, the table's size, and for each field number the field's distance from the table's start, 0 where the field is left
out. Strings, vectors and sub-tables are reached by a further distance, vectors start with their length. Little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass


class FlatbufferError(ValueError):
    """An offset or a length leads out of the file: it is cut off, damaged, or something else."""


@dataclass(frozen=True)
class Table:
    """One table of a file; field numbers are those of the schema, counted from 0."""

    data: bytes
    start: int

    @classmethod
    def root(cls, data: bytes, identifier: bytes) -> Table:
        """The file's first table; raises FlatbufferError when the four bytes after its offset are not `identifier`."""
        if len(data) < 8 or data[4:8] != identifier:
            raise FlatbufferError(f"it does not carry the mark {identifier.decode()}")
        return cls(data, _number(data, 0, "I"))

    def scalar(self, field: int, kind: str, default: int | float = 0) -> int | float:
        """A number of struct format `kind`, the default where the field is left out."""
        place = self._place(field)
        return default if place is None else _number(self.data, place, kind)

    def integer(self, field: int, kind: str = "i", default: int = 0) -> int:
        return int(self.scalar(field, kind, default))

    def table(self, field: int) -> Table | None:
        place = self._place(field)
        return None if place is None else Table(self.data, place + _number(self.data, place, "I"))

    def tables(self, field: int) -> tuple[Table, ...]:
        start, count = self._vector(field, 4)
        places = range(start, start + 4 * count, 4)
        return tuple(Table(self.data, place + _number(self.data, place, "I")) for place in places)

    def integers(self, field: int) -> tuple[int, ...]:
        """A vector of 32-bit integers."""
        start, count = self._vector(field, 4)
        return struct.unpack_from(f"<{count}i", self.data, start)

    def blob(self, field: int) -> bytes:
        """A vector of bytes, empty where the field is left out."""
        start, count = self._vector(field, 1)
        return self.data[start : start + count]

    def text(self, field: int) -> str:
        return self.blob(field).decode("utf-8", "replace")

    def _vector(self, field: int, item: int) -> tuple[int, int]:
        place = self._place(field)
        if place is None:
            return 0, 0
        place += _number(self.data, place, "I")
        count = _number(self.data, place, "I")
        if place + 4 + count * item > len(self.data):
            raise FlatbufferError(f"a list of {count} entries leads out of the file's {len(self.data)} bytes")
        return place + 4, count

    def _place(self, field: int) -> int | None:
        vtable = self.start - _number(self.data, self.start, "i")
        slot = 4 + 2 * field
        if slot + 2 > _number(self.data, vtable, "H"):
            return None
        distance = _number(self.data, vtable + slot, "H")
        return self.start + distance if distance else None


def _number(data: bytes, place: int, kind: str) -> int:
    if not 0 <= place <= len(data) - struct.calcsize(f"<{kind}"):
        raise FlatbufferError(f"an offset leads to byte {place} of {len(data)}")
    return struct.unpack_from(f"<{kind}", data, place)[0]
