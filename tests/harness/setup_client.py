"""The app on the phone: the set-up protocol over one connection, in blocking calls.

What the box sends is believed only after it was opened; a failure that the box names is an exception with its code.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.phone import CONTROL, SESSION, Connection, Gone
from harness.setup_protocol import codes, frames
from harness.setup_protocol.channel import Channel
from harness.setup_protocol.handshake import ByCode, ByKey, Refused
from harness.setup_protocol.noise import Key

_LIMIT_S = 30.0
_REFUSED = 0x0F
Json = dict[str, Any]


class Failed(Exception):
    """The box answered a request with a failure (docs/ble.md, section 8)."""

    def __init__(self, failure: Json) -> None:
        super().__init__(failure)
        self.failure = failure
        self.code = str(failure["code"])


@dataclass
class Enrolment:
    """What a phone keeps of one box: its own key for it, and the box's once that was seen."""

    device_id: bytes
    key: Key = field(default_factory=Key.generate)
    box_key: bytes | None = None


class SetUp:
    """One connection with at most one session in it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.welcome: Json
        self._channel: Channel
        self._size = frames.frame_size(connection.mtu)
        self._message_ids: dict[int, itertools.count[int]] = {}
        self._request_ids = itertools.count(1)
        self._assemblers: dict[int, frames.Assembler] = {}
        self._newest: dict[int, tuple[int, Json]] = {}

    def begin_by_code(self, enrolment: Enrolment, code: str) -> Json:
        """The whole handshake of a code, up to `welcome`."""
        handshake = ByCode(enrolment.device_id, codes.payload(code), enrolment.key)
        self.send(SESSION, handshake.start())
        self.send(SESSION, handshake.prove(self.message(SESSION)))
        finish, established = handshake.finish(self._answer())
        assert enrolment.box_key in (None, established.box_key), "this is another box"
        self._channel = established.channel
        self.send(SESSION, finish)
        welcome = self._first_welcome()
        # Not before: until then nothing is granted.
        enrolment.box_key = established.box_key
        return welcome

    def begin_by_key(self, enrolment: Enrolment) -> Json:
        """The whole handshake of an enrolled key, up to `welcome`."""
        assert enrolment.box_key is not None
        handshake = ByKey(enrolment.device_id, enrolment.box_key, enrolment.key)
        self.send(SESSION, handshake.start())
        self._channel = handshake.finish(self.message(SESSION)).channel
        return self._first_welcome()

    def welcome_when(self, condition: Callable[[Json], bool], limit_s: float = _LIMIT_S) -> Json:
        """The latest `welcome` that fulfils the condition; the box sends it again with every change."""
        deadline = time.monotonic() + limit_s
        while not condition(self.welcome):
            try:
                message = self.message(SESSION, max(0.0, deadline - time.monotonic()))
            except Gone as gone:
                raise Gone(f"{gone}; the last welcome was {self.welcome}") from None
            # `refused` is meant for somebody else who is connected.
            if message[0] != _REFUSED:
                self._read_welcome(message)
        return self.welcome

    def request(self, characteristic: int, op: str, *, limit_s: float = _LIMIT_S, **fields: Any) -> Json:
        """What the box answers with `ok`."""
        number = self.ask(characteristic, op, **fields)
        reply = self.notified(characteristic, limit_s)
        assert reply["id"] == number, reply
        if "error" in reply:
            raise Failed(reply["error"])
        answer = reply["ok"]
        assert isinstance(answer, dict), reply
        return answer

    def control(self, op: str, *, limit_s: float = _LIMIT_S, **fields: Any) -> Json:
        return self.request(CONTROL, op, limit_s=limit_s, **fields)

    def ask(self, characteristic: int, op: str, **fields: Any) -> int:
        """Sends a request without waiting for its reply; returns its number."""
        number = next(self._request_ids)
        self.send_sealed(characteristic, {"id": number, "op": op, **fields})
        return number

    def send_sealed(self, characteristic: int, content: Json) -> None:
        self.send(characteristic, self._channel.seal(characteristic, content))

    def value(self, characteristic: int) -> Json:
        """Reads a characteristic, as many frames as its value has."""
        assembler = frames.Assembler()
        while (message := assembler.take(self.connection.read(characteristic))) is None:
            pass
        number, content = self._channel.open_numbered(characteristic, message, way="read")
        return self._keep_newer(characteristic, number, content)

    def notified(self, characteristic: int, limit_s: float = _LIMIT_S) -> Json:
        """The next notification of a characteristic. One that is older than what was read since gives way to that."""
        number, content = self._channel.open_numbered(characteristic, self.message(characteristic, limit_s))
        return self._keep_newer(characteristic, number, content)

    def wait_for(self, characteristic: int, condition: Callable[[Json], bool], limit_s: float) -> Json:
        """The value, as it is or as it is notified later, that fulfils the condition."""
        deadline = time.monotonic() + limit_s
        value = self.value(characteristic)
        while not condition(value):
            try:
                value = self.notified(characteristic, max(0.0, deadline - time.monotonic()))
            except Gone as gone:
                raise Gone(f"{gone}; the last value was {value}") from None
        return value

    def send(self, characteristic: int, message: bytes) -> None:
        message_id = next(self._message_ids.setdefault(characteristic, itertools.count()))
        for frame in frames.cut(message, message_id, self._size):
            self.connection.write(characteristic, frame)

    def message(self, characteristic: int, limit_s: float = _LIMIT_S) -> bytes:
        """The next whole message that was notified."""
        assembler = self._assemblers.setdefault(characteristic, frames.Assembler())
        while (message := assembler.take(self.connection.notification(characteristic, limit_s))) is None:
            pass
        return message

    def _keep_newer(self, characteristic: int, number: int, content: Json) -> Json:
        if number >= self._newest.get(characteristic, (0, content))[0]:
            self._newest[characteristic] = number, content
        return self._newest[characteristic][1]

    def _answer(self) -> bytes:
        """To a handshake that the box has begun to answer: `busy` is then meant for somebody else."""
        while (message := self.message(SESSION))[0] == _REFUSED:
            refused = Refused(json.loads(message[1:]))
            if refused.code != "busy":
                raise refused
        return message

    def _first_welcome(self) -> Json:
        return self._read_welcome(self._answer())

    def _read_welcome(self, message: bytes) -> Json:
        self.welcome = self._channel.open(SESSION, message)
        assert self.welcome["type"] == "welcome", self.welcome
        return self.welcome

    def leave(self) -> None:
        self.connection.disconnect()
