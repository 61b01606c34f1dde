SUMMARY = "OPC UA server of the PLC's values"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://LICENSE;md5=0450c40f3866cbf9cdc6866f9b076d98"

DEPENDS = "open62541 mbedtls"

SRC_URI = "file://src"

# `scarthgap` has no UNPACKDIR.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}/src"

do_compile() {
    ${CC} -std=c11 -D_GNU_SOURCE ${CPPFLAGS} ${CFLAGS} ${LDFLAGS} -o plc-opcua ${S}/plc-opcua.c ${S}/settings.c \
        -lopen62541 -lmbedx509 -lmbedcrypto
}

do_install() {
    install -D -m 0755 plc-opcua ${D}${bindir}/plc-opcua
}
