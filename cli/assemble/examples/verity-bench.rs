//! Makes the dm-verity tree of a file of random data here and with `veritysetup format`, side by side, and compares the trees.
//!
//! `cargo run --release -p assemble --example verity-bench [MEBIBYTES] [FOLDER]`; 4096 MiB in the system's folder for
//! temporary files when not told. `veritysetup` reads the data and writes the tree into a file of its own; so does ours. What
//! `build` does is told, too: a copy of the data before the tree, as an image has it, hashed as a whole for the record. All find
//! the data in the page cache. The least of three runs in turn counts.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use assemble::verity::{BLOCK, hex, tree, write};

const RUNS: usize = 3;
const SALT: [u8; 32] = [0x5a; 32];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mebibytes: u64 = arguments.next().map_or(Ok(4096), |text| text.parse())?;
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(parent)?;
    let [data, ours, theirs] = ["data", "ours", "theirs"].map(|name| folder.path().join(name));
    noise(&data, mebibytes << 20)?;
    let blocks = (mebibytes << 20) / BLOCK as u64;
    let [mut here, mut there, mut image] = [Duration::MAX; 3];
    for _ in 0..RUNS {
        let from = Instant::now();
        let (root, bytes) = tree(&data, blocks, &SALT).map_err(|e| format!("{e:?}"))?;
        std::fs::write(&ours, bytes)?;
        here = here.min(from.elapsed());
        let from = Instant::now();
        let expected = veritysetup(&data, &theirs)?;
        there = there.min(from.elapsed());
        if expected != hex(&root) {
            return Err(format!("root hash: ours {}, veritysetup's {expected}", hex(&root)).into());
        }
        if std::fs::read(&ours)? != std::fs::read(&theirs)? {
            return Err("the trees differ".into());
        }
        std::fs::remove_file(&theirs)?;
        let from = Instant::now();
        write(&data, &ours, &SALT).map_err(|e| format!("{e:?}"))?;
        image = image.min(from.elapsed());
        std::fs::remove_file(&ours)?;
    }
    println!("{mebibytes} MiB, the least of {RUNS} runs in turn; root hash and tree are the same bytes");
    println!("ours: tree                             {:8.2} s", here.as_secs_f64());
    println!("veritysetup format: tree               {:8.2} s", there.as_secs_f64());
    println!("ratio                                  {:8.3}", here.as_secs_f64() / there.as_secs_f64());
    println!("ours: copy, hash of the whole, tree    {:8.2} s", image.as_secs_f64());
    Ok(())
}

/// Bytes that do not compress, from a fixed seed (xorshift64).
fn noise(path: &Path, bytes: u64) -> Result<(), Box<dyn Error>> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..bytes / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes())?;
    }
    file.into_inner()?.sync_all()?;
    Ok(())
}

/// The root hash that it prints.
fn veritysetup(data: &Path, tree: &Path) -> Result<String, Box<dyn Error>> {
    let output = Command::new("veritysetup")
        .args([
            "format",
            "--no-superblock",
            "--hash=sha256",
            "--data-block-size=4096",
            "--hash-block-size=4096",
        ])
        .arg(format!("--salt={}", hex(&SALT)))
        .args([data, tree])
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .output()?;
    if !output.status.success() {
        return Err(format!("veritysetup: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let said = String::from_utf8(output.stdout)?;
    let root = said
        .lines()
        .find_map(|line| line.strip_prefix("Root hash:"))
        .ok_or("veritysetup told no root hash")?;
    Ok(root.trim().to_owned())
}
