//! Bad input of `fit`, verb by verb: an error with its exit code, and every file as it was, also the output that was there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fit::fdt::{Node, Tree};

use crate::elsewhere::{missing, shell, softhsm};
use crate::support::{Place, Run};
use crate::tokens::{locked_module, moved_to};

/// 2020-07-01 and 2021-01-02, 00:00 UTC: a certificate of the year 2020 holds, and has ended.
const WHILE_IT_HELD: u64 = 1_593_561_600;
const AFTERWARDS: u64 = 1_609_545_600;

const KEPT: &str = "what was there";
/// Files of at most that size are compared by their bytes.
const COMPARED: u64 = 1 << 20;

/// Every file and folder below the place, but for a token's own: size, time, and bytes unless it is huge.
fn all(place: &Place) -> BTreeMap<PathBuf, (u64, SystemTime, Vec<u8>)> {
    fn look(folder: &Path, found: &mut BTreeMap<PathBuf, (u64, SystemTime, Vec<u8>)>) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.ends_with("tokens") {
                continue;
            }
            let meta = fs::symlink_metadata(&path).expect("what was listed");
            if meta.is_dir() {
                look(&path, found);
            }
            let read = meta.is_file() && meta.len() <= COMPARED;
            let bytes = if read { fs::read(&path).expect("a file") } else { Vec::new() };
            found.insert(path, (meta.len(), meta.modified().expect("a time"), bytes));
        }
    }
    let mut found = BTreeMap::new();
    look(&place.path(""), &mut found);
    found
}

/// A place with something at each place of an output: `there.itb`, `there.dtb` and the folder `there`.
fn place() -> Place {
    let place = Place::new();
    let write = |name: &str, bytes: &[u8]| fs::write(place.path(name), bytes).expect("a place to write in");
    fs::create_dir(place.path("there")).expect("a new folder");
    for name in ["there.itb", "there.dtb", "there/kept"] {
        write(name, KEPT.as_bytes());
    }
    write("Image", &[0x5a; 5000]);
    let board = Tree { root: Node::new(""), ..Tree::default() }.write().expect("a tree");
    write("board.dtb", &board);
    write("cut.dtb", &board[..board.len() - 1]);
    let made = place.run(&["keys", "new", "dev", "--bits", "2048"]);
    assert_eq!(made.code, 0, "{made:?}");
    shell(&place, "fastness fit build --kernel Image --load 0x40400000 -o u.itb");
    place
}

/// The verbs that write, each with its output where something is already.
fn verbs(fit: &str, control: &str, key: &str) -> [Vec<String>; 5] {
    let words = |line: &[&str]| ["fit"].iter().chain(line).map(|word| (*word).to_owned()).collect();
    [
        words(&["build", "--kernel", "Image", "--load", "0x40400000", "--key", key, "-o", "there.itb"]),
        words(&["sign", fit, "--key", key, "-o", "there.itb"]),
        words(&["trust", control, "--key", key, "-o", "there.dtb"]),
        words(&["sign-request", fit, "--key", key, "-o", "there"]),
        words(&["attach", fit, "there", "--key", key, "-o", "there.itb"]),
    ]
}

struct Tried<'p> {
    place: &'p Place,
    /// `SOURCE_DATE_EPOCH` of the run.
    time: u64,
    count: usize,
}

impl Tried<'_> {
    /// Runs it; it has to end with that code and message, and to leave everything as it was.
    #[track_caller]
    fn refused(&mut self, words: &[String], more: &[&str], code: i32, told: &str) {
        let before = all(self.place);
        let words: Vec<&str> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let mut command = self.place.command(&words);
        command.env("SOFTHSM2_CONF", self.place.path("hsm.conf"));
        command.env("SOURCE_DATE_EPOCH", self.time.to_string());
        let run = Run::of(command.output().expect("the program"));
        assert_eq!((run.code, run.out.as_str()), (code, ""), "{words:?}: {run:?}");
        assert!(run.err.contains(told), "{words:?}: expected `{told}`: {run:?}");
        let after = all(self.place);
        let names = |found: &BTreeMap<PathBuf, _>| found.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&before), names(&after), "{words:?}");
        let changed = before.iter().find(|(path, fact)| after.get(*path) != Some(fact));
        assert!(changed.is_none(), "{words:?}: changed {:?}", changed.map(|(path, _)| path));
        self.count += 1;
    }
}

fn tried(place: &Place) -> Tried<'_> {
    Tried { place, time: WHILE_IT_HELD, count: 0 }
}

#[test]
fn by_keys_that_cannot_be_used() {
    if missing(&["openssl"]) {
        return;
    }
    let place = place();
    shell(
        &place,
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem 2>/dev/null
         openssl req -new -key key.pem -subj /CN=gateway -out csr.pem
         mkdir ca; touch ca/index.txt; echo 01 >ca/serial
         printf '[ca]\\ndefault_ca=own\\n[own]\\ndatabase=ca/index.txt\\nserial=ca/serial\\nnew_certs_dir=ca\\npolicy=any\\ndefault_md=sha256\\n[any]\\ncommonName=supplied\\n' >ca.conf
         openssl ca -batch -config ca.conf -selfsign -keyfile key.pem -in csr.pem -startdate 20200101000000Z \
             -enddate 20210101000000Z -notext -out 2020.pem 2>/dev/null
         SOURCE_DATE_EPOCH=1593561600 fastness keys add ended --uri offline: --public 2020.pem",
    );
    let mut tried = tried(&place);
    for name in ["../dev", "a b", "@", "", "dev/.", "dev\n"] {
        for words in verbs("u.itb", "board.dtb", name) {
            tried.refused(&words, &[], 2, "error[key-name]: expected a key name (letters, digits, ");
        }
    }
    for words in verbs("u.itb", "board.dtb", "none") {
        tried.refused(&words, &[], 8, "error[missing-key]: there is no key `none` in `");
    }
    for (algorithm, code, told) in [
        ("sha256,rsa4096", 8, "needs a key of the kind rsa4096, but `dev` is rsa2048"),
        ("sha256,ecdsa256", 8, "needs a key of the kind ecdsa256, but `dev` is rsa2048"),
        ("sha1,rsa2048", 2, "unsupported algorithm `sha1"),
        ("sha256,rsa1024", 2, "unsupported algorithm `sha256,rsa1024`"),
    ] {
        for words in verbs("u.itb", "board.dtb", "dev") {
            tried.refused(&words, &["--algorithm", algorithm], code, told);
        }
    }
    let padded = |words: &[String]| words[1] != "trust";
    for words in verbs("u.itb", "board.dtb", "ended").iter().filter(|words| padded(words)) {
        // Building wants a key that it can open, before it looks at the options of a signature.
        tried.refused(words, &["--padding", "pss"], 2, "error[padding]: `--padding` is of RSA");
    }
    tried.time = AFTERWARDS;
    for words in verbs("u.itb", "board.dtb", "ended") {
        let told =
            "error[certificate-expired]: the certificate of the key `ended` ended on 2021-01-01T00:00:00Z";
        tried.refused(&words, &[], 8, told);
    }
    assert_eq!(tried.count, 6 * 5 + 5 + 4 * 5 + 4 + 5);
}

#[test]
fn by_tokens_that_do_not_open() {
    if missing(&["openssl", "softhsm2-util"]) {
        return;
    }
    let place = place();
    let Some(locked) = locked_module(&place) else { return };
    let Some(module) = softhsm() else { panic!("softhsm2-util is there, its library is not") };
    fs::create_dir(place.path("tokens")).unwrap();
    let conf = format!("directories.tokendir = {}\n", place.path("tokens").display());
    fs::write(place.path("hsm.conf"), conf).unwrap();
    for (name, pin) in [("pin", "471108\n"), ("wrong", "000000\n")] {
        fs::write(place.path(name), pin).unwrap();
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let uri = |token: &str, module: &str| format!("pkcs11:token={token};object=gateway?module-path={module}");
    shell(
        &place,
        &format!(
            "export SOFTHSM2_CONF=$PWD/hsm.conf
             openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out other.pem 2>/dev/null
             softhsm2-util --init-token --free --label fab --pin 471108 --so-pin 12345678
             softhsm2-util --import other.pem --token fab --label gateway --id 01 --pin 471108
             for name in tok absent locked; do
                 fastness keys add $name --uri '{}' --passphrase-file pin
             done",
            uri("fab", module)
        ),
    );
    moved_to(&place, "absent", &uri("elsewhere", module));
    moved_to(&place, "locked", &uri("fab", &locked.display().to_string()));
    let mut tried = tried(&place);
    for (key, pin, told) in [
        ("tok", "wrong", "error[wrong-passphrase]: the PIN does not open the token"),
        ("absent", "pin", "error[token-absent]: the token `elsewhere` is not there; found `fab`"),
        ("locked", "pin", "error[token-locked]: the token is locked"),
    ] {
        // The other verbs need no PIN: the public half is in the store.
        for words in &verbs("u.itb", "board.dtb", key)[..2] {
            tried.refused(words, &["--passphrase-file", pin], 8, told);
        }
    }
    assert_eq!(tried.count, 6);
    // What they refused is no fault of theirs: with the right PIN the same words write.
    for words in &verbs("u.itb", "board.dtb", "tok")[..2] {
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--passphrase-file", "pin"]).collect();
        let run =
            Run::of(place.command(&words).env("SOFTHSM2_CONF", place.path("hsm.conf")).output().unwrap());
        assert_eq!(run.code, 0, "{run:?}");
        assert_ne!(fs::read(place.path("there.itb")).unwrap(), KEPT.as_bytes());
    }
}

#[test]
fn by_signatures_of_something_else() {
    let place = place();
    shell(
        &place,
        "fastness keys new gw --bits 2048 --keys vault
         fastness keys add gw --uri offline: --public vault/gw.pub.pem
         fastness fit sign-request u.itb --key gw -o there
         mv there/*.json there/r.json; cp there/*.region there/r.region
         fastness fit answer there/r.json --keys vault",
    );
    let folder = || fs::read_dir(place.path("there")).unwrap().flatten().map(|entry| entry.path());
    let answer = folder().find(|path| path.extension().is_some_and(|end| end == "sig")).unwrap();
    let mut tried = tried(&place);
    let words = |line: &[&str]| line.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    // The same request once more, with its answer there: who has the key is told.
    let replayed = words(&["fit", "answer", "there/r.json", "--keys", "vault"]);
    tried.refused(
        &replayed,
        &[],
        8,
        "error[answered-before]: `there/r.json` was answered with the key `gw` on ",
    );
    // An answer to a request of before: another kernel, another time.
    fs::write(place.path("Image"), [0x5b; 5000]).unwrap();
    shell(&place, "fastness fit build --kernel Image --load 0x40400000 -o other.itb");
    let attach = words(&["fit", "attach", "other.itb", "there", "--key", "gw", "-o", "there.itb"]);
    tried.refused(
        &attach,
        &[],
        8,
        "the FIT or its options changed after the request, or it was not answered",
    );
    // A signature over something else in the answer's place, and one that is cut.
    let whole = fs::read(&answer).unwrap();
    let of = |verb: usize| verbs("u.itb", "board.dtb", "gw")[verb].clone();
    for wrong in [&[7; 256][..], &whole[..255], b""] {
        fs::write(&answer, wrong).unwrap();
        tried.time = 0;
        for verb in [3, 4] {
            tried.refused(&of(verb), &[], 8, "error[stale-signature]: `");
        }
    }
    // `sign` asks in the store's own folder, and writes no FIT.
    fs::write(&answer, &whole).unwrap();
    assert_eq!(tried.count, 2 + 6);
    let attached = place.run(&["fit", "attach", "u.itb", "there", "--key", "gw", "-o", "there.itb"]);
    assert_eq!(attached.code, 0, "{attached:?}");
}

const ITS: &str = r#"/dts-v1/; / { description = "x"; images {
    k { description = "k"; data = /incbin/("FILE"); type = "kernel"; arch = "arm64"; os = "linux"; compression = "none"; load = <0x40400000>; entry = <0x40400000>; hash-1 { algo = "sha256"; }; };
  }; configurations { default = "c"; c { kernel = "KERNEL"; }; }; };"#;

const LIST: &str = r#"{"description": "v", "default": "conf",
  "images": [{"name": "kernel", "kind": "kernel", "arch": "arm64", "os": "linux", "load": "0x40400000", "entry": "0x40400000", "file": "FILE"}],
  "configurations": [{"name": "conf", "description": "v", "compatible": null, "loads": [["kernel", ["KERNEL"]]]}]}"#;

/// The FIT `u.itb` with another word in its only configuration.
fn referring(place: &Place, to: &str) -> Vec<u8> {
    let blob = fs::read(place.path("u.itb")).expect("a FIT");
    let mut tree = Tree::parse(&blob).expect("a tree");
    tree.root.at_mut("/configurations/conf").expect("a configuration").set_text("kernel", to);
    tree.write().expect("a FIT")
}

#[test]
fn by_files_that_are_not_what_they_should_be() {
    let place = place();
    let write = |name: &str, bytes: &[u8]| fs::write(place.path(name), bytes).unwrap();
    let whole = fs::read(place.path("u.itb")).unwrap();
    write("cut.itb", &whole[..whole.len() - 1]);
    write("header.itb", &whole[..39]);
    for name in ["huge.itb", "huge.dtb", "huge.bin"] {
        write(name, &whole);
        fs::File::options().write(true).open(place.path(name)).unwrap().set_len(4 << 30).unwrap();
    }
    write("itself.itb", &referring(&place, "conf"));
    write("nothing.itb", &referring(&place, "ghost"));
    let mut tried = tried(&place);
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    // What reads a FIT or a control FDT; building reads the parts below.
    for (fit, control, told) in [
        ("huge.itb", "huge.dtb", "error[file-too-large]: expected at most 4294967295 bytes, `huge."),
        ("cut.itb", "cut.dtb", ": not a valid device tree"),
        ("header.itb", "u.itb", "`"),
        ("none.itb", "none.dtb", ": No such file or directory"),
        ("board.dtb", "Image", "`"),
    ] {
        for words in &verbs(fit, control, "dev")[1..] {
            tried.refused(words, &[], 3, told);
        }
    }
    for (fit, image) in [("itself.itb", "conf"), ("nothing.itb", "ghost")] {
        let told = format!("refers to the image `{image}`, which is not there");
        for verb in [1, 3, 4] {
            tried.refused(&verbs(fit, "board.dtb", "dev")[verb], &[], 3, &told);
        }
    }
    for (line, told) in [
        ("--kernel huge.bin --load 0x40400000", "error[file-too-large]: expected at most 4294967295 bytes"),
        ("--kernel none --load 0x40400000", "cannot read `none`: No such file or directory"),
        ("--kernel Image --load 0x40400000 --fdt cut.dtb", "`cut.dtb`: not a valid device tree"),
        ("--list huge.bin", "error[file-too-large]: expected at most 4294967295 bytes"),
    ] {
        for key in ["", " --key dev"] {
            tried.refused(&words(&format!("fit build {line}{key} -o there.itb")), &[], 3, told);
        }
    }
    for (file, kernel, told) in [
        ("none", "kernel", "cannot read `none`: No such file or directory"),
        ("Image", "conf", "names the image `conf`, which is not there"),
        ("Image", "ghost", "names the image `ghost`, which is not there"),
    ] {
        write("x.json", LIST.replace("FILE", file).replace("KERNEL", kernel).as_bytes());
        for key in ["", " --key dev"] {
            tried.refused(&words(&format!("fit build --list x.json{key} -o there.itb")), &[], 3, told);
        }
    }
    assert_eq!(tried.count, 5 * 4 + 2 * 3 + 4 * 2 + 3 * 2);
    if missing(&["dtc"]) {
        return;
    }
    for (file, kernel, told) in [
        ("none", "k", "/x.its` cannot be compiled\n  note: dtc says: "),
        ("Image", "c", "refers to the image `c`, which is not there"),
        ("Image", "ghost", "refers to the image `ghost`, which is not there"),
    ] {
        write("x.its", ITS.replace("FILE", file).replace("KERNEL", kernel).as_bytes());
        for key in ["", " --key dev"] {
            tried.refused(&words(&format!("fit build --its x.its{key} -o there.itb")), &[], 3, told);
        }
    }
    tried.refused(
        &words("fit build --its cut.dtb -o there.itb"),
        &[],
        3,
        "`cut.dtb` is no image tree source",
    );
}
