//! Whole builds with a key whose private half is elsewhere: asked for, answered, signed by a program, in a token.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::broken_builds::stops;
use crate::elsewhere::{missing, softhsm};
use crate::support::Run;
use crate::world::{Trap, World};

const KEYS: &str = ".local/share/fastness/keys";

/// A world with an image by `gw-dev`, whose product wants one by `gw-out` next; that key is not there yet.
fn another_key() -> Option<World> {
    let world = World::built()?;
    wants_another_key(&world);
    Some(world)
}

fn wants_another_key(world: &World) {
    world.place.edit("signing: {algorithm", "signing: {key: gw-out, algorithm");
}

fn shell(world: &World, script: &str) -> Run {
    let run = Run::of(world.shell(script).output().expect("a shell"));
    assert_eq!(run.code, 0, "{script}: {run:?}");
    run
}

fn file(world: &World, name: &str, content: &str, mode: u32) {
    fs::write(world.place.path(name), content).expect("a place to write in");
    fs::set_permissions(world.place.path(name), fs::Permissions::from_mode(mode)).expect("a file of our own");
}

/// The request that is there, its three files' stem.
fn request(world: &World) -> PathBuf {
    let folder = world.place.path(KEYS).join("gw-out.requests");
    let entries = fs::read_dir(folder).expect("a folder with requests").flatten().map(|entry| entry.path());
    let mut requests: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    requests.sort();
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests.remove(0).with_extension("")
}

/// The image is finished and is one of this key, by the control FDT that is in it.
#[track_caller]
fn is_signed_by(world: &World, key: &str) {
    let (fit, uboot) = (world.out("image/fit.itb"), world.out("image/u-boot.bin"));
    let words = ["fit", "verify", &fit.display().to_string(), "--control", &uboot.display().to_string()];
    let run = world.run(&words);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains(&format!(", signed by `{key}`\n")), "{run:?}");
}

/// Steps of a build, with whether each came from the cache.
fn steps(run: &Run) -> Vec<(String, bool)> {
    let steps = run.json().pointer("/boards/0/steps").cloned().expect("the steps of a board");
    let step = |one: &serde_json::Value| {
        (one["step"].as_str().expect("a name").to_owned(), one["cached"].as_bool().expect("a word"))
    };
    steps.as_array().expect("a list").iter().map(step).collect()
}

#[test]
fn another_key_makes_anew_only_what_it_is_in() {
    let Some(world) = World::built() else { return };
    // A stage's key has the place of the one before it: in a world that was copied the root file system is made once more.
    world.finishes();
    wants_another_key(&world);
    assert_eq!(world.run(&["keys", "new", "gw-out", "--bits", "2048"]).code, 0);
    let run = world.run(&["build", "--json"]);
    assert_eq!(run.code, 6, "{run:?}");
    let steps = steps(&run);
    let made: Vec<&str> = steps.iter().filter(|(_, cached)| !cached).map(|(step, _)| step.as_str()).collect();
    assert_eq!(made, ["generate", "record artefacts", "assemble and sign", "inspect", "report"], "{steps:?}");
    for step in ["fetch packages and sources", "root file system", "build U-Boot", "build Linux"] {
        assert!(steps.contains(&(step.to_owned(), true)), "{step}: {steps:?}");
    }
    is_signed_by(&world, "gw-out");
}

#[test]
fn an_offline_key_is_asked_answered_and_the_next_build_is_signed() {
    let Some(world) = another_key() else { return };
    shell(
        &world,
        "fastness keys new gw-out --bits 2048 --keys vault
         fastness keys add gw-out --uri offline: --public vault/gw-out.pub.pem",
    );
    let before = world.product_of_the_build();
    let asked = world.build();
    stops(&asked, 8, "signature-wanted");
    let stem = request(&world);
    let said = format!("the image is not signed yet: a signature is asked for in `{}.json`", stem.display());
    assert!(asked.err.contains(&said), "{asked:?}");
    assert!(
        asked.err.contains("hint: sign with `fastness fit answer REQUEST` where the key is"),
        "{asked:?}"
    );
    assert!(world.product_of_the_build() == before, "the old image was touched");
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    is_signed_by(&world, "gw-dev");

    // Not answered: the same request, no second one.
    let region = fs::read(stem.with_extension("region")).unwrap();
    stops(&world.build(), 8, "signature-wanted");
    assert_eq!((request(&world), fs::read(stem.with_extension("region")).unwrap()), (stem.clone(), region));

    // An answer by somebody else.
    fs::write(stem.with_extension("sig"), [7; 256]).unwrap();
    let wrong = world.build();
    stops(&wrong, 8, "stale-signature");
    assert!(wrong.err.contains("is no signature of these bytes by the key `gw-out`"), "{wrong:?}");
    assert!(world.product_of_the_build() == before, "the old image was touched");
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    fs::remove_file(stem.with_extension("sig")).unwrap();

    let json = stem.with_extension("json").display().to_string();
    assert_eq!(world.run(&["fit", "answer", &json, "--keys", "vault"]).code, 0);
    world.finishes();
    is_signed_by(&world, "gw-out");
    // Nothing has changed: nothing is asked of anybody, also when the requests are gone.
    fs::remove_dir_all(world.place.path(KEYS).join("gw-out.requests")).unwrap();
    let (image, again) = (world.product_of_the_build(), world.run(&["build", "--json"]));
    assert!(steps(&again).contains(&("assemble and sign".to_owned(), true)), "{again:?}");
    assert_eq!(
        image.get(&world.out("image.json")),
        world.product_of_the_build().get(&world.out("image.json"))
    );

    // Another image: the answer of before is none for it.
    fs::create_dir_all(stem.parent().unwrap()).unwrap();
    fs::write(stem.with_extension("sig"), [7; 256]).unwrap();
    world.place.edit("version: 0.1.0", "version: 0.1.1");
    let before = world.product_of_the_build();
    stops(&world.build(), 8, "signature-wanted");
    assert_ne!(request(&world), stem);
    assert!(world.product_of_the_build() == before, "the old image was touched");
}

/// A program that signs with `other.pem`, as a signing service would.
const SIGNER: &str = "#!/bin/sh
echo \"$*\" >>signed
while [ $# -gt 1 ]; do [ \"$1\" != --digest ] || digest=$2; shift; done
printf %s \"$digest\" | xxd -r -p | openssl pkeyutl -sign -inkey other.pem -pkeyopt digest:sha256 \\
    -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:digest
";

const OPENSSL_KEY: &str =
    "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out other.pem 2>/dev/null
    openssl pkey -in other.pem -pubout -out other.pub.pem";

#[test]
fn a_build_is_signed_by_a_program_and_none_by_one_that_fails_or_lies() {
    if missing(&["openssl", "xxd"]) {
        return;
    }
    let Some(world) = another_key() else { return };
    shell(&world, OPENSSL_KEY);
    file(&world, "sign.sh", SIGNER, 0o755);
    let uri = format!("exec:{}", world.place.path("sign.sh").display());
    let added = world.run(&["keys", "add", "gw-out", "--uri", &uri, "--public", "other.pub.pem"]);
    assert_eq!(added.code, 0, "{added:?}");
    let before = world.product_of_the_build();
    for (script, told) in [
        ("echo the HSM is closed >&2; exit 1", "the HSM is closed"),
        ("echo nonsense", "gave 9 bytes that are no signature by the key `gw-out`"),
    ] {
        file(&world, "sign.sh", &format!("#!/bin/sh\n{script}\n"), 0o755);
        let run = world.build();
        stops(&run, 8, "signing");
        assert!(run.err.contains("the boot chain cannot be signed: ") && run.err.contains(told), "{run:?}");
        assert!(world.product_of_the_build() == before, "the old image was touched");
        assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    }
    file(&world, "sign.sh", SIGNER, 0o755);
    world.finishes();
    is_signed_by(&world, "gw-out");
    let called = fs::read_to_string(world.place.path("signed")).unwrap();
    assert!(
        called.starts_with("sign --key gw-out --algorithm sha256,rsa2048 --padding pss --digest "),
        "{called}"
    );
    assert_eq!(called.lines().count(), 1, "{called}");
}

const PIN: &str = "okapi-4711-in-the-reeds";
const WRONG_PIN: &str = "zebra-0815-on-the-ridge";

/// Files below the world's folder with one of the PINs in them, but for those that the test wrote.
fn with_a_pin(world: &World) -> String {
    let script = format!(
        "grep --recursive --text --fixed-strings --files-with-matches -e {PIN} -e {WRONG_PIN} \
             --exclude-dir=tokens --exclude=pin --exclude=wrong . || [ $? -eq 1 ]"
    );
    shell(world, &script).out
}

#[test]
fn a_build_is_signed_in_a_token_and_its_pin_is_nowhere() {
    if missing(&["openssl", "softhsm2-util"]) {
        return;
    }
    let Some(world) = another_key() else { return };
    let Some(module) = softhsm() else { panic!("softhsm2-util is there, its library is not") };
    let tokens = world.place.path("tokens");
    fs::create_dir(&tokens).unwrap();
    file(&world, "hsm.conf", &format!("directories.tokendir = {}\n", tokens.display()), 0o644);
    file(&world, "pin", &format!("{PIN}\n"), 0o600);
    file(&world, "wrong", &format!("{WRONG_PIN}\n"), 0o600);
    let make = format!(
        "{OPENSSL_KEY}
         export SOFTHSM2_CONF=$PWD/hsm.conf
         softhsm2-util --init-token --free --label fab --pin {PIN} --so-pin 12345678
         softhsm2-util --import other.pem --token fab --label gateway --id 01 --pin {PIN}"
    );
    shell(&world, &make);
    let with_token = |words: &[&str]| {
        let mut command = world.command(words);
        Run::of(command.env("SOFTHSM2_CONF", world.place.path("hsm.conf")).output().unwrap())
    };
    let uri = format!("pkcs11:token=fab;object=gateway?module-path={module}");
    let added = with_token(&["keys", "add", "gw-out", "--uri", &uri, "--passphrase-file", "pin"]);
    assert_eq!(added.code, 0, "{added:?}");
    let before = world.product_of_the_build();

    // It is told before the hour of building: with tools that would hang nothing hangs.
    world.trap("mksquashfs", Some(Trap::Hang));
    world.trap("mke2fs", Some(Trap::Hang));
    let wrong = with_token(&["build", "--passphrase-file", "wrong"]);
    stops(&wrong, 8, "wrong-passphrase");
    assert!(wrong.err.contains("the PIN does not open the token"), "{wrong:?}");
    assert!(world.product_of_the_build() == before, "the old image was touched");
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    world.trap("mksquashfs", None);

    // What a tool is given, and what anybody sees of the program meanwhile.
    let mut child = world.command(&["build", "--passphrase-file", "pin", "--json"]);
    let child = child.env("SOFTHSM2_CONF", world.place.path("hsm.conf"));
    let under_way = world.until_it_hangs(child);
    for process in [under_way.0.id().cast_signed(), under_way.1] {
        for what in ["cmdline", "environ"] {
            let seen = fs::read(format!("/proc/{process}/{what}")).unwrap();
            let seen = String::from_utf8_lossy(&seen);
            assert!(!seen.is_empty() && !seen.contains(PIN), "{what}: {seen}");
        }
    }
    let stopped = world.signal(under_way, Signal::INT);
    assert_eq!(stopped.code, 130, "{stopped:?}");
    world.trap("mke2fs", None);

    let run = with_token(&["build", "--passphrase-file", "pin"]);
    assert_eq!(run.code, 6, "{run:?}");
    is_signed_by(&world, "gw-out");
    for run in [&added, &wrong, &stopped, &run] {
        for text in [&run.out, &run.err] {
            assert!(!text.contains(PIN) && !text.contains(WRONG_PIN), "{run:?}");
        }
    }
    assert_eq!(with_a_pin(&world), "");
    // The search finds what is there.
    file(&world, "out/qemu-aarch64/logs/of-a-test.log", &format!("pin={PIN}"), 0o644);
    assert_eq!(with_a_pin(&world), "./out/qemu-aarch64/logs/of-a-test.log\n");
}
