//! Rebuilds the crate when an attack that is compiled in changes: `include_dir` cannot tell cargo
//! about its files on a stable compiler.
#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

fn main() {
    println!("cargo::rerun-if-changed=../../attacks");
}
