"""The air in the room: the box's Bluetooth controller, which hangs on QEMU's emulated UART, and whoever else is there.

The controller is there for as long as the machine runs; one that vanishes while connected would leave BlueZ with a
connection it never gives up. Everything that is sent passes a sniffer.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from bumble import core
from bumble.controller import Controller
from bumble.hci import Address, HCI_LE_Extended_Advertising_Report_Event, HCI_Packet
from bumble.link import LocalLink
from bumble.transport import open_transport

from harness.sniffer import Sniffer

_BOX_ADDRESS = Address("00:AA:01:00:00:01", Address.PUBLIC_DEVICE_ADDRESS)
_LAPTOP_ADDRESS = Address("00:AA:01:00:00:04", Address.PUBLIC_DEVICE_ADDRESS)
_LIMIT_S = 120.0
Report = HCI_LE_Extended_Advertising_Report_Event.Report
T = TypeVar("T")


class Radio:
    """An event loop of its own, which the phones share, and blocking calls into it."""

    def __init__(self, controller_socket: Path) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.sniffer = Sniffer()
        self.wait(self._switch_on(controller_socket))

    def wait(self, step: Coroutine[Any, Any, T], limit_s: float = _LIMIT_S) -> T:
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(step, limit_s), self.loop).result()

    def bring_laptop(self, controller_socket: Path) -> None:
        """Whose Bluetooth hangs on another of QEMU's UARTs."""
        self.wait(self._bring_laptop(controller_socket))

    def central(self, name: str, address: Address, **transport: Any) -> Controller:
        """The controller of somebody who looks for boxes."""
        controller = _Central(name, link=self.link, public_address=address, **transport)
        controller.box = self.box
        return controller

    def switch_off(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)

    async def _switch_on(self, controller_socket: Path) -> None:
        self.link = Link(self.sniffer)
        uart = await open_transport(f"unix:{controller_socket}")
        self.box = Controller("box", uart.source, uart.sink, link=self.link, public_address=_BOX_ADDRESS)
        self.link.box = self.box

    async def _bring_laptop(self, controller_socket: Path) -> None:
        uart = await open_transport(f"unix:{controller_socket}")
        self.laptop = self.central("laptop", _LAPTOP_ADDRESS, host_source=uart.source, host_sink=uart.sink)


class Link(LocalLink):
    """bumble 0.0.236 sends LE data from the sender's random address; BlueZ advertises from its public one."""

    box: Controller

    def __init__(self, sniffer: Sniffer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._sniffer = sniffer

    def send_acl_data(self, sender: Any, destination: Any, transport: Any, data: bytes) -> None:
        if transport != core.PhysicalTransport.LE:
            super().send_acl_data(sender, destination, transport, data)
            return
        self._sniffer.hear(data, from_box=sender is self.box)
        receiver = self.find_le_controller(destination)
        if receiver is None:
            return
        links = sender.le_connections.values()
        source = next((link.self_address for link in links if link.peer_address == destination), sender.random_address)
        asyncio.get_running_loop().call_soon(receiver.on_link_acl_data, source, transport, data)


class _Central(Controller):
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
