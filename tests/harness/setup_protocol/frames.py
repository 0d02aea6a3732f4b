"""Messages in frames of one write, notification or read each (docs/ble.md, section 5)."""

from __future__ import annotations

_FIRST, _LAST, _ABORT = 1, 2, 4
_HEADER, _FIRST_HEADER = 3, 5
LARGEST_FRAME = 244
LARGEST_MESSAGE = 8192


class BrokenFrame(ValueError):
    """A frame that does not continue what came before."""


def frame_size(mtu: int) -> int:
    return min(mtu - 3, LARGEST_FRAME)


def cut(message: bytes, message_id: int, size: int) -> list[bytes]:
    """The frames of one message, each of at most `size` bytes."""
    if not 1 <= len(message) <= LARGEST_MESSAGE:
        raise ValueError(f"a message has 1 to {LARGEST_MESSAGE} bytes, this one {len(message)}")
    bodies = [message[: size - _FIRST_HEADER]]
    bodies += [message[at : at + size - _HEADER] for at in range(len(bodies[0]), len(message), size - _HEADER)]
    frames = []
    for index, body in enumerate(bodies):
        flags = (_FIRST if index == 0 else 0) | (_LAST if index == len(bodies) - 1 else 0)
        length = len(message).to_bytes(2, "big") if index == 0 else b""
        frames.append(bytes([flags, message_id % 256, index % 256]) + length + body)
    return frames


def body(frame: bytes) -> bytes:
    """What a frame carries of its message; for a sniffer, which takes frames as they come."""
    return frame[_FIRST_HEADER:] if frame and frame[0] & _FIRST else frame[_HEADER:]


class Assembler:
    """Joins the frames of one direction of one characteristic."""

    def __init__(self) -> None:
        self._id: int | None = None
        self._index = 0
        self._length = 0
        self._received = b""

    def take(self, frame: bytes) -> bytes | None:
        """The whole message, when this was its last frame."""
        try:
            return self._take(frame)
        except BrokenFrame:
            self._id = None
            raise

    def _take(self, frame: bytes) -> bytes | None:
        if len(frame) < _HEADER or frame[0] & ~(_FIRST | _LAST | _ABORT):
            raise BrokenFrame(f"no frame: {frame.hex()}")
        flags, message_id, index = frame[:_HEADER]
        if flags & _ABORT:
            if flags != _ABORT or len(frame) != _HEADER or message_id != self._id:
                raise BrokenFrame(f"not an abort of what is under way: {frame.hex()}")
            self._id = None
            return None
        if flags & _FIRST:
            self._begin(frame, message_id, index)
        elif message_id != self._id or index != (self._index + 1) % 256:
            raise BrokenFrame(f"frame {index} of message {message_id} after {self._index} of {self._id}")
        self._index = index
        if not body(frame):
            raise BrokenFrame("a frame without a byte of its message")
        self._received += body(frame)
        return self._finish(last=bool(flags & _LAST))

    def _begin(self, frame: bytes, message_id: int, index: int) -> None:
        if self._id is not None or index != 0 or len(frame) < _FIRST_HEADER:
            raise BrokenFrame(f"not a beginning: {frame[:_FIRST_HEADER].hex()}")
        self._id, self._received = message_id, b""
        self._length = int.from_bytes(frame[_HEADER:_FIRST_HEADER], "big")
        if not 1 <= self._length <= LARGEST_MESSAGE:
            raise BrokenFrame(f"a message of {self._length} bytes")

    def _finish(self, *, last: bool) -> bytes | None:
        if last != (len(self._received) == self._length) or len(self._received) > self._length:
            raise BrokenFrame(f"{len(self._received)} bytes of {self._length}, last: {last}")
        if not last:
            return None
        self._id = None
        return self._received
