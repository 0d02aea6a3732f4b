# The front door. Each target is one line; what it does is in scripts/, and says so at its top.

.PHONY: help run check test bench cross macos image emulate clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build the daemon and start it on 127.0.0.1:8000, with its state under ./var/
	@scripts/run

check: ## the inner loop: format, lint, unit tests
	@scripts/check

test: ## everything, the emulated appliance included; ends with one line of counts
	@scripts/test

bench: ## measure the daemon on this machine, with targets beside the numbers; never fails on one
	@scripts/bench

cross: ## build the appliance's programs for aarch64, into build/aarch64/
	@scripts/cross

macos: ## build the client for macOS, into build/macos/
	@scripts/macos

image: ## build the SD card's image with Buildroot, into build/image/; BOARD=qemu_aarch64 the emulator's
	@scripts/image $(BOARD)

emulate: ## boot the appliance in QEMU, with a serial console and port 8000; IMAGE=FILE boots that image
	@scripts/emulate $(IMAGE)

clean: ## delete what was built; never ./var/, which holds your data
	@scripts/clean
