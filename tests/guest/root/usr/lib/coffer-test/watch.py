"""Writes down the arguments and the environment of every process of the box, for the test to search.

The kernel tells of each start of a program (its process connector); a look at all of them now and then finds who
changes its own arguments later.
"""

import os
import socket
import struct
import sys
import time

# linux/connector.h, linux/cn_proc.h, linux/netlink.h
NETLINK_CONNECTOR, NLMSG_DONE = 11, 3
CN_IDX_PROC, CN_VAL_PROC = 1, 1
PROC_CN_MCAST_LISTEN, PROC_EVENT_EXEC = 1, 2
NETLINK_HEADER, CONNECTOR_HEADER = struct.Struct("=IHHII"), struct.Struct("=IIIIHH")
EVENT = struct.Struct("=IIQII")
SWEEP_EVERY_S = 30.0


def main() -> None:
    with (
        socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR) as events,
        open(sys.argv[1], "wb") as out,
    ):
        os.chmod(sys.argv[1], 0o600)
        events.bind((0, CN_IDX_PROC))
        events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        events.send(subscription())
        seen: set[bytes] = set()
        next_sweep = 0.0
        while True:
            if time.monotonic() >= next_sweep:
                for name in filter(str.isdigit, os.listdir("/proc")):
                    record(int(name), seen, out)
                next_sweep = time.monotonic() + SWEEP_EVERY_S
                out.flush()
            events.settimeout(max(0.01, next_sweep - time.monotonic()))
            try:
                message = events.recv(4096)
            except (TimeoutError, OSError):  # also when the kernel had more to tell than there was room for
                continue
            what, _cpu, _at, pid, _group = EVENT.unpack_from(message, NETLINK_HEADER.size + CONNECTOR_HEADER.size)
            if what == PROC_EVENT_EXEC:
                record(pid, seen, out)


def subscription() -> bytes:
    operation = struct.pack("=I", PROC_CN_MCAST_LISTEN)
    connector = CONNECTOR_HEADER.pack(CN_IDX_PROC, CN_VAL_PROC, 0, 0, len(operation), 0) + operation
    return NETLINK_HEADER.pack(NETLINK_HEADER.size + len(connector), NLMSG_DONE, 0, 0, os.getpid()) + connector


def record(pid: int, seen: set[bytes], out) -> None:  # noqa: ANN001
    for name in ("cmdline", "environ"):
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                content = file.read()
        except OSError:  # it has ended already
            continue
        if content and content not in seen:
            seen.add(content)
            out.write(content.replace(b"\0", b" ") + b"\n")


if __name__ == "__main__":
    main()
