"""A phone's side of the set-up protocol, written from docs/ble.md alone and without any I/O.

`codes` reads what a person typed, `frames` cuts and joins messages, `srp` and `noise` are the arithmetic, `handshake`
puts them together, `channel` seals and opens what follows.
"""
