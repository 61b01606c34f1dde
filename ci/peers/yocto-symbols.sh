# Sourced by ci/peers/yocto and yocto-image: final configurations, made by the trees' own Kconfig as the recipes do it (linux-yocto's
# do_kernel_configme, `merge_config.sh -n`, and U-Boot's do_configure), and compared by the layer's own check. `bsp_layer` is the
# folder, `machine` its machine, `work` where logs go.
# shellcheck shell=bash

# What the board's tuning file is for: a product's or a board's name says nothing of it.
tuned=$(sed -n 's,^require conf/machine/include/,,p' "${bsp_layer:?}/conf/machine/include/${machine:?}.inc")
case $tuned in
arm/arch-armv8* | arm/armv8*) architecture=arm64 cross=aarch64-linux-gnu- ;;
arm/arch-armv7* | arm/armv7*) architecture=arm cross=arm-linux-gnueabihf- ;;
riscv/*) architecture=riscv cross=riscv64-linux-gnu- ;;
*) architecture="" cross="" ;;
esac
# known: whether it is one that can be configured here.
known() {
	[ -n "$architecture" ] || { echo "error: $machine is tuned by $tuned: expected one of ARMv8, ARMv7 or RISC-V" >&2; return 2; }
}

# held NAME CONFIG FOLDER SOURCES: FOLDER has what was asked, and who asked.
held() {
	sh "$3/check-asked.sh" "$1" "$2" "$3/asked.txt" "$4" || return 1
	echo "$1: $(wc -l <"$3/asked.txt") symbols asked, all held or waived"
}

# logged FILE COMMAND…: what it says is shown where it fails.
logged() {
	local log=$1
	shift
	"$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2; return 1; }
}

# configured_linux TREE FOLDER: Linux' final configuration in that folder, held.
configured_linux() {
	local files=$bsp_layer/recipes-kernel/linux/files/$machine
	known || return
	mkdir -p "$2"
	(cd "$1" && ARCH=$architecture CROSS_COMPILE=$cross logged "${work:?}/linux.log" \
		scripts/kconfig/merge_config.sh -n -O "$2" "$files/defconfig" "$files/fastness.cfg") || return 1
	held "Linux $(make -s -C "$1" kernelversion)" "$2/.config" "$files" "$1"
}

# configured_uboot TREE FOLDER: the same of U-Boot, with its environment.
configured_uboot() {
	local files=$bsp_layer/recipes-bsp/u-boot/files/$machine base
	known || return
	base=$(sed -n 's/^UBOOT_MACHINE ?= "\(.*\)"/\1/p' "$bsp_layer/conf/machine/include/$machine.inc")
	mkdir -p "$2"
	install -m 0644 "$files/fastness.env" "$2/fastness.env"
	(
		cd "$1"
		logged "$work/uboot.log" make -s O="$2" CROSS_COMPILE=$cross "$base" &&
			logged "$work/uboot.log" scripts/kconfig/merge_config.sh -O "$2" -m "$2/.config" "$files/fastness.cfg" &&
			logged "$work/uboot.log" make -s O="$2" CROSS_COMPILE=$cross olddefconfig
	) || return 1
	held "U-Boot $(make -s -C "$1" ubootversion)" "$2/.config" "$files" "$1"
}
