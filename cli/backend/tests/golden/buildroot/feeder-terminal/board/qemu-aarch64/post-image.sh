#!/bin/sh
# Buildroot's post-image hook. Nothing here knows a key: signing is done afterwards, elsewhere.
set -eu

images=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
: "${BUILD_DIR:?is set by Buildroot}"

# The final configurations, for whoever assembles and inspects the image.
for folder in "$BUILD_DIR"/linux-[0-9]* "$BUILD_DIR/linux-custom"; do
	if [ -f "$folder/.stamp_built" ]; then cp -- "$folder/.config" "$images/linux.config"; fi
done
for folder in "$BUILD_DIR"/uboot-[0-9]* "$BUILD_DIR/uboot-custom"; do
	if [ -f "$folder/.stamp_built" ]; then cp -- "$folder/.config" "$images/u-boot.config"; fi
done

cat "$here/unsigned.txt"
