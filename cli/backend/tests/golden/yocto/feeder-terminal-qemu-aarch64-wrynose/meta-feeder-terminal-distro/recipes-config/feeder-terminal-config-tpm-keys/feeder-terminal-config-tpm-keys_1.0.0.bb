# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "feeder-terminal: The key of the tunnels is made in the device's TPM and never leaves it"
DESCRIPTION = "Files of the layer tpm-keys, as fastness resolved them"
SECTION = "base"
LICENSE = "LicenseRef-feeder-terminal"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-feeder-terminal;md5=3958ec0e23986b1ec4d31abc719cbb4e"
SRC_URI = "file://rootfs"

S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"

inherit allarch systemd features_check

REQUIRED_DISTRO_FEATURES = "systemd"

SYSTEMD_SERVICE:${PN} = "fastness-tpm-key.service"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${sysconfdir}/systemd/system
    install -m 0644 ${UNPACKDIR}/rootfs/etc/systemd/system/fastness-tpm-key.service ${D}${sysconfdir}/systemd/system/fastness-tpm-key.service
    install -d ${D}${nonarch_libdir}/fastness/selfcheck.d
    install -m 0755 ${UNPACKDIR}/rootfs/usr/lib/fastness/selfcheck.d/self.tpm-key ${D}${nonarch_libdir}/fastness/selfcheck.d/self.tpm-key
    install -d ${D}${nonarch_libdir}/fastness
    install -m 0755 ${UNPACKDIR}/rootfs/usr/lib/fastness/tpm-key ${D}${nonarch_libdir}/fastness/tpm-key
    install -d ${D}${nonarch_libdir}/tmpfiles.d
    install -m 0644 ${UNPACKDIR}/rootfs/usr/lib/tmpfiles.d/tpm-keys.conf ${D}${nonarch_libdir}/tmpfiles.d/tpm-keys.conf
}

FILES:${PN} = "${nonarch_libdir} ${sysconfdir}"

RDEPENDS:${PN} = "feeder-terminal-accounts"
