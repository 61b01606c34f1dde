//! Rebuilds the crate when a definition that is compiled in changes: `include_dir` cannot
#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]
//! tell cargo about its files on a stable compiler.

fn main() {
    for folder in ["layers", "templates", "boards", "buildroot", "yocto", "standards"] {
        println!("cargo::rerun-if-changed=../../{folder}");
    }
}
