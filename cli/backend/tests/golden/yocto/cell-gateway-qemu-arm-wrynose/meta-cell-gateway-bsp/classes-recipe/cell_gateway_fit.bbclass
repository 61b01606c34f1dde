# The kernel and the board's device tree in a FIT that OE-Core's class signs. The tree's command line has the root hash
# of the image's squashfs: what the key signs is the whole device. For a build with UBOOT_SIGN_ENABLE = "1" only.

SIGNING_TASK = "do_compile"

inherit kernel-fit-image cell_gateway_key

# What was signed, as it stands in DEPLOY_DIR_IMAGE.
SIGNED_ROOT ?= "${SIGNED_IMAGE}-${MACHINE}.rootfs"
B = "${WORKDIR}/build"
# Nothing is compiled.
INHIBIT_DEFAULT_DEPS = "1"
FIT_KERNEL_SIGN_ENABLE = "1"
FIT_KERNEL_SIGN_KEYNAME = "${UBOOT_SIGN_KEYNAME}"
FIT_KERNEL_SIGN_KEYDIR = "${UBOOT_SIGN_KEYDIR}"
FIT_SIGN_INDIVIDUAL = "0"
# The configuration that U-Boot's fixed boot command names.
FIT_CONF_PREFIX = ""
FIT_CONF_MAPPINGS = "dtb-conf:board.dtb:conf"
KERNEL_DEVICETREE = ""
EXTERNAL_KERNEL_DEVICETREE = "${B}/devicetree"

python () {
    if d.getVar('UBOOT_SIGN_ENABLE') != '1':
        raise bb.parse.SkipRecipe('nothing is signed within this build: UBOOT_SIGN_ENABLE is not "1"')
}

# Writes the root and its hash tree behind it; returns blocks and root hash. Format: hash type 1 of the kernel's
# Documentation/admin-guide/device-mapper/verity.rst, SHA-256, blocks of 4096 bytes, no superblock, the top level first.
def cell_gateway_verity(source, target, salt):
    import hashlib
    size, digests = 4096, []
    with open(source, 'rb') as data, open(target, 'wb') as out:
        while block := data.read(size):
            block = block.ljust(size, b'\0')
            digests.append(hashlib.sha256(salt + block).digest())
            out.write(block)
        blocks, levels = len(digests), []
        if not blocks:
            bb.fatal('%s: expected a root file system, found an empty file' % source)
        while len(digests) > 1:
            per = size // 32
            level = [b''.join(digests[at:at + per]).ljust(size, b'\0') for at in range(0, len(digests), per)]
            levels.append(b''.join(level))
            digests = [hashlib.sha256(salt + block).digest() for block in level]
        out.write(b''.join(reversed(levels)))
    return blocks, digests[0].hex()

# The words of the plan, then root and verity, which no word may change.
def cell_gateway_command_line(words, device, blocks, root, salt):
    for word in words.split():
        name = word.strip('"').replace('_', '-')
        if name in ('rw', '--') or name.startswith(('root=', 'rootfstype=', 'rootflags=', 'dm-mod.', 'initrd=', 'noinitrd')):
            bb.fatal('`%s` sets what is set here for the verified root: take it out of the layer or product' % word)
    table = 'root,,,ro,0 %d verity 1 %s %s 4096 4096 %d %d sha256 %s %s 1 panic_on_corruption' % (blocks * 8, device, device, blocks, blocks, root, salt)
    return '%s root=/dev/dm-0 rootfstype=squashfs ro dm-mod.create="%s" dm-mod.waitfor=%s' % (words, table, device)

python do_compile:prepend() {
    import hashlib, shutil, subprocess
    salt = hashlib.sha256(b'\0'.join(word.encode() for word in (d.getVar('SIGNED_PRODUCT'), d.getVar('SIGNED_VERSION'), 'salt'))).digest()
    source = os.path.join(d.getVar('DEPLOY_DIR_IMAGE'), d.getVar('SIGNED_ROOT') + '.squashfs-zst')
    blocks, root = cell_gateway_verity(source, 'root.verity', salt)
    line = cell_gateway_command_line(d.getVar('SIGNED_CMDLINE'), 'PARTUUID=' + d.getVar('SIGNED_PARTUUID'), blocks, root, salt.hex())
    bb.utils.mkdirhier('devicetree')
    board = 'devicetree/board.dtb'
    shutil.copyfile(os.path.join(d.getVar('RECIPE_SYSROOT'), 'boot/devicetree/board.dtb'), board)
    # A seed in a signed tree would be the same on every device for ever.
    have = subprocess.run(['fdtget', '-p', board, '/chosen'], check=True, capture_output=True, text=True).stdout.split()
    for seed in [name for name in ('kaslr-seed', 'rng-seed') if name in have]:
        subprocess.run(['fdtput', '-d', board, '/chosen', seed], check=True)
    subprocess.run(['fdtput', '-t', 's', board, '/chosen', 'bootargs', line], check=True)
}
do_compile[depends] += "${SIGNED_IMAGE}:do_image_complete"

# Signs `fitImage` as the class signs it, and verifies that with the public key, which mkimage takes from the certificate
# (or from a token): a `.key` beside another's certificate signs under an identity that is not its own.
def cell_gateway_sign(d):
    import shlex, subprocess
    folder, name = d.getVar('FIT_KERNEL_SIGN_KEYDIR'), d.getVar('FIT_KERNEL_SIGN_KEYNAME')
    subprocess.run(['dtc', '-I', 'dts', '-O', 'dtb', '-o', 'key.dtb'], input='/dts-v1/; / { };', text=True, check=True)
    call = [d.getVar('UBOOT_MKIMAGE_SIGN'), '-F', '-k', folder, '-K', 'key.dtb', '-r', 'fitImage', *shlex.split(d.getVar('UBOOT_MKIMAGE_SIGN_ARGS') or '')]
    done = subprocess.run(call, capture_output=True, text=True)
    # mkimage ends with 0 where it found no key, and leaves the old signature.
    if done.returncode or not os.path.exists(os.path.join(folder, name + '.key')):
        bb.fatal('the FIT cannot be signed with the key `%s` of `%s`: %s' % (name, folder, done.stderr))
    check = d.getVar('UBOOT_FIT_CHECK_SIGN')
    done = subprocess.run([check, '-f', 'fitImage', '-k', 'key.dtb'], capture_output=True, text=True)
    if done.returncode:
        path = os.path.join(folder, name)
        bb.fatal('what `%s.key` signed is not verified with the certificate `%s.crt`, whose identity is part of the signatures of this build: put a key and its own certificate there (%s ended with %d: %s)' % (path, path, check, done.returncode, (done.stderr or done.stdout).strip()[-400:]))
    cell_gateway_expect_key(d, 'key.dtb')

# The class gives the configuration a hash that U-Boot does not read and whose value no signature covers: it is taken
# out, and the FIT is signed again.
python do_compile:append() {
    conf = '/configurations/conf'
    if 'hash-1' in subprocess.run(['fdtget', '-l', 'fitImage', conf], check=True, capture_output=True, text=True).stdout.split():
        subprocess.run(['fdtput', '-r', 'fitImage', conf + '/hash-1'], check=True)
    cell_gateway_sign(d)
}

do_deploy:append() {
    install -m 0644 ${B}/root.verity ${DEPLOYDIR}/${SIGNED_ROOT}.verity
}
