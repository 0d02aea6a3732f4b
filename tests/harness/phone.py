"""A phone in the same room as the emulated box: a virtual radio with the box's controller and a phone on it.

The box's half hangs on QEMU's emulated UART for as long as the machine runs; a controller that vanishes while
connected would leave BlueZ with a connection it never gives up.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bumble import core
from bumble.controller import Controller
from bumble.core import UUID, AdvertisingData
from bumble.device import Advertisement, Device, Peer
from bumble.hci import Address, HCI_LE_Extended_Advertising_Report_Event, HCI_Packet
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport import open_transport

_BOX_ADDRESS = Address("00:AA:01:00:00:01", Address.PUBLIC_DEVICE_ADDRESS)
_PHONE_ADDRESS = Address("00:AA:01:00:00:02", Address.PUBLIC_DEVICE_ADDRESS)
_PHONE_RANDOM_ADDRESS = Address("F0:F1:F2:F3:F4:F5")
_LIMIT_S = 120.0
# Core specification 5.4, vol 4, part E, 7.8.53: bit 4 of Advertising_Event_Properties.
_USE_LEGACY_ADVERTS = 0x10
Report = HCI_LE_Extended_Advertising_Report_Event.Report
T = TypeVar("T")


@dataclass(frozen=True)
class Sighting:
    """An advert as a phone's scanner shows it, advert and scan response taken together."""

    address: Address
    name: str | None
    services: tuple[str, ...]
    # Sent as a legacy advert, of at most 31 bytes; many phones cannot see any other.
    legacy: bool


class Phone:
    """Blocking calls over an event loop of its own, so that a test reads from top to bottom."""

    def __init__(self, controller_socket: Path) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._device: Device = self._wait(self._switch_on(controller_socket))

    def find(self, service: str) -> Sighting:
        """Scans actively until a box that offers `service` has also told its name."""
        return self._wait(self._find(UUID(service)))

    def read(self, sighting: Sighting, service: str, characteristic: str) -> bytes:
        """Connects, reads one characteristic at the smallest MTU, disconnects."""
        return self._wait(self._read(sighting, UUID(service), UUID(characteristic)))

    def switch_off(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _wait(self, step: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(step, _LIMIT_S), self._loop).result()

    async def _switch_on(self, controller_socket: Path) -> Device:
        link = _Link()  # type: ignore[no-untyped-call]
        uart = await open_transport(f"unix:{controller_socket}")
        self._box = Controller("box", uart.source, uart.sink, link=link, public_address=_BOX_ADDRESS)
        host = Host()
        host.controller = _PhoneController("phone", link=link, public_address=_PHONE_ADDRESS)
        host.controller.box = self._box
        device = Device(name="phone", address=_PHONE_RANDOM_ADDRESS, host=host)
        await device.power_on()
        return device

    async def _find(self, service: UUID) -> Sighting:
        found: asyncio.Future[Sighting] = self._loop.create_future()

        def on_advertisement(advertisement: Advertisement) -> None:
            sighting = self._sighting(advertisement)
            if str(service) in sighting.services and sighting.name is not None and not found.done():
                found.set_result(sighting)

        self._device.on("advertisement", on_advertisement)
        # Legacy adverts only: what an older phone can see.
        await self._device.start_scanning(legacy=True, active=True)
        try:
            return await found
        finally:
            await self._device.stop_scanning()
            self._device.remove_listener("advertisement", on_advertisement)

    def _sighting(self, advertisement: Advertisement) -> Sighting:
        data = advertisement.data
        lists = data.get_all(AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS)
        name = data.get(AdvertisingData.COMPLETE_LOCAL_NAME)
        sets = [each.parameters for each in self._box.advertising_sets.values() if each.enabled and each.parameters]
        return Sighting(
            address=advertisement.address,
            name=str(name) if name is not None else None,
            services=tuple(str(uuid) for each in lists for uuid in each),
            legacy=all(each.advertising_event_properties & _USE_LEGACY_ADVERTS for each in sets),
        )

    async def _read(self, sighting: Sighting, service: UUID, characteristic: UUID) -> bytes:
        connection = await self._device.connect(sighting.address)
        gone: asyncio.Future[None] = self._loop.create_future()
        connection.once("disconnection", lambda _reason: gone.set_result(None))
        peer = Peer(connection)
        await peer.discover_services()
        [offered] = peer.get_services_by_uuid(service)
        await offered.discover_characteristics()
        [wanted] = offered.get_characteristics_by_uuid(characteristic)
        value = bytes(await wanted.read_value(no_long_read=True))
        await connection.disconnect()
        await gone
        return value


class _PhoneController(Controller):
    """bumble 0.0.236 hears the advert a second time where a real controller hears the scan response."""

    box: Controller

    def send_hci_packet(self, packet: HCI_Packet) -> None:
        if isinstance(packet, HCI_LE_Extended_Advertising_Report_Event):
            reports = [self._corrected(report) for report in packet.reports]
            packet = HCI_LE_Extended_Advertising_Report_Event(reports)
        super().send_hci_packet(packet)

    def _corrected(self, report: Report) -> Report:
        if report.event_type != HCI_LE_Extended_Advertising_Report_Event.EventType.SCAN_RESPONSE:
            return report
        answers = [bytes(each.scan_response_data) for each in self.box.advertising_sets.values() if each.enabled]
        return dataclasses.replace(report, data=b"".join(answers))


class _Link(LocalLink):
    """bumble 0.0.236 sends LE data from the sender's random address; BlueZ advertises from its public one."""

    def send_acl_data(self, sender: Any, destination: Any, transport: Any, data: bytes) -> None:
        if transport != core.PhysicalTransport.LE:
            super().send_acl_data(sender, destination, transport, data)
            return
        receiver = self.find_le_controller(destination)
        if receiver is None:
            return
        links = sender.le_connections.values()
        source = next((link.self_address for link in links if link.peer_address == destination), sender.random_address)
        asyncio.get_running_loop().call_soon(receiver.on_link_acl_data, source, transport, data)
