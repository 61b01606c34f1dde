# nooelint: oelint.var.mandatoryvar.HOMEPAGE
SUMMARY = "Kernel, device tree and the root's hash of pump-station for qemu-aarch64, signed"
DESCRIPTION = "The FIT that U-Boot of this machine verifies, and the root with its hash tree"
SECTION = "bootloaders"
LICENSE = "LicenseRef-pump-station"
LIC_FILES_CHKSUM = "file://${THISDIR}/../../licenses/LicenseRef-pump-station;md5=3958ec0e23986b1ec4d31abc719cbb4e"

COMPATIBLE_MACHINE = "^pump-station-qemu-aarch64$"

SIGNED_IMAGE ?= "pump-station-image"
SIGNED_PRODUCT = "pump-station"
SIGNED_VERSION = "1.0.0"
# The partition with the root; a disk of your own may have another.
SIGNED_PARTUUID ?= "9aa67199-d570-8663-988a-8b9abcb14c3c"
SIGNED_CMDLINE = "console=ttyAMA0 loglevel=5 rootwait net.ifnames=0 slab_nomerge page_alloc.shuffle=1 init_on_alloc=1 init_on_free=1 randomize_kstack_offset=1 lockdown=confidentiality iommu.passthrough=0 iommu.strict=1 proc_mem.force_override=never bdev_allow_write_mounted=0 hardened_usercopy=1 mitigations=auto panic=5 audit=1 audit_backlog_limit=8192"
UBOOT_LOADADDRESS = "0x40400000"
UBOOT_ENTRYPOINT = "0x40400000"
UBOOT_DTB_LOADADDRESS = "0x48000000"

inherit pump_station_fit

DEPENDS += "pump-station-qemu-aarch64-devicetree"
