"""Stands for BitBake: prints as it prints, leaves what it leaves, and fails as it is told in `mode`."""
import glob, os, re, shutil, subprocess, sys
top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = os.getcwd()
mode = open(f"{top}/mode").read().split() if os.path.exists(f"{top}/mode") else []
words = [os.path.basename(word) if word.startswith("/") else word for word in sys.argv[1:]]
open(f"{top}/calls", "a").write(" ".join(words) + "\n")
deploy = f"{build}/tmp/deploy/images"
layers = open(f"{build}/conf/bblayers.conf").read().split('BBLAYERS = "')[1].split('"')[0].replace("\\", "").split()
bsp = [layer for layer in layers if layer.endswith("-bsp")][0]


def half(stage):
    """Goes on for ever with a server, as BitBake has one, where the mode says so."""
    if f"half-{stage}" in mode:
        server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", "bitbake-server"], start_new_session=True)
        open(f"{build}/bitbake.lock", "w").write(f"{server.pid}\n")
        open(f"{top}/half", "w").write(f"{server.pid}\n")
        __import__("time").sleep(300)


def failed(recipe, task, text, pid):
    """A task's failure: its log, whose path is what BitBake says first."""
    name, version = recipe.split("_")
    log = f"{build}/tmp/work/cortexa57/{name}/{version}/temp/log.{task}.{pid}"
    os.makedirs(os.path.dirname(log), exist_ok=True)
    open(log, "w").write(text)
    print(f"ERROR: {name}-{version}-r0 {task}: ExecutionError('run.{task}.{pid}', 1, None, None)")
    print(f"ERROR: Logfile of failure stored in: {log}")


def ended(*tasks):
    """What BitBake says last of each, in its own order."""
    for recipe, task in tasks:
        print(f"ERROR: Task (/srv/{recipe}.bb:{task}) failed with exit code '1'")
    sys.exit(1)


if "--parse-only" in sys.argv:
    half("parse")
    if "parse" in mode:
        print("ERROR: ParseError at /srv/meta-x/x.bb:3: unparsed line: 'frob'")
        sys.exit(1)
    os.makedirs(f"{build}/cache", exist_ok=True)
    open(f"{build}/cache/bb_codeparser.dat", "w").close()
    sys.exit(0)
if "-e" in sys.argv:
    half("variables")
    features = "read-only-rootfs" + (" allow-root-login" if "weak" in mode else "")
    print('#\n# $IMAGE_FEATURES [2 operations]\n#   set /srv/gw.bbclass:9\n#     "read-only-rootfs"')
    print('#   append /srv/meta-evil/conf/layer.conf:7\n#     " allow-root-login"\n# pre-expansion value:\n#   "x"')
    print(f'IMAGE_FEATURES="{features}"\nSECURITY_CFLAGS="-fstack-protector-strong -D_FORTIFY_SOURCE=3"')
    print('SECURITY_LDFLAGS="-Wl,-z,relro,-z,now"\nGCCPIE="--enable-default-pie"\nVIRTUAL-RUNTIME_init_manager="systemd"')
    # What the distro, the image class and the image's recipe set, read from them.
    found = {"MACHINEOVERRIDES": "aarch64:qemuall", "DISTROOVERRIDES": "nodistro", "DISTRO_FEATURES": "systemd", "PACKAGE_EXCLUDE": "", "IMAGE_INSTALL_COMPLEMENTARY": "", "PACKAGE_INSTALL_ATTEMPTONLY": ""}
    for layer in layers:
        for path in [path for end in ("conf/distro/include/*.inc", "conf/machine/include/*.inc", "classes-recipe/*_image.bbclass", "recipes-image/images/*.bb") for path in glob.glob(f"{layer}/{end}")]:
            text = open(path).read().replace("\\\n", "")
            for name, operator, sign, value in re.findall(r'^([A-Z][A-Za-z_/-]*)(:append)? ([?]?=[.]?|=[.]) "(.*)"$', text, re.M):
                if sign == "=.":
                    found[name] = value + found.get(name, "")
                else:
                    found[name] = found.get(name, "") + value if operator else value
    found["PACKAGE_INSTALL"] = found["IMAGE_INSTALL"] + " run-postinsts"
    # `without:VARIABLE:WORD` and `with:VARIABLE:WORD`: another layer's doing.
    for verb, name, word in [one.split(":") for one in mode if one.count(":") == 2]:
        print(f"#\n# ${name} [2 operations]\n#   :{'remove' if verb == 'without' else 'append'} /srv/meta-evil/z.conf:4\n#     \"{word}\"")
        apart = ":" if name.endswith("OVERRIDES") else None
        found[name] = (apart or " ").join([one for one in found[name].split(apart) if one.rstrip(";") != word] + [word] * (verb == "with"))
        print(f'{name}="{found.pop(name)}"')
    if "spdx" in mode:
        print("#\n# $INHERIT [2 operations]\n#   :remove /srv/meta-evil/conf/layer.conf:8\n#     create-spdx")
        found["INHERIT"] = found["INHERIT"].replace("create-spdx", "")
        print(f'INHERIT="{found.pop("INHERIT")}"')
    print("\n".join(f'{name}="{value}"' for name, value in found.items()))
    link = "" if "nameless" in mode else 'IMAGE_LINK_NAME="gw.rootfs"\n'
    print(f'DEPLOY_DIR_IMAGE="{deploy}"\n{link}BB_VERSION="2.18.0"')
    sys.exit(0)
print("NOTE: Running task 3 of 9 (/srv/recipes-core/zlib/zlib_1.3.1.bb:do_compile)", flush=True)
__import__("time").sleep(0.3)
half("build")
lost = "error: Linux: `DM_VERITY` was asked to be `y` by layer verity-root, but is `n`\n"
if "task" in mode:
    failed("linux-yocto_6.18", "do_configure", lost, 7)
    ended(("linux-yocto_6.18", "do_configure"))
if "fetch" in mode:
    failed("chrony_4.6", "do_fetch", "DEBUG: Trying mirrors\nERROR: Fetcher failure: Unable to find file file://x\n", 8)
    ended(("chrony_4.6", "do_fetch"))
if "rootfs" in mode:
    failed("cell-gateway-image_1.0", "do_rootfs", "NOTE: Installing\nE: Unable to locate package frob\n", 9)
    ended(("cell-gateway-image_1.0", "do_rootfs"))
if "both" in mode:
    # Two at once: the logs come in the order of the ends, the list of tasks in another.
    failed("linux-yocto_6.18", "do_configure", lost, 7)
    failed("zlib_1.3.1", "do_compile", "cc: error: No space left on device\n", 10)
    ended(("zlib_1.3.1", "do_compile"), ("linux-yocto_6.18", "do_configure"))
if "setscene" in mode:
    # The real task is run instead.
    print("WARNING: zlib-1.3.1-r0 do_populate_sysroot_setscene: Fetcher failure for URL: 'file://sstate'", flush=True)
    print("WARNING: Setscene task (/srv/zlib_1.3.1.bb:do_populate_sysroot_setscene) failed with exit code '1' - real task will be run instead", flush=True)
    if "enforced" in mode:
        print("ERROR: Task zlib.do_compile attempted to execute unexpectedly")
        sys.exit(1)
os.makedirs(deploy, exist_ok=True)
for kind, name in (("linux", "linux"), ("u-boot", "u-boot")):
    for folder, _, files in os.walk(bsp):
        if "asked.txt" in files and f"/{name}/" in folder:
            with open(f"{folder}/asked.txt") as asked, open(f"{deploy}/{kind}.config", "w") as out:
                for line in asked:
                    part = line.rstrip("\n").split("\t")
                    if part[1] != "n" and not ("late" in mode and part[0] == "DM_VERITY"):
                        out.write(f"CONFIG_{part[0]}={part[1]}\n")
for name in ("Image", "u-boot-nodtb.bin", "gw.rootfs.squashfs-zst"):
    open(f"{deploy}/{name}", "w").write(name + "\n")
if "fit" in mode:
    open(f"{deploy}/Image", "wb").write(b"\xd0\x0d\xfe\xed")
if "nothing" in mode:
    os.remove(f"{deploy}/gw.rootfs.squashfs-zst")
open(f"{deploy}/gw.rootfs.licences", "w").write(
    "PACKAGE NAME: libz1\nPACKAGE VERSION: 1.3.1\nRECIPE NAME: zlib\nLICENSE: Zlib\n\n")
