# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "cell-gateway: One trusted time"
DESCRIPTION = "Files of the layer time, as fastness resolved them"
SECTION = "base"
LICENSE = "LicenseRef-cell-gateway"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-cell-gateway;md5=3958ec0e23986b1ec4d31abc719cbb4e"
SRC_URI = "file://rootfs"

S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"

inherit allarch systemd features_check

REQUIRED_DISTRO_FEATURES = "systemd"

SYSTEMD_SERVICE:${PN} = "chrony.service"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${sysconfdir}/chrony
    install -m 0644 ${UNPACKDIR}/rootfs/etc/chrony/chrony.conf ${D}${sysconfdir}/chrony/chrony.conf
    install -m 0444 ${UNPACKDIR}/rootfs/etc/chrony/nts-roots.pem ${D}${sysconfdir}/chrony/nts-roots.pem
    install -d ${D}${sysconfdir}/systemd/system
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system/chrony.service ${D}${sysconfdir}/systemd/system/chrony.service
    install -d ${D}${nonarch_libdir}/fastness/selfcheck.d
    install -m 0755 ${UNPACKDIR}/rootfs/usr/lib/fastness/selfcheck.d/self.time ${D}${nonarch_libdir}/fastness/selfcheck.d/self.time
}

FILES:${PN} = "${nonarch_libdir} ${sysconfdir}"

RDEPENDS:${PN} = "cell-gateway-accounts"
