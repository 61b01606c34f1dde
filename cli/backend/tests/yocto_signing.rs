//! What the classes do that sign within BitBake's build: their functions, run by Python as BitBake runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use backend::yocto::{Node, tree_of};
use image::Source;
use image::verity::{Params, Verdict, verify};
use spec::Choice;
use spec::library::Library;
use spec::plan::Plan;
use spec::product::Backend;

/// The committed layer, which `yocto_tree` compares with the generated one.
const LAYER: &str = "tests/golden/yocto/cell-gateway-qemu-aarch64-wrynose/meta-cell-gateway-bsp";

/// BitBake's part of what the functions call.
const BITBAKE: &str = "import os, sys\n\
    class bb:\n  class parse:\n    class SkipRecipe(Exception): pass\n    dependencies = []\n    \
    mark_dependency = staticmethod(lambda d, path: bb.parse.dependencies.append(path))\n  \
    @staticmethod\n  def fatal(text): sys.exit(text)\n\
    class Data(dict):\n  flags = {}\n  def getVar(self, name): return self.get(name)\n  \
    def setVar(self, name, value): self[name] = value\n  \
    def setVarFlag(self, name, flag, value): self.flags[name, flag] = value\n  \
    def appendVarFlag(self, name, flag, value): self.flags[name, flag] = self.flags.get((name, flag), '') + value\n";

/// The functions of a class, and its anonymous function as `anonymous(d)`, as Python.
fn functions(class: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(LAYER).join("classes-recipe").join(class);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (mut out, mut inside) = (String::new(), false);
    for line in text.lines() {
        if line.starts_with("def ") || line == "python () {" {
            inside = true;
            out.push_str(if line == "python () {" { "def anonymous(d):" } else { line });
            out.push('\n');
        } else if inside && (line.is_empty() || line.starts_with(' ')) {
            out.push_str(&format!("{line}\n"));
        } else {
            inside = false;
        }
    }
    out
}

fn python(class: &str, program: &str, arguments: &[&str]) -> Output {
    // The class that signs inherits the one of the key.
    let whole = format!("{BITBAKE}{}{}{program}", functions("cell_gateway_key.bbclass"), functions(class));
    Command::new("python3").args(["-c", &whole]).args(arguments).output().expect("python3 is started")
}

fn answer(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

const ANONYMOUS: &str = "d = Data(UBOOT_SIGN_ENABLE='1', UBOOT_SIGN_KEYDIR=sys.argv[1], UBOOT_SIGN_KEYNAME='dev', SIGNING_TASK='do_sign', \
    TOPDIR=sys.argv[2], TMPDIR='/nowhere/tmp', SSTATE_DIR='/nowhere/sstate', DL_DIR='/nowhere/downloads', BBLAYERS='/nowhere/meta /nowhere/meta-x', \
    DEPLOY_DIR='/nowhere/deploy', SSTATE_MIRRORS='file://.* https://x/PATH;downloadfilename=PATH file://.* file:///nowhere/mirror/PATH')\n\
    try: anonymous(d)\nexcept bb.parse.SkipRecipe as skip: print('skipped:', skip)\n\
    else: print(d.get('SIGNING_KEY_ID'), d.flags, bb.parse.dependencies)\n";

/// A folder with a key and its certificate, by OpenSSL, and the key's fingerprint by OpenSSL and sha256sum.
fn key(folder: &Path, days: &str) -> Option<String> {
    let make = format!(
        "[ -f dev.key ] || openssl genrsa -out dev.key 2048 2>/dev/null; openssl req -batch -new -x509 -days {days} -key dev.key -subj /CN=dev -out dev.crt &&\
         openssl x509 -in dev.crt -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -c1-64"
    );
    let made = Command::new("sh").args(["-c", &make]).current_dir(folder).output().ok()?;
    let text = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    if text.len() == 64 && made.status.success() && folder.join("dev.crt").is_file() {
        return Some(text);
    }
    assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "openssl is needed");
    #[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
    {
        eprintln!("SKIPPED: openssl is not there");
    }
    None
}

#[test]
fn a_keys_identity_is_that_of_the_public_key_and_nothing_else_is_signed_for() {
    let (folder, build) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (at, top) = (folder.path().to_str().expect("text"), build.path().to_str().expect("text"));
    let Some(fingerprint) = key(folder.path(), "10") else { return };
    let said = answer(&python("cell_gateway_key.bbclass", ANONYMOUS, &[at, top]));
    assert!(said.starts_with(&format!("{fingerprint} ")), "{said}");
    // Only the task that signs depends on it; where the key is counts for nothing; another one is noticed.
    assert!(said.contains("('do_sign', 'vardeps'): ' SIGNING_KEY_ID'"), "{said}");
    assert!(said.contains("('UBOOT_SIGN_KEYDIR', 'vardepvalue'): ''"), "{said}");
    assert!(said.contains(&format!("['{at}/dev.crt']")), "{said}");
    // A new certificate of the same key is the same key.
    assert_eq!(key(folder.path(), "20"), Some(fingerprint.clone()));
    assert_eq!(answer(&python("cell_gateway_key.bbclass", ANONYMOUS, &[at, top])), said);
    fs::remove_file(folder.path().join("dev.key")).expect("removed");
    assert_ne!(key(folder.path(), "10"), Some(fingerprint));
}

#[test]
fn a_key_in_a_build_or_none_at_all_is_said() {
    let build = tempfile::tempdir().expect("a folder");
    let top = build.path().to_str().expect("text");
    let said = |at: &str| answer(&python("cell_gateway_key.bbclass", ANONYMOUS, &[at, top]));
    let text = said(&format!("{top}/keys"));
    assert!(text.starts_with("skipped: UBOOT_SIGN_KEYDIR is `"), "{text}");
    assert!(text.contains("(TOPDIR): keep keys where nothing of a build is kept or shared"), "{text}");
    for (at, place) in [
        ("/nowhere/sstate/k", "SSTATE_DIR"),
        ("/nowhere/meta-x", "BBLAYERS"),
        ("/nowhere/downloads", "DL_DIR"),
        ("/nowhere/tmp/work/keys", "TMPDIR"),
        ("/nowhere/deploy/images", "DEPLOY_DIR"),
        ("/nowhere/mirror/keys", "SSTATE_MIRRORS"),
    ] {
        assert!(said(at).contains(&format!("({place}): keep keys")), "{}", said(at));
    }
    // A link that leads there is no other place.
    let links = tempfile::tempdir().expect("a folder");
    let link = links.path().join("keys");
    std::os::unix::fs::symlink(build.path(), &link).expect("a link");
    for at in [link.clone(), link.join("below")] {
        let text = said(at.to_str().expect("text"));
        assert!(text.contains(&format!("below `{top}` (TOPDIR): keep keys")), "{text}");
    }
    assert!(said("keys").contains("expected the folder of the keys, an absolute path"), "{}", said("keys"));
    let other = tempfile::tempdir().expect("a folder");
    let at = other.path().to_str().expect("text");
    assert!(said(at).contains("expected a certificate of the key that signs in `"), "{}", said(at));
    for broken in ["", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"] {
        fs::write(other.path().join("dev.crt"), broken).expect("written");
        assert!(said(at).contains("expected a certificate of the key that signs"), "{}", said(at));
    }
}

const FIT: &str = "/dts-v1/;\n/ { description = \"x\"; #address-cells = <1>;\n images {\n  \
    kernel { data = [01 02 03 04]; type = \"kernel\"; arch = \"arm64\"; os = \"linux\"; compression = \"none\"; load = <0>; entry = <0>; hash-1 { algo = \"sha256\"; }; };\n  \
    fdt { data = [05 06]; type = \"flat_dt\"; arch = \"arm64\"; compression = \"none\"; hash-1 { algo = \"sha256\"; }; };\n };\n \
    configurations { default = \"conf\"; conf { kernel = \"kernel\"; fdt = \"fdt\";\n  \
    signature-1 { algo = \"sha256,rsa2048\"; key-name-hint = \"dev\"; padding = \"pkcs-1.5\"; sign-images = \"kernel\", \"fdt\"; };\n }; }; };\n";

const SIGN: &str = "os.chdir(sys.argv[1])\n\
    d = Data(UBOOT_SIGN_KEYDIR=sys.argv[2], UBOOT_SIGN_KEYNAME='dev', FIT_KERNEL_SIGN_KEYDIR=sys.argv[2], FIT_KERNEL_SIGN_KEYNAME='dev', \
    UBOOT_MKIMAGE_SIGN=sys.argv[3], UBOOT_FIT_CHECK_SIGN=sys.argv[1] + '/check')\n\
    cell_gateway_sign(d)\nprint('signed')\n";

/// What the program that stands for `fit_check_sign` is to look at.
const CHECKED: &str = "FASTNESS_TEST_CHECKED";

#[test]
#[ignore = "stands for U-Boot's `fit_check_sign`, which Debian does not ship: the next test's script calls it"]
fn a_fit_that_is_verified_with_a_control_tree() {
    let named = std::env::var(CHECKED).expect("FIT and control tree");
    let (blob, control) = named.split_once(' ').expect("two names");
    let read = |name: &str| fs::read(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    let report = fit::verify::verify_with_control(&read(blob), &read(control)).expect("a FIT");
    let problems: Vec<_> = report.all_problems().collect();
    assert!(problems.is_empty(), "{problems:?}");
}

/// An executable script.
fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("set");
}

#[test]
fn a_key_beside_another_ones_certificate_does_not_sign() {
    let absent =
        ["mkimage", "dtc", "fdtget"].into_iter().find(|tool| Command::new(tool).arg("-V").output().is_err());
    if let Some(tool) = absent {
        assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "{tool} is needed");
        #[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
        {
            eprintln!("SKIPPED: {tool} is not there");
        }
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_str().expect("text").to_owned();
    for name in ["ours", "theirs", "mixed"] {
        fs::create_dir(path(name)).expect("made");
    }
    if key(&path("ours"), "10").is_none() || key(&path("theirs"), "10").is_none() {
        return;
    }
    fs::copy(path("theirs/dev.key"), path("mixed/dev.key")).expect("copied");
    fs::copy(path("ours/dev.crt"), path("mixed/dev.crt")).expect("copied");
    let exe = std::env::current_exe().expect("this program");
    script(
        &path("check"),
        &format!(
            "{CHECKED}=\"$2 $4\" exec '{}' --exact a_fit_that_is_verified_with_a_control_tree --ignored",
            exe.display()
        ),
    );
    fs::write(path("fit.its"), FIT).expect("written");
    let sign = |keys: &str, mkimage: &str| {
        let made = Command::new("mkimage").args(["-f", "fit.its", "fitImage"]).current_dir(&folder).output();
        assert!(made.expect("started").status.success());
        python("cell_gateway_fit.bbclass", SIGN, &[&text(""), &text(keys), mkimage])
    };
    let refused = |output: Output| {
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for keys in ["ours", "theirs"] {
        assert_eq!(answer(&sign(keys, "mkimage")), "signed", "{keys}");
    }
    let said = refused(sign("mixed", "mkimage"));
    let pair = text("mixed/dev");
    assert!(
        said.contains(&format!("what `{pair}.key` signed is not verified with the certificate `{pair}.crt`")),
        "{said}"
    );
    assert!(said.contains("put a key and its own certificate there"), "{said}");
    // A token signs with a key of its own, whatever certificate lies in the folder.
    script(&path("token"), &format!("shift 3; exec mkimage -F -k '{}' \"$@\"", text("theirs")));
    let said = refused(sign("ours", &text("token")));
    let certificate = format!(
        "the public key that mkimage knows as `dev` is not the one of the certificate `{}.crt`",
        text("ours/dev")
    );
    assert!(said.contains(&certificate), "{said}");
    assert!(said.contains("put the certificate of the key that signs there"), "{said}");
    assert_eq!(answer(&sign("theirs", &text("token"))), "signed");
    // Without a key nothing is left of the old signature's word.
    fs::remove_file(path("mixed/dev.key")).expect("removed");
    assert!(refused(sign("mixed", "mkimage")).contains("the FIT cannot be signed with the key `dev`"));
}

#[test]
fn u_boots_control_tree_is_compared_with_the_certificate_and_the_fits_task_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().to_str().expect("text");
    let Some(_) = key(folder.path(), "10") else { return };
    let said = |task: &str| {
        let program = ANONYMOUS.replace("'do_sign'", &format!("'{task}'"));
        answer(&python("cell_gateway_key.bbclass", &program, &[at, "/nowhere/build"]))
    };
    let uboot = said("do_uboot_assemble_fitimage");
    assert!(
        uboot.contains("('do_uboot_assemble_fitimage', 'postfuncs'): ' cell_gateway_control_key'"),
        "{uboot}"
    );
    assert!(!said("do_compile").contains("postfuncs"));
}

#[test]
fn the_roots_tree_is_read_by_other_code_and_a_changed_block_is_seen() {
    let program = "print(*cell_gateway_verity(sys.argv[1], sys.argv[2], b'salt'))\n";
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    // One block, one level, two levels; the last block is not whole.
    for bytes in [100_usize, 5 * 4096 + 1, 300 * 4096 - 7] {
        let data: Vec<u8> = (0..bytes).map(|at| (at / 4096 + at) as u8).collect();
        fs::write(path("root"), &data).expect("written");
        let said = answer(&python("cell_gateway_fit.bbclass", program, &[&path("root"), &path("out")]));
        let (blocks, root) = said.split_once(' ').expect("two words");
        let data_blocks = blocks.parse().expect("a number");
        let params = Params {
            hash_type: 1,
            data_block_bytes: 4096,
            hash_block_bytes: 4096,
            data_blocks,
            hash_start_block: data_blocks,
            salt: b"salt".to_vec(),
        };
        let mut digest = [0; 32];
        for (at, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&root[2 * at..2 * at + 2], 16).expect("hexadecimal");
        }
        let mut out = fs::read(path("out")).expect("read");
        let judge = |out: &[u8]| {
            let source = || Source::from_bytes("root", out.to_vec());
            verify(&source(), &source(), &params, &digest).expect("readable")
        };
        assert!(matches!(judge(&out), Verdict::Intact { .. }), "{bytes}: {:?}", judge(&out));
        out[50] ^= 1;
        assert!(!matches!(judge(&out), Verdict::Intact { .. }), "{bytes}");
    }
    fs::write(path("root"), b"").expect("written");
    let output = python("cell_gateway_fit.bbclass", program, &[&path("root"), &path("out")]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("found an empty file"));
}

#[test]
fn no_word_of_the_plan_takes_the_verified_root_away() {
    let program = "print(cell_gateway_command_line(sys.argv[1], 'PARTUUID=G', 10, 'ab', 'cd'))\n";
    let line = |words: &str| python("cell_gateway_fit.bbclass", program, &[words]);
    assert_eq!(
        answer(&line("console=ttyAMA0 rootwait")),
        "console=ttyAMA0 rootwait root=/dev/dm-0 rootfstype=squashfs ro dm-mod.create=\"root,,,ro,0 80 verity 1 PARTUUID=G \
         PARTUUID=G 4096 4096 10 10 sha256 ab cd 1 panic_on_corruption\" dm-mod.waitfor=PARTUUID=G"
    );
    for word in ["root=/dev/vda3", "rw", "dm_mod.create=x", "--"] {
        let output = line(&format!("quiet {word}"));
        assert_eq!(output.status.code(), Some(1), "{word}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(&format!("`{word}` sets what is set here for the verified root")), "{text}");
    }
}

fn plan(more: &str, series: &str) -> Plan {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cell-gateway/product.yaml");
    let text = fs::read_to_string(example).expect("the example");
    let folder = tempfile::tempdir().expect("a folder");
    let product: PathBuf = folder.path().join("product.yaml");
    fs::write(&product, format!("{text}\nyocto: {{series: {series}}}\n{more}")).expect("written");
    let library = Library::built_in(product.parent());
    spec::load_as(&library, &product, None, Choice { backend: Some(Backend::Yocto), series: None })
        .unwrap_or_else(|failure| panic!("{failure}"))
}

/// The BSP layer's README, and whether the layer has a recipe that signs.
fn readme(plan: &Plan) -> (String, bool) {
    let tree = tree_of(plan).unwrap_or_else(|failure| panic!("{failure}"));
    let Some(Node::File(text)) = tree.nodes().get("meta-cell-gateway-bsp/README.md") else {
        panic!("no README")
    };
    (text.clone(), tree.nodes().keys().any(|path| path.contains("-fit")))
}

#[test]
fn what_the_classes_cannot_sign_is_said_with_the_reason() {
    let (text, recipe) = readme(&plan("", "wrynose"));
    assert!(recipe && text.contains("build `cell-gateway-qemu-aarch64-fit` and `u-boot`, too"), "{text}");
    let refused = |plan: &Plan, reason: &str| {
        let (text, recipe) = readme(plan);
        assert!(!recipe && text.contains(&format!("within the build: {reason}")), "{text}");
    };
    refused(&plan("", "scarthgap"), "this release makes a FIT in the kernel's recipe");
    let mut other = plan("", "wrynose");
    other.signing.rollback_version = Some(3);
    refused(&other, "the class cannot put a rollback version");
    let mut other = plan("", "wrynose");
    other.signing.algorithm = "sha256,ecdsa256".to_owned();
    refused(&other, "`uboot-sign` takes RSA keys");
    let mut other = plan("", "wrynose");
    other.board.qemu = None;
    refused(&other, "the board's device tree is not known to the build");
}
