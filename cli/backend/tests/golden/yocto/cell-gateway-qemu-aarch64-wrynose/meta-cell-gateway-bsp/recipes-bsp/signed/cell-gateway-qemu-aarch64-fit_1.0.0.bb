# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "Kernel, device tree and the root's hash of cell-gateway for qemu-aarch64, signed"
DESCRIPTION = "The FIT that U-Boot of this machine verifies, and the root with its hash tree"
SECTION = "bootloaders"
LICENSE = "LicenseRef-cell-gateway"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-cell-gateway;md5=3958ec0e23986b1ec4d31abc719cbb4e"

COMPATIBLE_MACHINE = "^cell-gateway-qemu-aarch64$"

SIGNED_IMAGE ?= "cell-gateway-image"
SIGNED_PRODUCT = "cell-gateway"
SIGNED_VERSION = "1.0.0"
# The partition with the root; a disk of your own may have another.
SIGNED_PARTUUID ?= "1752e405-4b54-86d6-844d-ba82ffe66fe6"
SIGNED_CMDLINE = "console=ttyAMA0 loglevel=5 rootwait net.ifnames=0 slab_nomerge page_alloc.shuffle=1 init_on_alloc=1 init_on_free=1 randomize_kstack_offset=1 lockdown=confidentiality iommu.passthrough=0 iommu.strict=1 proc_mem.force_override=never bdev_allow_write_mounted=0 hardened_usercopy=1 mitigations=auto panic=5 audit=1 audit_backlog_limit=8192"
UBOOT_LOADADDRESS = "0x40400000"
UBOOT_ENTRYPOINT = "0x40400000"
UBOOT_DTB_LOADADDRESS = "0x48000000"

inherit cell_gateway_fit

DEPENDS += "cell-gateway-qemu-aarch64-devicetree"
