"""The other half of docs/ble.md in a few lines: what the phone of the tests is tried on without a machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from bumble.controller import Controller
from bumble.core import UUID, AdvertisingData
from bumble.device import Device
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address
from bumble.host import Host
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from harness.phone import INFO, NOTIFYING, SERVICE, SESSION, WIFI_STATUS, uuid
from harness.radio import Link, Radio
from harness.setup_client import Json
from harness.setup_protocol import frames, srp
from harness.setup_protocol.channel import Channel
from harness.setup_protocol.noise import Handshake, Key

DEVICE_ID = bytes(range(16))
CODE, WRONG_CODE = b"ABCDEFGH23", b"ABCDEFGH24"


class Box:
    """Proves that it knows `code`, as far as the other side knows it."""

    def __init__(self, code: bytes = CODE) -> None:
        self.static = Key.generate()
        self._salt, self._exponent = b"s" * 16, 2**255 + 12345
        self._verifier = pow(5, srp.private_exponent(DEVICE_ID, code, self._salt), srp.MODULUS)

    def challenge(self, start: bytes) -> bytes:
        public = (srp.multiplier() * self._verifier + pow(5, self._exponent, srp.MODULUS)) % srp.MODULUS
        self._start, self._challenge = start, b"\x02" + self._salt + srp.pad(public)
        return self._challenge

    def accept(self, message: bytes) -> bytes:
        phone, box = self._start[2:], self._challenge[17:]
        scrambler = int.from_bytes(hashlib.sha256(phone + box).digest(), "big")
        base = int.from_bytes(phone, "big") * pow(self._verifier, scrambler, srp.MODULUS)
        secret = pow(base, self._exponent, srp.MODULUS)
        proof = srp.proof(DEVICE_ID, self._salt, phone, box, secret)
        if message[1:33] != proof.m1:
            return b"\x0f" + json.dumps({"code": "wrong_code", "happened": "", "try": ""}).encode()
        transcript = hashlib.sha256(self._start + self._challenge + proof.m1 + proof.m2).digest()
        psk = HKDF(SHA256(), 32, salt=None, info=b"coffer ble psk 1").derive(proof.key)
        self._noise = Handshake(
            "XXpsk3", initiator=False, prologue=b"coffer ble 1" + transcript, static=self.static, psk=psk
        )
        self._noise.read(message[33:])
        return b"\x04" + proof.m2 + self._noise.write()

    def finish(self, message: bytes) -> tuple[Channel, bytes | None]:
        self._noise.read(message[1:])
        receiving, sending = self._noise.split()
        return Channel(sending, receiving), self._noise.remote_static

    def resume(self, message: bytes) -> tuple[bytes, Channel]:
        noise = Handshake("IK", initiator=False, prologue=b"coffer ble 1 resume" + DEVICE_ID, static=self.static)
        noise.read(message[2:])
        reply = b"\x07" + noise.write()
        receiving, sending = noise.split()
        return reply, Channel(sending, receiving)


class BoxOnTheAir(Radio):
    """A radio whose box is a GATT server of this process instead of one in a machine."""

    def __init__(self) -> None:
        self.logic = Box()
        self.status: Json = {"state": "disconnected", "filling": "x" * 700}
        self._channel: Channel
        self._incoming = {number: frames.Assembler() for number in NOTIFYING}
        self._unread: list[bytes] = []
        self._sent = 0
        super().__init__(Path())

    async def _switch_on(self, controller_socket: Path) -> None:
        self.link = Link(self.sniffer)
        address = Address("00:AA:01:00:00:01", Address.PUBLIC_DEVICE_ADDRESS)
        self.box = self.link.box = Controller("box", link=self.link, public_address=address)
        host = Host()
        host.controller = self.box
        self._device = Device(name="box", address=Address("C0:01:02:03:04:05"), host=host)
        self._characteristics = {number: self._characteristic(number) for number in (INFO, *NOTIFYING)}
        self._device.add_service(Service(UUID(SERVICE), list(self._characteristics.values())))
        await self._device.power_on()
        services = (AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, UUID(SERVICE).to_bytes())
        name = (AdvertisingData.COMPLETE_LOCAL_NAME, b"Coffer-0E0F")
        await self._device.start_advertising(
            auto_restart=True,
            advertising_interval_min=20,
            advertising_interval_max=20,
            advertising_data=bytes(AdvertisingData([(AdvertisingData.FLAGS, b"\x06"), services])),
            scan_response_data=bytes(AdvertisingData([name])),
        )

    def _characteristic(self, number: int) -> Characteristic[bytes]:
        if number == INFO:
            info = bytes([1, 1, 1, 4, 2]) + DEVICE_ID
            return Characteristic(uuid(INFO), Characteristic.Properties.READ, Characteristic.READABLE, info)
        value = CharacteristicValue(
            read=lambda _connection: self._read(number),
            write=lambda _connection, frame: self._written(number, frame),
        )
        properties = Characteristic.Properties.READ | Characteristic.Properties.WRITE | Characteristic.Properties.NOTIFY
        return Characteristic(uuid(number), properties, Characteristic.READABLE | Characteristic.WRITEABLE, value)

    def _read(self, number: int) -> bytes:
        if not self._unread:
            self._unread = self._cut(self._channel.seal(number, self.status))
        return self._unread.pop(0)

    def _written(self, number: int, frame: bytes) -> None:
        message = self._incoming[number].take(frame)
        if message is not None:
            self.loop.create_task(self._answer(number, message))

    async def _answer(self, number: int, message: bytes) -> None:
        if message[0] == 1:
            await self._notify(SESSION, self.logic.challenge(message))
        elif message[0] == 3:
            await self._notify(SESSION, self.logic.accept(message))
        elif message[0] == 5:
            self._channel, _ = self.logic.finish(message)
            await self._welcome()
        elif message[0] == 6:
            reply, self._channel = self.logic.resume(message)
            await self._notify(SESSION, reply)
            await self._welcome()
        else:
            await self._reply(number, self._channel.open(number, message))

    async def _reply(self, number: int, request: Json) -> None:
        if request["op"] == "identify":
            outcome: Json = {"ok": {}}
        else:
            outcome = {"error": {"code": "invalid", "happened": "no", "try": "another"}}
        if request["op"] == "connect":
            self.status = {"state": "connected", "filling": "y" * 700}
            await self._notify(WIFI_STATUS, self._channel.seal(WIFI_STATUS, self.status))
        await self._notify(number, self._channel.seal(number, {"id": request["id"], **outcome}))

    async def _welcome(self) -> None:
        await self._notify(SESSION, self._channel.seal(SESSION, {"type": "welcome", "claimed": False}))

    async def _notify(self, number: int, message: bytes) -> None:
        for frame in self._cut(message):
            await self._device.notify_subscribers(self._characteristics[number], frame)

    def _cut(self, message: bytes) -> list[bytes]:
        self._sent += 1
        [connection] = self._device.connections.values()
        return frames.cut(message, self._sent, frames.frame_size(connection.att_mtu))
