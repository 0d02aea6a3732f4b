"""Loads the D-Bus policy and the polkit rule of the set-up service for real, and asks who may do what.

A dbus-daemon with Debian's system.conf, the policies that Debian's packages bring, and ours; on it somebody under each
name that the service calls, and the service's user. Beside it Debian's polkitd, with the packages' actions and our rule.
Both run in mount namespaces of their own, in which the user exists; takes root, and seconds. For check-units.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

PROJECT = Path(__file__).resolve().parent.parent
POLICY = PROJECT / "systemd/dbus/coffer-ble.conf"
RULE = PROJECT / "systemd/polkit/50-coffer-ble.rules"
FETCHED = Path(os.environ.get("COFFER_CACHE", Path.home() / ".cache/coffer")) / "policies"
SYSTEM_CONF = Path("/usr/share/dbus-1/system.conf")
ACTIONS = Path("/usr/share/polkit-1/actions")
PATIENCE_S = 20.0

# As systemd/sysusers.d has it.
COFFER_BLE = 411
OTHERS = {"coffer": 410, "cloudflared": 412, "coffer-hooks": 414}
NOBODY = 65534

BUS = "org.freedesktop.DBus"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECTS = "org.freedesktop.DBus.ObjectManager"
BLUEZ = "org.bluez"
NM = "org.freedesktop.NetworkManager"
SYSTEMD = "org.freedesktop.systemd1"
HOSTNAME = "org.freedesktop.hostname1"
LOGIN = "org.freedesktop.login1"
POLKIT = "org.freedesktop.PolicyKit1"
SUPPLICANT = "fi.w1.wpa_supplicant1"

Call = tuple[str, str, str]

# Every call that the service makes: who is called, interface, member.
CALLS: list[Call] = [
    *((BUS, BUS, member) for member in ("AddMatch", "RemoveMatch", "NameHasOwner", "GetNameOwner")),
    (BLUEZ, OBJECTS, "GetManagedObjects"),
    (BLUEZ, PROPERTIES, "Get"),
    (BLUEZ, PROPERTIES, "Set"),
    (BLUEZ, "org.bluez.GattManager1", "RegisterApplication"),
    (BLUEZ, "org.bluez.GattManager1", "UnregisterApplication"),
    (BLUEZ, "org.bluez.LEAdvertisingManager1", "RegisterAdvertisement"),
    (BLUEZ, "org.bluez.LEAdvertisingManager1", "UnregisterAdvertisement"),
    (NM, PROPERTIES, "GetAll"),
    (NM, NM, "GetDevices"),
    (NM, NM, "AddAndActivateConnection2"),
    (NM, NM, "CheckConnectivity"),
    (NM, NM, "CheckpointCreate"),
    (NM, NM, "CheckpointDestroy"),
    (NM, NM, "CheckpointRollback"),
    (NM, f"{NM}.Device", "Reapply"),
    (NM, f"{NM}.Device.Wireless", "GetAllAccessPoints"),
    (NM, f"{NM}.Device.Wireless", "RequestScan"),
    (NM, f"{NM}.Settings", "ListConnections"),
    (NM, f"{NM}.Settings.Connection", "GetSettings"),
    (NM, f"{NM}.Settings.Connection", "Update2"),
    (NM, f"{NM}.Settings.Connection", "Delete"),
    (SYSTEMD, f"{SYSTEMD}.Manager", "Subscribe"),
    (SYSTEMD, f"{SYSTEMD}.Manager", "StartUnit"),
    (SYSTEMD, f"{SYSTEMD}.Manager", "RestartUnit"),
    (HOSTNAME, HOSTNAME, "SetHostname"),
]

# Neighbours of those, and what an intruder would want.
REFUSED: list[Call] = [
    (BUS, BUS, "UpdateActivationEnvironment"),
    (BUS, f"{BUS}.Monitoring", "BecomeMonitor"),
    (BUS, f"{BUS}.Debug.Stats", "GetStats"),
    (BLUEZ, PROPERTIES, "GetAll"),
    (BLUEZ, "org.bluez.Adapter1", "StartDiscovery"),
    (BLUEZ, "org.bluez.Adapter1", "RemoveDevice"),
    (BLUEZ, "org.bluez.Device1", "Connect"),
    (BLUEZ, "org.bluez.Device1", "Pair"),
    (BLUEZ, "org.bluez.AgentManager1", "RegisterAgent"),
    (BLUEZ, "org.bluez.ProfileManager1", "RegisterProfile"),
    (NM, PROPERTIES, "Get"),
    (NM, PROPERTIES, "Set"),
    (NM, OBJECTS, "GetManagedObjects"),
    (NM, NM, "AddAndActivateConnection"),
    (NM, NM, "ActivateConnection"),
    (NM, NM, "DeactivateConnection"),
    (NM, NM, "CheckpointAdjustRollbackTimeout"),
    (NM, NM, "Enable"),
    (NM, NM, "GetPermissions"),
    (NM, NM, "Reload"),
    (NM, NM, "SetLogging"),
    (NM, NM, "Sleep"),
    (NM, f"{NM}.AgentManager", "Register"),
    (NM, f"{NM}.Device", "Delete"),
    (NM, f"{NM}.Device", "Disconnect"),
    (NM, f"{NM}.Device", "GetAppliedConnection"),
    (NM, f"{NM}.Settings", "AddConnection"),
    (NM, f"{NM}.Settings", "AddConnection2"),
    (NM, f"{NM}.Settings", "AddConnectionUnsaved"),
    (NM, f"{NM}.Settings", "LoadConnections"),
    (NM, f"{NM}.Settings", "ReloadConnections"),
    (NM, f"{NM}.Settings", "SaveHostname"),
    (NM, f"{NM}.Settings.Connection", "ClearSecrets"),
    (NM, f"{NM}.Settings.Connection", "GetSecrets"),
    (NM, f"{NM}.Settings.Connection", "Save"),
    (NM, f"{NM}.Settings.Connection", "Update"),
    (NM, f"{NM}.Settings.Connection", "UpdateUnsaved"),
    (SYSTEMD, PROPERTIES, "Get"),
    (SYSTEMD, f"{SYSTEMD}.Manager", "EnableUnitFiles"),
    (SYSTEMD, f"{SYSTEMD}.Manager", "GetUnit"),
    (SYSTEMD, f"{SYSTEMD}.Manager", "KillUnit"),
    (SYSTEMD, f"{SYSTEMD}.Manager", "LinkUnitFiles"),
    (SYSTEMD, f"{SYSTEMD}.Manager", "ListUnits"),
    (SYSTEMD, f"{SYSTEMD}.Manager", "PowerOff"),
    (SYSTEMD, f"{SYSTEMD}.Manager", "Reboot"),
    (SYSTEMD, f"{SYSTEMD}.Manager", "Reload"),
    (SYSTEMD, f"{SYSTEMD}.Manager", "SetEnvironment"),
    (SYSTEMD, f"{SYSTEMD}.Manager", "StartTransientUnit"),
    (SYSTEMD, f"{SYSTEMD}.Manager", "StopUnit"),
    (SYSTEMD, f"{SYSTEMD}.Unit", "Start"),
    (HOSTNAME, PROPERTIES, "GetAll"),
    (HOSTNAME, HOSTNAME, "Describe"),
    (HOSTNAME, HOSTNAME, "SetPrettyHostname"),
    (HOSTNAME, HOSTNAME, "SetStaticHostname"),
    (LOGIN, f"{LOGIN}.Manager", "Inhibit"),
    (LOGIN, f"{LOGIN}.Manager", "ListSessions"),
    (LOGIN, f"{LOGIN}.Manager", "PowerOff"),
    (LOGIN, f"{LOGIN}.Manager", "Reboot"),
    (POLKIT, f"{POLKIT}.Authority", "CheckAuthorization"),
    (POLKIT, f"{POLKIT}.Authority", "RegisterAuthenticationAgent"),
    (SUPPLICANT, PROPERTIES, "Set"),
    (SUPPLICANT, SUPPLICANT, "CreateInterface"),
    (SUPPLICANT, f"{SUPPLICANT}.Interface", "AddNetwork"),
]

# What polkit lets the user do without more words.
GRANTED = {
    f"{NM}.checkpoint-rollback", f"{NM}.network-control", f"{NM}.settings.modify.system", f"{NM}.wifi.scan",
    f"{HOSTNAME}.set-hostname",
}  # fmt: skip
MANAGE_UNITS = f"{SYSTEMD}.manage-units"
UNITS = [
    ("restart", "coffer-country.service", True),
    ("start", "coffer-identify.service", True),
    ("start", "coffer-clock@1793491200.service", True),
    ("start", "coffer-clock@1.service", True),
    ("start", "coffer-country.service", False),
    ("stop", "coffer-country.service", False),
    ("restart", "coffer-identify.service", False),
    ("stop", "coffer-identify.service", False),
    ("kill", "coffer-identify.service", False),
    ("restart", "coffer-clock@1793491200.service", False),
    ("start", "coffer-clock@.service", False),
    ("start", "coffer-clock@-1.service", False),
    ("start", "coffer-clock@1234567890123.service", False),
    ("start", "coffer-clock@1.service.service", False),
    ("start", "coffer-clock@../1.service", False),
    ("start", "xcoffer-identify.service", False),
    ("start", "coffer-identify.service\nreboot.target", False),
    ("start", "reboot.target\ncoffer-identify.service", False),
    ("start start", "coffer-identify.service", False),
    ("start", "reboot.target", False),
    ("start", "cofferd.service", False),
    ("stop", "cofferd.service", False),
    ("restart", "coffer-ble.service", False),
    ("start", "", False),
]


class Connection:
    """A connection to a bus, as somebody. As much of the protocol as calls and signals without arguments take."""

    def __init__(self, address: str, uid: int = 0) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        # The kernel notes who connects, by effective ids, and the bus asks the kernel.
        groups = os.getgroups()
        os.setgroups([])
        os.setegid(uid)
        os.seteuid(uid)
        try:
            self.socket.connect(address.split("path=")[1].split(",")[0])
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
        self.input = self.socket.makefile("rb")
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(uid).encode().hex().encode() + b"\r\n")
        greeting = self.input.readline()
        assert greeting.startswith(b"OK "), greeting
        self.socket.sendall(b"BEGIN\r\n")
        self.serial = 0
        self.name = self.call((BUS, BUS, "Hello"))[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Ends a thread that reads, too.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def call(self, call: Call, *texts: str, destination: str | None = None) -> tuple[str, str]:
        """Returns the error's name, or nothing; and the first text of the reply."""
        to, interface, member = call
        path = "/" + to.replace(".", "/")
        fields = {1: ("o", path), 2: ("s", interface), 3: ("s", member), 6: ("s", destination or to)}
        serial = self.send(1, fields, texts)
        while True:
            kind, fields_back, body = self.receive()
            if kind in (2, 3) and fields_back.get(5) == serial:
                return (str(fields_back[4]) if kind == 3 else ""), body

    def own(self, name: str) -> None:
        """Takes a name. Its flags are a number: none, and the name is free."""
        fields = {1: ("o", "/org/freedesktop/DBus"), 2: ("s", BUS), 3: ("s", "RequestName"), 6: ("s", BUS)}
        serial = self.send(1, fields, (name,), number=0)
        while True:
            kind, back, body = self.receive()
            if back.get(5) == serial:
                assert kind == 2, f"{name}: {back.get(4)} {body}"
                return

    def signal(self, interface: str, member: str) -> None:
        self.send(4, {1: ("o", "/"), 2: ("s", interface), 3: ("s", member)}, ())

    def answer(self) -> None:
        """Answers every call, until the connection ends."""
        while True:
            try:
                kind, fields, _ = self.receive()
                if kind == 1:
                    self.send(2, {5: ("u", fields["serial"]), 6: ("s", fields[7])}, ())
            except (OSError, EOFError, ValueError):
                return

    def send(
        self, kind: int, fields: dict[int, tuple[str, Any]], texts: tuple[str, ...], number: int | None = None
    ) -> int:
        self.serial += 1
        body = bytearray()
        for text in texts:
            put_text(body, text)
        signature = "s" * len(texts)
        if number is not None:
            pad(body, 4)
            body += struct.pack("<I", number)
            signature += "u"
        if signature:
            fields = fields | {8: ("g", signature)}
        array = bytearray()
        for code, (form, value) in fields.items():
            pad(array, 8)
            array += bytes([code, 1]) + form.encode() + b"\0"
            if form == "u":
                pad(array, 4)
                array += struct.pack("<I", value)
            elif form == "g":
                array += bytes([len(value)]) + value.encode() + b"\0"
            else:
                put_text(array, value)
        message = bytearray(b"l" + bytes([kind, 0, 1]) + struct.pack("<III", len(body), self.serial, len(array)))
        message += array
        pad(message, 8)
        self.socket.sendall(bytes(message + body))
        return self.serial

    def receive(self) -> tuple[int, dict[Any, Any], str]:
        """Kind, header fields (and the serial), and the first text of the body."""
        head = self.exactly(16)
        order = "<" if head[:1] == b"l" else ">"
        body_length, serial, array_length = struct.unpack(order + "III", head[4:])
        array = self.exactly((array_length + 7) & ~7)
        fields: dict[Any, Any] = {"serial": serial}
        at = 0
        while at < array_length:
            code, form = array[at], chr(array[at + 2])
            at += 4
            if form == "g":
                length, start = array[at], at + 1
            elif form == "u":
                fields[code] = struct.unpack_from(order + "I", array, at)[0]
                at = (at + 4 + 7) & ~7
                continue
            else:
                length, start = struct.unpack_from(order + "I", array, at)[0], at + 4
            fields[code] = array[start : start + length].decode()
            at = (start + length + 1 + 7) & ~7
        body = self.exactly(body_length)
        text = ""
        if str(fields.get(8, "")).startswith("s"):
            length = struct.unpack_from(order + "I", body)[0]
            text = body[4 : 4 + length].decode()
        return head[1], fields, text

    def exactly(self, length: int) -> bytes:
        read = self.input.read(length)
        if len(read) < length:
            raise EOFError("the bus has hung up")
        return read


def pad(buffer: bytearray, to: int) -> None:
    buffer += bytes(-len(buffer) % to)


def put_text(buffer: bytearray, text: str) -> None:
    pad(buffer, 4)
    buffer += struct.pack("<I", len(text.encode())) + text.encode() + b"\0"


class Bus:
    """The bus, with an owner under each name that is called, and polkitd."""

    def __init__(self) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="coffer-policies-"))
        # polkitd becomes a user of its own.
        self.scratch.chmod(0o755)
        self.running: list[subprocess.Popen[str]] = []
        self.owners: dict[str, Connection] = {}
        self.lay_out()
        daemon = self.start("dbus-daemon", "--nofork", "--print-address", f"--config-file={self.scratch}/bus.conf")
        assert daemon.stdout is not None
        self.address = daemon.stdout.readline().strip()
        assert self.address, f"dbus-daemon does not start: {daemon.communicate()[1]}"
        for name in (BLUEZ, NM, SYSTEMD, HOSTNAME, LOGIN, SUPPLICANT):
            owner = Connection(self.address)
            owner.own(name)
            self.owners[name] = owner
        self.start("/usr/lib/polkit-1/polkitd", "--no-debug")
        self.wait_for(POLKIT)
        for owner in self.owners.values():
            # As patient as a service.
            owner.socket.settimeout(None)
            threading.Thread(target=owner.answer, daemon=True).start()

    def lay_out(self) -> None:
        for name in ("system.d", "actions", "rules.d", "empty/rules.d"):
            (self.scratch / name).mkdir(parents=True)
        for source in policies("dbus-1/system.d", "*.conf"):
            shutil.copy(source, self.scratch / "system.d")
        for source in policies("polkit-1/actions", "*.policy"):
            shutil.copy(source, self.scratch / "actions")
        for source in policies("polkit-1/rules.d", "*.rules"):
            shutil.copy(source, self.scratch / "rules.d")
        shutil.copy(POLICY, self.scratch / "system.d")
        shutil.copy(RULE, self.scratch / "rules.d")
        (self.scratch / "bus.conf").write_text(self.configuration())
        users = {"coffer-ble": COFFER_BLE, **OTHERS}
        for file, line in (("passwd", "{0}:x:{1}:{1}::/:/bin/false\n"), ("group", "{0}:x:{1}:\n")):
            there = [entry for entry in Path(f"/etc/{file}").read_text().splitlines(keepends=True)
                     if entry.split(":")[0] not in users]  # fmt: skip
            text = "".join(there) + "".join(line.format(*user) for user in users.items())
            (self.scratch / file).write_text(text)

    def configuration(self) -> str:
        """Debian's, but for where it listens and where the policies are, and in the foreground."""
        text = SYSTEM_CONF.read_text()
        text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
        text = re.sub(r"<(user|pidfile|servicehelper|listen|includedir)>.*?</\1>", "", text)
        text = re.sub(r"<(fork|syslog|standard_system_servicedirs)/>", "", text)
        text = re.sub(r"<include .*?</include>", "", text)
        listen = f"<listen>unix:path={self.scratch}/bus</listen><includedir>{self.scratch}/system.d</includedir>"
        return text.replace("</busconfig>", listen + "</busconfig>")

    def start(self, *command: str) -> subprocess.Popen[str]:
        """In a mount namespace in which our users exist, and polkit finds our files where it looks."""
        script = """
            mount --bind "$1/passwd" /etc/passwd
            mount --bind "$1/group" /etc/group
            mount --bind "$1/actions" /usr/share/polkit-1/actions
            mount --bind "$1/rules.d" /usr/share/polkit-1/rules.d
            mount --bind "$1/empty" /etc/polkit-1
            shift
            exec "$@"
        """
        inside = ["unshare", "--mount", "--propagation=private", "sh", "-euc", script, "sh", str(self.scratch)]
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DBUS_SYSTEM_BUS_ADDRESS": getattr(self, "address", "")}
        process = subprocess.Popen(
            [*inside, *command], env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.running.append(process)
        return process

    def wait_for(self, name: str) -> None:
        """Until somebody owns the name: the bus tells."""
        with Connection(self.address) as watcher:
            rule = f"type='signal',sender='{BUS}',member='NameOwnerChanged',arg0='{name}'"
            watcher.call((BUS, BUS, "AddMatch"), rule)
            while watcher.call((BUS, BUS, "GetNameOwner"), name)[0]:
                watcher.receive()

    def close(self) -> None:
        for owner in self.owners.values():
            owner.__exit__()
        for process in reversed(self.running):
            process.kill()
            process.communicate()
        shutil.rmtree(self.scratch)


def policies(folder: str, pattern: str) -> list[Path]:
    """What Debian's packages bring: those that are installed, and those that are only fetched (tests/fetch-files)."""
    roots = [Path("/usr/share") / folder, Path("/etc") / folder]
    roots += [FETCHED / package / top / folder for package in FETCHED_PACKAGES for top in ("usr/share", "etc")]
    found: dict[str, Path] = {}
    for root in roots:
        for path in sorted(root.glob(pattern)):
            if path.name not in (POLICY.name, RULE.name):
                found.setdefault(path.name, path)
    return list(found.values())


FETCHED_PACKAGES = ("bluez", "network-manager", "wpasupplicant")


def checks() -> Iterator[tuple[str, Callable[[], None]]]:
    """One bus for all of them; it ends with the last."""
    bus = Bus()
    try:
        yield "the policies of all services are there", partial(policies_are_there, bus)
        yield "coffer-ble may make each of its calls", partial(own_calls_are_let_through, bus)
        yield "coffer-ble may make no other call", partial(other_calls_are_refused, bus)
        yield "the policy opens nothing that is not used", policy_is_no_larger_than_the_calls
        yield "coffer-ble may own no name", partial(no_name_may_be_owned, bus)
        yield "BlueZ may call coffer-ble back, and nobody else", partial(only_bluez_calls_back, bus)
        yield "coffer-ble hears wpa_supplicant, others do not", partial(supplicant_is_heard, bus)
        yield "polkit grants coffer-ble five actions of all there are", partial(actions_are_granted, bus)
        yield "polkit lets coffer-ble start and restart its units alone", partial(units_are_managed, bus)
        yield "polkit grants nobody else anything by our rule", partial(others_are_granted_nothing, bus)
    finally:
        bus.close()


def policies_are_there(bus: Bus) -> None:
    texts = "".join(path.read_text() for path in (bus.scratch / "system.d").iterdir())
    missing = [name for name in (BLUEZ, NM, SYSTEMD, HOSTNAME, LOGIN, POLKIT, SUPPLICANT) if f'own="{name}"' not in texts]
    missing += sorted((GRANTED | {MANAGE_UNITS}) - set(actions(bus)))
    assert not missing, f"nothing says who owns {missing}; tests/fetch-files brings it"


def own_calls_are_let_through(bus: Bus) -> None:
    with Connection(bus.address, COFFER_BLE) as service:
        for call in CALLS:
            # The bus itself takes offence at the arguments; what matters is that it looks at them.
            error, text = service.call(call)
            assert error in ("", f"{BUS}.Error.InvalidArgs"), f"{call}: {error} {text}"


def other_calls_are_refused(bus: Bus) -> None:
    with Connection(bus.address, COFFER_BLE) as service:
        for call in REFUSED:
            error, text = service.call(call)
            assert error == f"{BUS}.Error.AccessDenied", f"{call}: {error or 'let through'} {text}"


def policy_is_no_larger_than_the_calls() -> None:
    opened = {
        (rule.get("send_destination"), rule.get("send_interface"), rule.get("send_member"))
        for rule in ElementTree.parse(POLICY).getroot().iter("allow")
        if rule.get("send_destination") != BUS and rule.get("receive_sender") is None
    }
    used = {call for call in CALLS if call[0] != BUS}
    assert opened == used, f"too many: {opened - used}; too few: {used - opened}"


def no_name_may_be_owned(bus: Bus) -> None:
    with Connection(bus.address, COFFER_BLE) as service:
        for name in ("org.bluez", "com.example.coffer"):
            try:
                service.own(name)
            except AssertionError as error:
                assert "AccessDenied" in str(error), error
            else:
                raise AssertionError(f"{name} may be owned")


def only_bluez_calls_back(bus: Bus) -> None:
    with Connection(bus.address, COFFER_BLE) as service, Connection(bus.address, 0) as root:
        service.socket.settimeout(None)
        threading.Thread(target=service.answer, daemon=True).start()
        for interface, member in (
            ("org.bluez.GattCharacteristic1", "WriteValue"),
            ("org.bluez.LEAdvertisement1", "Release"),
            (OBJECTS, "GetManagedObjects"),
        ):
            call = (BLUEZ, interface, member)
            assert root.call(call, destination=service.name) == ("", "")
            with Connection(bus.address, NOBODY) as stranger:
                assert stranger.call(call, destination=service.name)[0] == f"{BUS}.Error.AccessDenied"


def supplicant_is_heard(bus: Bus) -> None:
    interface = f"{SUPPLICANT}.Interface"
    listeners = {user: Connection(bus.address, user) for user in (COFFER_BLE, NOBODY)}
    heard = {}
    for user, listener in listeners.items():
        for rule in (f"type='signal',interface='{interface}'", "type='signal',interface='test.End'"):
            listener.call((BUS, BUS, "AddMatch"), rule)
    bus.owners[SUPPLICANT].signal(interface, "EAP")
    # Anybody may say this; from the same connection it would be kept from the one who may not hear the other.
    with Connection(bus.address) as other:
        # The bus keeps order: an answer to the one who said the first proves that it was passed on.
        assert bus_has_passed_on(bus, other)
        other.signal("test.End", "End")
        for user, listener in listeners.items():
            members = []
            while not members or members[-1] != "End":
                kind, fields, _ = listener.receive()
                if kind == 4:
                    members.append(fields[3])
            heard[user] = members[:-1]
            listener.__exit__()
    assert heard == {COFFER_BLE: ["EAP"], NOBODY: []}, heard


def bus_has_passed_on(bus: Bus, other: Connection) -> bool:
    """Whoever calls the supplicant has its answer only after what it sent before."""
    return other.call((SUPPLICANT, SUPPLICANT, "GetInterface")) == ("", "")


def actions(bus: Bus) -> list[str]:
    found = []
    for path in sorted((bus.scratch / "actions").glob("*.policy")):
        found += [action.get("id", "") for action in ElementTree.parse(path).getroot().iter("action")]
    return found


def granted(bus: Bus, process: subprocess.Popen[bytes], action: str, *details: str) -> bool:
    """Asks polkitd as a service does, about a process."""
    words = [word for index in range(0, len(details), 2) for word in ("--detail", *details[index : index + 2])]
    command = ["pkcheck", "--action-id", action, "--process", str(process.pid), *words]
    variables = {"PATH": "/usr/bin:/bin", "DBUS_SYSTEM_BUS_ADDRESS": bus.address}
    done = subprocess.run(command, env=variables, text=True, capture_output=True, check=False, timeout=PATIENCE_S)
    # 1: no. 2: no, unless somebody typed a password.
    assert done.returncode in (0, 1, 2), f"pkcheck {action}: {done.stderr}"
    return done.returncode == 0


class Running:
    """A process of a user's, for polkit to look at."""

    def __init__(self, uid: int) -> None:
        self.process = subprocess.Popen(["sleep", "infinity"], user=uid, group=uid, extra_groups=[])

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def actions_are_granted(bus: Bus) -> None:
    with Running(COFFER_BLE) as process:
        allowed = {action for action in actions(bus) if granted(bus, process, action)}
    # Some are open to everybody by the word of their own package.
    with Running(NOBODY) as process:
        allowed -= {action for action in allowed - GRANTED if granted(bus, process, action)}
    assert allowed == GRANTED, f"too many: {allowed - GRANTED}; too few: {GRANTED - allowed}"


def units_are_managed(bus: Bus) -> None:
    with Running(COFFER_BLE) as process:
        for verb, unit, expected in UNITS:
            found = granted(bus, process, MANAGE_UNITS, "verb", verb, "unit", unit)
            assert found == expected, f"{verb} {unit!r}: {found}"


def others_are_granted_nothing(bus: Bus) -> None:
    for user in (*OTHERS.values(), NOBODY):
        with Running(user) as process:
            for action in sorted(GRANTED):
                assert not granted(bus, process, action), f"{user}: {action}"
            for verb, unit, expected in UNITS:
                if expected:
                    assert not granted(bus, process, MANAGE_UNITS, "verb", verb, "unit", unit), f"{user}: {verb} {unit}"
