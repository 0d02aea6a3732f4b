"""Boots the appliance in an emulator: base image, our layer, disks, machine, phone."""
