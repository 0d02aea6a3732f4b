"""The power-cut suite: records every write of the real daemon to its disks, and checks what each cut would leave."""
