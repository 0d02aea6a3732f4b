"""A third radio that hears everything: each byte between phones and box, raw and put together by characteristic."""

from __future__ import annotations

from collections import defaultdict

from harness.setup_protocol import frames

# Core specification 5.4, vol 3, part A, 2.1 and part F, 3.4.
_ATT_CHANNEL = 4
_READ_REQUEST, _READ_RESPONSE, _WRITE_REQUEST, _WRITE_COMMAND, _NOTIFICATION = 0x0A, 0x0B, 0x12, 0x52, 0x1B
_OPCODE, _HANDLE = 1, 2


class Sniffer:
    """Keeps what it heard for as long as it lives."""

    def __init__(self) -> None:
        self._raw: list[bytes] = []
        self._bodies: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        self._read_handle = 0

    def hear(self, packet: bytes, *, from_box: bool) -> None:
        """One L2CAP packet. A value's framing is taken off, so that nothing hides by being cut in two."""
        self._raw.append(packet)
        if int.from_bytes(packet[2:4], "little") != _ATT_CHANNEL:
            return
        attribute = packet[4:]
        opcode, value = attribute[0], attribute[_OPCODE + _HANDLE :]
        handle = int.from_bytes(attribute[_OPCODE : _OPCODE + _HANDLE], "little")
        if opcode == _READ_REQUEST:
            self._read_handle = handle
        elif opcode == _READ_RESPONSE:
            self._bodies["read", self._read_handle].append(frames.body(attribute[_OPCODE:]))
        elif opcode in (_WRITE_REQUEST, _WRITE_COMMAND, _NOTIFICATION):
            self._bodies["from box" if from_box else "to box", handle].append(frames.body(value))

    def heard(self) -> dict[str, bytes]:
        """Everything, by where it was heard."""
        streams = {f"{way}, attribute {handle}": b"".join(parts) for (way, handle), parts in self._bodies.items()}
        return {"raw": b"".join(self._raw), **streams}

    def attributes(self) -> set[int]:
        """The handles over which messages went, or what is longer than one frame's head."""
        return {handle for (_, handle), parts in self._bodies.items() if any(parts)}
