# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "feeder-terminal: The security guide, which tells of every layer's part"
DESCRIPTION = "Files in a package of their own, as fastness resolved them"
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
    install -d ${D}${datadir}/fastness
    install -m 0644 ${UNPACKDIR}/rootfs/usr/share/fastness/security-guide.txt ${D}${datadir}/fastness/security-guide.txt
}

FILES:${PN} = "${datadir}"

RDEPENDS:${PN} = "feeder-terminal-accounts"
