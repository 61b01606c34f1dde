# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "cell-gateway: The device verifies its own security functions"
DESCRIPTION = "Files of the layer selfcheck, as fastness resolved them"
SECTION = "base"
LICENSE = "LicenseRef-cell-gateway"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-cell-gateway;md5=3958ec0e23986b1ec4d31abc719cbb4e"
SRC_URI = "file://rootfs"

S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"

inherit allarch systemd features_check

REQUIRED_DISTRO_FEATURES = "systemd"

SYSTEMD_SERVICE:${PN} = "fastness-selfcheck.service"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${sysconfdir}/systemd/system
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system/fastness-selfcheck.service ${D}${sysconfdir}/systemd/system/fastness-selfcheck.service
    install -d ${D}${nonarch_libdir}/fastness/identity.d
    ln -s /etc/machine-id ${D}${nonarch_libdir}/fastness/identity.d/machine-id
    install -d ${D}${nonarch_libdir}/fastness
    install -m 0755 ${UNPACKDIR}/rootfs/usr/lib/fastness/selfcheck ${D}${nonarch_libdir}/fastness/selfcheck
}

FILES:${PN} = "${nonarch_libdir} ${sysconfdir}"

RDEPENDS:${PN} = "cell-gateway-accounts"
