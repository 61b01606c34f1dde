# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "feeder-terminal: A kernel that protects itself"
DESCRIPTION = "Files of the layer kernel-hardening, as fastness resolved them"
SECTION = "base"
LICENSE = "LicenseRef-feeder-terminal"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-feeder-terminal;md5=3958ec0e23986b1ec4d31abc719cbb4e"
SRC_URI = "file://rootfs"

S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"

inherit allarch

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${nonarch_libdir}/fastness/selfcheck.d
    install -m 0755 ${UNPACKDIR}/rootfs/usr/lib/fastness/selfcheck.d/kern.sysctl-live ${D}${nonarch_libdir}/fastness/selfcheck.d/kern.sysctl-live
    install -m 0755 ${UNPACKDIR}/rootfs/usr/lib/fastness/selfcheck.d/self.lockdown ${D}${nonarch_libdir}/fastness/selfcheck.d/self.lockdown
}

FILES:${PN} = "${nonarch_libdir}"

RDEPENDS:${PN} = "feeder-terminal-accounts"
