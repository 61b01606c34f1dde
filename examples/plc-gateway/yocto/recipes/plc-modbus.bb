SUMMARY = "Modbus server of the PLC's registers"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://LICENSE;md5=0450c40f3866cbf9cdc6866f9b076d98"

DEPENDS = "libmodbus"

SRC_URI = "file://src"

# `scarthgap` has no UNPACKDIR.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}/src"

do_compile() {
    ${CC} -std=c11 -D_GNU_SOURCE ${CPPFLAGS} ${CFLAGS} ${LDFLAGS} -o plc-modbus ${S}/plc-modbus.c -lmodbus
}

do_install() {
    install -D -m 0755 plc-modbus ${D}${bindir}/plc-modbus
}
