"""The firewall before real packets, in network namespaces of this machine; and the card that grows, as a file."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from harness import image
from image.checks import BUILDROOT, PROJECT, Skipped, need, run, succeed

_RULES = PROJECT / "overlay/etc/nftables.conf"
_GROW = PROJECT / "systemd/libexec/coffer-grow"
# Runs in a network namespace of its own, which is the box; a second one is the neighbour. Prints who got through.
_BOX = r"""
import socket, subprocess, sys
rules = sys.argv[1]

def ip(*words): subprocess.run(["ip", *words], check=True)

neighbour = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 120"], stdout=subprocess.PIPE)
neighbour.stdout.readline()
inside = ["nsenter", "--net", "--target", str(neighbour.pid)]
try:
    ip("link", "add", "box", "type", "veth", "peer", "name", "peer", "netns", str(neighbour.pid))
    for address in ("192.168.7.1/24", "203.0.113.1/24"):
        ip("address", "add", address, "dev", "box")
    ip("link", "set", "box", "up")
    ip("link", "set", "lo", "up")
    for address in ("192.168.7.2/24", "203.0.113.2/24"):
        subprocess.run([*inside, "ip", "address", "add", address, "dev", "peer"], check=True)
    subprocess.run([*inside, "ip", "link", "set", "peer", "up"], check=True)
    # Twice: the second replaces the first.
    for _ in range(2):
        subprocess.run(["nft", "--file", rules], check=True)
    listeners = [socket.create_server(("0.0.0.0", port)) for port in (443, 8000, 22)]
    call = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2, (sys.argv[3], 0))"
    for source, target in (("192.168.7.2", "192.168.7.1"), ("203.0.113.2", "203.0.113.1"), ("127.0.0.1", "127.0.0.1")):
        for port in ("443", "8000", "22"):
            where = [] if source == "127.0.0.1" else inside
            done = subprocess.run([*where, sys.executable, "-c", call, target, port, source], stderr=subprocess.DEVNULL)
            print(source, port, "in" if done.returncode == 0 else "out")
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("0.0.0.0", 5353))
    names.settimeout(2)
    for source, target in (("192.168.7.2", "192.168.7.1"), ("203.0.113.2", "203.0.113.1")):
        send = (
            "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
            "s.bind((sys.argv[1], 0)); s.sendto(b'x', (sys.argv[2], 5353))"
        )
        subprocess.run([*inside, sys.executable, "-c", send, source, target], check=True)
        try:
            names.recv(1)
            print(source, "5353", "in")
        except TimeoutError:
            print(source, "5353", "out")
finally:
    neighbour.kill()
"""
_WANTED = {
    "192.168.7.2 443 in", "192.168.7.2 8000 out", "192.168.7.2 22 out", "192.168.7.2 5353 in",
    "203.0.113.2 443 out", "203.0.113.2 8000 out", "203.0.113.2 22 out", "203.0.113.2 5353 out",
    "127.0.0.1 443 in", "127.0.0.1 8000 in", "127.0.0.1 22 in",
}  # fmt: skip


def checks() -> Iterator[tuple[str, Callable[[], None]]]:
    yield "the rules of the firewall are rules", the_rules_are_rules
    yield "neighbours reach HTTPS and mDNS, nobody else anything", who_gets_through
    yield "the data partition grows once, to the card's end", the_data_partition_grows
    yield "a growth that was cut off is finished", a_growth_that_was_cut_off_is_finished
    yield "a card that is not ours does not grow", a_foreign_card_does_not_grow


def _root() -> None:
    if os.geteuid() != 0 or run("unshare", "--net", "true").returncode != 0:
        raise Skipped("only root has network namespaces, and not everywhere")


def the_rules_are_rules() -> None:
    need("nft")
    _root()
    succeed("nft", "--check", "--file", _RULES)


def who_gets_through() -> None:
    need("nft", "ip", "unshare", "nsenter")
    _root()
    said = succeed("unshare", "--net", sys.executable, "-c", _BOX, _RULES)
    found = set(said.splitlines())
    assert found == _WANTED, f"more: {found - _WANTED}, fewer: {_WANTED - found}"


def _card(scratch: str, signature: str = "0xc0ffe5d1") -> Path:
    """The table of genimage.cfg without contents, on a card of 4 GiB."""
    need("genimage", "sfdisk")
    folder = Path(scratch)
    text = (BUILDROOT / "board/coffer/common/genimage.cfg").read_text().replace("0xc0ffe5d1", signature)
    text = "\n".join(line for line in text.splitlines() if not line.strip().startswith("image = "))
    (folder / "genimage.cfg").write_text(text)
    (folder / "root").mkdir()
    paths = ("--rootpath", folder / "root", "--tmppath", folder / "tmp", "--inputpath", folder, "--outputpath", folder)
    succeed("genimage", *paths, "--config", folder / "genimage.cfg")
    card = folder / "coffer.img"
    os.truncate(card, 4 * 1024**3)
    return card


def _grown(card: Path, before: list[image.Partition]) -> None:
    after = image.partitions(card)
    data, extended = after[6], after[3]
    assert data.offset == before[6].offset and data.offset + data.size == 4 * 1024**3, data
    assert extended.offset == before[3].offset and extended.offset + extended.size == 4 * 1024**3, extended
    assert [after[index] for index in (0, 1, 2, 4, 5)] == [before[index] for index in (0, 1, 2, 4, 5)]


def the_data_partition_grows() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        card = _card(scratch)
        before = image.partitions(card)
        succeed(_GROW, card)
        _grown(card, before)
        with open(card, "rb") as file:
            table = file.read(1024**2)
        said = run(_GROW, card)
        assert said.returncode == 0 and not said.stderr, said.stderr
        with open(card, "rb") as file:
            assert file.read(1024**2) == table, "the second call wrote to the table"


def a_growth_that_was_cut_off_is_finished() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        card = _card(scratch)
        before = image.partitions(card)
        # The first step of two, as the script does it.
        succeed("sh", "-c", f"echo ', +' | sfdisk --quiet --no-reread -N 4 {card}")
        assert image.partitions(card)[6] == before[6]
        succeed(_GROW, card)
        _grown(card, before)


def a_foreign_card_does_not_grow() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        card = _card(scratch, "0x12345678")
        before = image.partitions(card)
        succeed(_GROW, card)
        assert image.partitions(card) == before
