################################################################################
#
# coffer
#
################################################################################

COFFER_VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' \
	$(BR2_EXTERNAL_COFFER_PATH)/../Cargo.toml | head -n 1)
COFFER_SITE = $(BR2_EXTERNAL_COFFER_PATH)/..
COFFER_SITE_METHOD = local
COFFER_LICENSE = Apache-2.0
COFFER_LICENSE_FILES = LICENSE
# zbus speaks D-Bus itself; bluer does it through libdbus.
COFFER_DEPENDENCIES = dbus host-pkgconf

# What is built, kept or cached in the tree is no source, and some of it is a
# person's vault.
COFFER_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = \
	--exclude /target --exclude /build --exclude /var \
	--exclude /buildroot --exclude /web --exclude node_modules

# Buildroot turns LTO off and sets 16 units through the environment, which
# would overrule the release profile of Cargo.toml.
COFFER_CARGO_ENV = \
	PKG_CONFIG_ALLOW_CROSS=1 \
	CARGO_PROFILE_RELEASE_LTO=thin \
	CARGO_PROFILE_RELEASE_CODEGEN_UNITS=4

COFFER_PROGRAMS = cofferd coffer-ble
COFFER_CARGO_BUILD_OPTS = $(foreach program,$(COFFER_PROGRAMS),--package $(program))

# Local sources are never vendored by the download step: scripts/image does it
# (`cargo fetch --locked`) into the folder that the build reads offline.

# The workspace's manifest is virtual, which `cargo install --path .` refuses.
# Units and policies have one road, which the tests use too.
define COFFER_INSTALL_TARGET_CMDS
	$(foreach program,$(COFFER_PROGRAMS),
		$(INSTALL) -D -m 0755 \
			$(@D)/target/$(RUSTC_TARGET_NAME)/release/$(program) \
			$(TARGET_DIR)/usr/bin/$(program)
	)
	$(@D)/systemd/install $(TARGET_DIR)
endef

# As in systemd/sysusers.d/coffer.conf, which a read-only root cannot follow at
# boot; tests/check-image compares the two.
define COFFER_USERS
	- - coffer-control 413 - - - - -
	coffer 410 coffer 410 * - - - Coffer storage daemon
	coffer-ble 411 coffer-ble 411 * - - coffer-control Coffer Bluetooth set-up
	cloudflared 412 cloudflared 412 * - - - Coffer tunnel
	coffer-hooks 414 coffer-hooks 414 * - - - Hook programs of Coffer
endef

$(eval $(cargo-package))
