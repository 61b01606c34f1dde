//! Builds, signs and verifies a FIT of 100 MB here and with `mkimage`, side by side, and prints both.
//!
//! `cargo run --release -p fit --example fit-bench [MEGABYTES]`. Both start from the same files and end
//! with a FIT on the disk; ours is then read back and verified, `mkimage` verifies nothing (with
//! `FIT_CHECK_SIGN` set to U-Boot's tool, its time is printed too). The median of five runs counts, taken in turn.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::borrow::Cow;
use std::error::Error;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fit::build::{Configuration, FitSpec, Image, build};
use fit::control_fdt::{KeyNode, insert_key};
use fit::fdt::{Node, Tree};
use fit::key::{Algorithm, Hash, KeyType, Padding};
use fit::sign::{RsaSigner, SignOptions, Signer, sign_tree};
use fit::verify::verify;
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};

const ALGORITHM: Algorithm = Algorithm { hash: Hash::Sha256, key: KeyType::Rsa3072 };
const RUNS: usize = 5;
const ITS: &str = r#"/dts-v1/; / { description = "x"; images {
kernel { description = "k"; data = /incbin/("kernel"); type = "kernel"; arch = "arm64"; os = "linux"; load = <0x40400000>; entry = <0x40400000>; compression = "none"; hash-1 { algo = "sha256"; }; };
fdt { description = "d"; data = /incbin/("fdt"); type = "flat_dt"; arch = "arm64"; compression = "none"; hash-1 { algo = "sha256"; }; }; };
configurations { default = "conf"; conf { kernel = "kernel"; fdt = "fdt"; signature-1 { algo = "sha256,rsa3072"; key-name-hint = "dev"; sign-images = "kernel", "fdt"; }; }; }; };"#;

fn main() -> Result<(), Box<dyn Error>> {
    let megabytes: usize = std::env::args().nth(1).map_or(Ok(100), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    let key = RsaPrivateKey::new(&mut rand_core::OsRng, ALGORITHM.key.bits())?;
    std::fs::write(at.join("dev.key"), key.to_pkcs8_pem(LineEnding::LF)?.as_bytes())?;
    std::fs::write(at.join("x.its"), ITS)?;
    std::fs::write(at.join("kernel"), noise(megabytes * 1_000_000))?;
    let empty = Tree { root: Node::new(""), ..Tree::default() }.write()?;
    std::fs::write(at.join("fdt"), &empty)?;
    let signer = RsaSigner::new(key);
    std::fs::write(at.join("control"), insert_key(&empty, "dev", ALGORITHM, &signer.public_key())?)?;
    let checker = std::env::var_os("FIT_CHECK_SIGN");
    let (mut ours, mut theirs, mut checks) = (vec![], vec![], vec![]);
    for _ in 0..RUNS {
        ours.push(timed(|| here(at, &signer))?);
        theirs.push(timed(|| tool(at, "mkimage", &["-f", "x.its", "-k", ".", "theirs.itb"]))?);
        if let Some(checker) = &checker {
            let checker = checker.to_str().ok_or("`FIT_CHECK_SIGN` is no text")?;
            checks.push(timed(|| tool(at, checker, &["-f", "theirs.itb", "-k", "control"]))?);
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!("{megabytes} MB, {}, median of {RUNS} runs in turn", ALGORITHM.name());
    println!("fit: build, sign, write, read, verify  {:8.1} ms", milliseconds(ours));
    println!("mkimage: build, sign, write            {:8.1} ms", milliseconds(theirs));
    if !checks.is_empty() {
        println!("fit_check_sign: read, verify           {:8.1} ms", milliseconds(median(checks)));
    }
    println!("ratio fit / mkimage                    {:8.3}", ours.as_secs_f64() / theirs.as_secs_f64());
    Ok(())
}

/// The same work as the two tools do, from files to a file, and verified.
fn here(at: &Path, signer: &RsaSigner) -> Result<(), Box<dyn Error>> {
    let mut buffer = std::fs::read(at.join("kernel"))?;
    let fdt = std::fs::read(at.join("fdt"))?;
    fn image<'a>(name: &str, kind: &str, data: &'a [u8]) -> Image<'a> {
        Image {
            name: name.into(),
            description: name.into(),
            kind: kind.into(),
            arch: "arm64".into(),
            os: (kind == "kernel").then(|| "linux".into()),
            compression: "none".into(),
            load: (kind == "kernel").then_some(0x4040_0000),
            entry: (kind == "kernel").then_some(0x4040_0000),
            data: Cow::Borrowed(data),
        }
    }
    let mut tree = build(FitSpec {
        description: "x".into(),
        timestamp: 7,
        hash: ALGORITHM.hash,
        images: vec![image("kernel", "kernel", &buffer), image("fdt", "flat_dt", &fdt)],
        configurations: vec![Configuration {
            name: "conf".into(),
            description: "c".into(),
            compatible: None,
            loads: ["kernel", "fdt"].map(|role| (role.to_owned(), vec![role.to_owned()])).to_vec(),
        }],
        default: Some("conf".into()),
    })?;
    let options = SignOptions {
        key_name: "dev".into(),
        algorithm: ALGORITHM,
        padding: Padding::Pkcs1v15,
        timestamp: 7,
        node: "signature-1".into(),
    };
    sign_tree(&mut tree, &[(&options, signer)])?;
    tree.pieces()?.write_to(&mut std::fs::File::create(at.join("ours.itb"))?)?;
    drop(tree);
    // The memory is used again: getting it anew takes as long as reading.
    buffer.clear();
    std::fs::File::open(at.join("ours.itb"))?.read_to_end(&mut buffer)?;
    let report = verify(&buffer, &[KeyNode::required("dev", ALGORITHM, signer.public_key())], false)?;
    report.ok.then_some(()).ok_or_else(|| format!("ours does not verify: {report:?}").into())
}

fn tool(at: &Path, program: &str, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let output =
        Command::new(program).args(arguments).current_dir(at).env("SOURCE_DATE_EPOCH", "7").output()?;
    // `fit_check_sign` also tries to load what it verified, which a made-up kernel cannot pass.
    let verified = String::from_utf8_lossy(&output.stdout).contains("Verified OK");
    match output.status.success() || verified {
        true => Ok(()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

fn timed(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Bytes that do not compress, the same every time (xorshift).
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x5eed_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(bytes).collect()
}
