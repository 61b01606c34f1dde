# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "plc-gateway: OPC UA with encryption and certificates"
DESCRIPTION = "Files of the layer opcua, as fastness resolved them"
SECTION = "base"
LICENSE = "LicenseRef-plc-gateway"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-plc-gateway;md5=3958ec0e23986b1ec4d31abc719cbb4e"
SRC_URI = "file://rootfs"

S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"

inherit allarch

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${sysconfdir}
    install -d -m 0755 ${D}${sysconfdir}/opcua
    install -m 0644 ${UNPACKDIR}/rootfs/etc/opcua/plc.conf ${D}${sysconfdir}/opcua/plc.conf
    install -d ${D}${nonarch_libdir}/tmpfiles.d
    install -m 0644 ${UNPACKDIR}/rootfs/usr/lib/tmpfiles.d/fastness-opcua.conf ${D}${nonarch_libdir}/tmpfiles.d/fastness-opcua.conf
}

FILES:${PN} = "${nonarch_libdir} ${sysconfdir}"

RDEPENDS:${PN} = "plc-gateway-accounts"
