"""What the workload asked of the daemon, and between which positions of the record each answer came."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from powercut.journal import Position


@dataclass
class Operation:
    """One change. Before `started` it has not happened; from `acknowledged` on it has; in between it may have."""

    action: str
    detail: dict[str, Any]
    started: int
    acknowledged: int | None = None
    result: Any = None

    def has_happened(self, position: int) -> bool:
        return self.acknowledged is not None and self.acknowledged <= position

    def may_have_happened(self, position: int) -> bool:
        return self.started <= position


@dataclass
class History:
    """Every operation, in the order in which they were begun."""

    operations: list[Operation] = field(default_factory=list)
    passphrase: str = ""
    # The staged key file of the creation that was interrupted: what a stick may still hold for ever.
    stale_key_file: bytes = b""

    def of(self, action: str) -> Iterator[Operation]:
        return (operation for operation in self.operations if operation.action == action)

    def happened(self, action: str, position: int) -> list[Operation]:
        return [operation for operation in self.of(action) if operation.has_happened(position)]

    def possible_secrets(self, position: int, by_recovery_key: bool = False) -> list[dict[str, str]]:
        """What may open the vault: the last that was acknowledged, and those that were on their way."""
        kind = "recovery_key" if by_recovery_key else "master_password"
        change = "vault.recovery_key_replaced" if by_recovery_key else "vault.master_password_changed"
        secrets: list[str] = []
        for action in ("vault.created", change):
            for operation in self.of(action):
                secret = operation.result if by_recovery_key else operation.detail["password"]
                if operation.has_happened(position):
                    secrets = [secret]
                elif operation.may_have_happened(position):
                    secrets.append(secret)
        return [{kind: secret} for secret in secrets]

    def as_of(self, position: int) -> History:
        """What is known after a cut there, as what lies before the first position of another record."""
        before = [
            replace(operation, started=0, acknowledged=0 if operation.has_happened(position) else None)
            for operation in self.operations
            if operation.may_have_happened(position)
        ]
        return History(before, self.passphrase, self.stale_key_file)

    def acknowledgements(self) -> list[int]:
        return sorted(operation.acknowledged for operation in self.operations if operation.acknowledged is not None)


class Witness:
    """Writes the history down, from several threads."""

    def __init__(self, position: Position, history: History | None = None) -> None:
        self.history = history or History()
        self._position = position
        self._lock = threading.Lock()

    @contextmanager
    def watch(self, action: str, **detail: Any) -> Iterator[Callable[[Any], None]]:
        """Call what this yields with the result, as soon as the acknowledgement is there."""
        operation = Operation(action, detail, self._position.now())
        with self._lock:
            self.history.operations.append(operation)

        def acknowledge(result: Any) -> None:
            operation.acknowledged = self._position.now()
            operation.result = result

        yield acknowledge
