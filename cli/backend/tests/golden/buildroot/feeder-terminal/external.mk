include $(sort $(wildcard $(BR2_EXTERNAL_FEEDER_TERMINAL_PATH)/package/*/*.mk))

FASTNESS_BOARD = $(call qstrip,$(BR2_FASTNESS_BOARD))

ifeq ($(FASTNESS_BOARD),qemu-aarch64)
# The kernel's configuration starts at allnoconfig with what is asked, not at the
# architecture's defaults. External trees are read after linux.mk, and these
# variables are expanded only when they are used.
LINUX_KCONFIG_DEFCONFIG = allnoconfig
LINUX_KCONFIG_OPTS += KCONFIG_ALLCONFIG=$(BR2_EXTERNAL_FEEDER_TERMINAL_PATH)/board/$(FASTNESS_BOARD)/linux.fragment

# Packages switch kernel symbols on (systemd: user namespaces, autofs): what is
# asked has the last word.
define FASTNESS_LINUX_CONFIG_FIXUPS
	$(Q)support/kconfig/merge_config.sh -m -O $(LINUX_DIR) $(LINUX_DIR)/.config \
		$(BR2_EXTERNAL_FEEDER_TERMINAL_PATH)/board/$(FASTNESS_BOARD)/linux.fragment >/dev/null
endef
PACKAGES_LINUX_CONFIG_FIXUPS += $(FASTNESS_LINUX_CONFIG_FIXUPS)$(sep)

# U-Boot's whole environment, where its symbol DEFAULT_ENV_FILE looks for it.
FASTNESS_UBOOT_ENV = $(BR2_EXTERNAL_FEEDER_TERMINAL_PATH)/board/$(FASTNESS_BOARD)/u-boot.env

define FASTNESS_COPY_UBOOT_ENV
	$(INSTALL) -D -m 0644 $(FASTNESS_UBOOT_ENV) $(@D)/fastness.env
endef
UBOOT_PRE_BUILD_HOOKS += FASTNESS_COPY_UBOOT_ENV
$(UBOOT_TARGET_BUILD): $(FASTNESS_UBOOT_ENV)

# No control FDT: the one with the key is put behind it after signing.
UBOOT_MAKE_TARGET = u-boot-nodtb.bin

# A symbol that is lost stops the build when its component is configured, not
# after it is compiled. `make fastness-configure` comes so far and no further.
define FASTNESS_CHECK_LINUX
	$(Q)$(BR2_EXTERNAL_FEEDER_TERMINAL_PATH)/board/$(FASTNESS_BOARD)/check-asked.sh Linux $(@D)/.config $(BR2_EXTERNAL_FEEDER_TERMINAL_PATH)/board/$(FASTNESS_BOARD)/asked/linux.txt
endef
LINUX_POST_CONFIGURE_HOOKS += FASTNESS_CHECK_LINUX

define FASTNESS_CHECK_UBOOT
	$(Q)$(BR2_EXTERNAL_FEEDER_TERMINAL_PATH)/board/$(FASTNESS_BOARD)/check-asked.sh U-Boot $(@D)/.config $(BR2_EXTERNAL_FEEDER_TERMINAL_PATH)/board/$(FASTNESS_BOARD)/asked/uboot.txt
endef
UBOOT_POST_CONFIGURE_HOOKS += FASTNESS_CHECK_UBOOT

.PHONY: fastness-configure
fastness-configure: $(LINUX_DIR)/.stamp_kconfig_fixup_done \
		$(UBOOT_DIR)/.stamp_kconfig_fixup_done
	$(Q)printf 'linux %s\nuboot %s\n' '$(LINUX_DIR)' '$(UBOOT_DIR)' \
		>$(BASE_DIR)/fastness-folders.txt

# What the plan asks of packages' builds and no symbol says.
STRONGSWAN_CONF_OPTS += --enable-systemd
STRONGSWAN_CONF_OPTS += --with-systemdsystemunitdir=/usr/lib/systemd/system
STRONGSWAN_DEPENDENCIES += systemd
$(STRONGSWAN_TARGET_CONFIGURE): | systemd
CHRONY_CONF_OPTS += --with-user=_chrony
CHRONY_CONF_OPTS += --sysconfdir=/etc/chrony
OPENSSH_CONF_OPTS += --with-privsep-path=/run/sshd
STRONGSWAN_CONF_OPTS += --enable-tpm
STRONGSWAN_DEPENDENCIES += tpm2-tss
$(STRONGSWAN_TARGET_CONFIGURE): | tpm2-tss
endif
