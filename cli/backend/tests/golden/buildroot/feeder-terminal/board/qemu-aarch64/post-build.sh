#!/bin/sh
# Buildroot's post-build hook: no symbol that was asked for may be lost, and no file of an
# older plan may stay.
set -eu

target=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
: "${BR2_CONFIG:?is set by Buildroot}" "${BUILD_DIR:?is set by Buildroot}"

# The one build folder of a package, whatever its version.
folder_of() {
	found=
	for folder in "$BUILD_DIR/$1"-[0-9]* "$BUILD_DIR/$1-custom"; do
		[ -f "$folder/.stamp_built" ] || continue
		if [ -n "$found" ]; then
			echo "error: two builds of $1: $found and $folder; remove the old one" >&2
			exit 1
		fi
		found=$folder
	done
	echo "$found"
}

"$here/check-asked.sh" Buildroot "$BR2_CONFIG" "$here/asked/buildroot.txt"
"$here/check-asked.sh" Linux "$(folder_of linux)/.config" "$here/asked/linux.txt"
"$here/check-asked.sh" U-Boot "$(folder_of uboot)/.config" "$here/asked/uboot.txt"
if [ -f "$here/asked/busybox.txt" ]; then
	"$here/check-asked.sh" BusyBox "$(folder_of busybox)/.config" "$here/asked/busybox.txt"
elif grep -q -x 'BR2_PACKAGE_BUSYBOX=y' "$BR2_CONFIG"; then
	echo "error: BusyBox is on, but nothing was asked of it" >&2
	exit 1
else
	echo "BusyBox is off: nothing of it is compared"
fi

# Buildroot copies the overlay over target/ and forgets what an older overlay put there.
seen=$BUILD_DIR/fastness-overlay.txt
hidden=
if [ -f "$seen" ]; then
	while IFS= read -r path; do
		grep -q -x -F -e "$path" "$here/overlay.txt" && continue
		rm -f -- "$target$path"
		if sed 's/^[^,]*,\.//' "$BUILD_DIR/packages-file-list.txt" | grep -q -x -F -e "$path"; then
			hidden="$hidden $path"
		fi
	done <"$seen"
fi
cp -- "$here/overlay.txt" "$seen"
if [ -n "$hidden" ]; then
	echo "error: an older overlay hid files of packages, which are gone now:$hidden" >&2
	if grep -q -x 'BR2_PER_PACKAGE_DIRECTORIES=y' "$BR2_CONFIG"; then
		echo "hint: run make once more; Buildroot takes them from the packages' own folders" >&2
	else
		echo "hint: make PACKAGE-reinstall for the packages that have them, then make once more" >&2
	fi
	exit 1
fi
