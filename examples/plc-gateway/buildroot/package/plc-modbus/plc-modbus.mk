################################################################################
#
# plc-modbus
#
################################################################################

PLC_MODBUS_VERSION = 1.0
PLC_MODBUS_SITE = $(PLC_MODBUS_PKGDIR)/src
PLC_MODBUS_SITE_METHOD = local
PLC_MODBUS_LICENSE = MIT
PLC_MODBUS_LICENSE_FILES = LICENSE
PLC_MODBUS_DEPENDENCIES = libmodbus

define PLC_MODBUS_BUILD_CMDS
	$(TARGET_CC) -std=c11 -D_GNU_SOURCE $(TARGET_CFLAGS) $(TARGET_LDFLAGS) \
		-o $(@D)/plc-modbus $(@D)/plc-modbus.c -lmodbus
endef

define PLC_MODBUS_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/plc-modbus $(TARGET_DIR)/usr/bin/plc-modbus
endef

$(eval $(generic-package))
