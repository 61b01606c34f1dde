# The key that signs within this build. Its identity (SHA-256 of the public key) is part of the signatures of the task
# that signs, and of those alone that depend on it: shared state never brings back what another key signed. Where the
# key is kept is part of none, and nothing else of a key is ever read here.
#
# UBOOT_SIGN_ENABLE, UBOOT_SIGN_KEYDIR and UBOOT_SIGN_KEYNAME are OE-Core's (uboot-sign.bbclass).

SIGNING_TASK ?= "do_uboot_assemble_fitimage"

# DER (ITU-T X.690): where the value of the element at `at` begins and ends.
def cell_gateway_der(data, at):
    length, start = data[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7f
        length = int.from_bytes(data[at + 2:start], 'big')
    if start + length > len(data):
        raise ValueError('an element is longer than the file')
    return start, start + length

# The SubjectPublicKeyInfo, in DER, of a certificate in PEM (RFC 5280, section 4.1).
def cell_gateway_public_key(text):
    import base64
    body = text.split('-----BEGIN CERTIFICATE-----')[1].split('-----END CERTIFICATE-----')[0]
    data = base64.b64decode(body)
    at, end = cell_gateway_der(data, 0)
    at, end = cell_gateway_der(data, at)
    # The version may be left out; then serial number, algorithm, issuer, validity and subject.
    for _ in range(6 if data[at] == 0xa0 else 5):
        at = cell_gateway_der(data, at)[1]
    return data[at:cell_gateway_der(data, at)[1]]

def cell_gateway_key_id(text):
    import hashlib
    return hashlib.sha256(cell_gateway_public_key(text)).hexdigest()

# The modulus of an RSA key (RFC 8017, appendix A.1.1) in its SubjectPublicKeyInfo.
def cell_gateway_modulus(key):
    at = cell_gateway_der(key, cell_gateway_der(key, 0)[0])[1]
    # Behind the algorithm a string of bits, whose first byte counts those that are not used.
    at = cell_gateway_der(key, cell_gateway_der(key, at)[0] + 1)[0]
    start, end = cell_gateway_der(key, at)
    return int.from_bytes(key[start:end], 'big')

# Whether the key that mkimage put into a control tree is the certificate's: with a token it comes from there, and a build
# would be kept in shared state under the identity of another key.
def cell_gateway_expect_key(d, tree):
    import subprocess
    folder, name = d.getVar('UBOOT_SIGN_KEYDIR'), d.getVar('UBOOT_SIGN_KEYNAME')
    path = os.path.join(folder, name + '.crt')
    with open(path, encoding='ascii') as file:
        expected = cell_gateway_modulus(cell_gateway_public_key(file.read()))
    call = ['fdtget', '-t', 'bx', tree, '/signature/key-' + name, 'rsa,modulus']
    found = subprocess.run(call, capture_output=True, text=True)
    if found.returncode or int.from_bytes(bytes(int(byte, 16) for byte in found.stdout.split()), 'big') != expected:
        bb.fatal('the public key that mkimage knows as `%s` is not the one of the certificate `%s`: put the certificate of the key that signs there' % (name, path))

# Why this folder is none for keys; nothing where it is one.
def cell_gateway_unfit(d, folder):
    if not os.path.isabs(folder):
        return 'expected the folder of the keys, an absolute path, in UBOOT_SIGN_KEYDIR, found `%s`' % folder
    real = os.path.realpath(folder) + '/'
    places = ['TOPDIR', 'TMPDIR', 'DEPLOY_DIR', 'SSTATE_DIR', 'SSTATE_MIRRORS', 'DL_DIR', 'BBLAYERS']
    for place in places:
        words = (d.getVar(place) or '').split()
        if place == 'SSTATE_MIRRORS':
            # Pairs of a pattern and an address: a mirror may be a folder of this machine.
            words = [word[len('file://'):].split(';')[0].split('/PATH')[0] for word in words if word.startswith('file:///')]
        for path in words:
            if real.startswith(os.path.realpath(path) + '/'):
                return 'UBOOT_SIGN_KEYDIR is `%s`, below `%s` (%s): keep keys where nothing of a build is kept or shared' % (folder, path, place)
    return None

python () {
    if d.getVar('UBOOT_SIGN_ENABLE') != '1':
        return
    folder = d.getVar('UBOOT_SIGN_KEYDIR') or ''
    why = cell_gateway_unfit(d, folder)
    if why:
        raise bb.parse.SkipRecipe(why)
    path = os.path.join(folder, d.getVar('UBOOT_SIGN_KEYNAME') + '.crt')
    # Another key is another recipe: what BitBake has read of it is not used again.
    bb.parse.mark_dependency(d, path)
    try:
        with open(path, encoding='ascii') as file:
            d.setVar('SIGNING_KEY_ID', cell_gateway_key_id(file.read()))
    except (OSError, ValueError, IndexError) as error:
        raise bb.parse.SkipRecipe('expected a certificate of the key that signs in `%s`: %s' % (path, error))
    d.appendVarFlag(d.getVar('SIGNING_TASK'), 'vardeps', ' SIGNING_KEY_ID')
    d.setVarFlag('UBOOT_SIGN_KEYDIR', 'vardepvalue', '')
    if d.getVar('SIGNING_TASK') == 'do_uboot_assemble_fitimage':
        d.appendVarFlag('do_uboot_assemble_fitimage', 'postfuncs', ' cell_gateway_control_key')
}

# U-Boot's control FDT, once the key is in it.
python cell_gateway_control_key() {
    cell_gateway_expect_key(d, d.expand('${B}/${UBOOT_DTB_BINARY}'))
}
