//! FIT images and control device trees: build, sign, verify.
//!
//! Pure: bytes in, bytes out; no files, no processes. What signs ([`sign`]) and what
//! verifies ([`verify`]) share only the reader of the tree format, so that one bug cannot
//! sit in both; both are cross-checked against U-Boot's own tools in the tests.
//!
//! ```text
//! build::FitSpec -> build::build -> fdt::Tree -> sign::sign -> bytes -> external::externalise (if wanted)
//! a compiled .its -> its::finish -> bytes
//! control FDT    -> control_fdt::insert_key -> bytes, appended to u-boot-nodtb.bin
//! bytes + control_fdt::find_control(u-boot.bin) -> verify::verify_with_control -> VerifyReport
//! ```
//!
//! Source: U-Boot `doc/usage/fit/source_file_format.rst` and `signature.rst`; the
//! Devicetree Specification 0.4, chapter 5.

mod algorithm;
pub mod binary;
pub mod build;
pub mod control_fdt;
mod error;
pub mod external;
pub mod fdt;
pub mod its;
pub mod key;
pub mod packed;
mod parallel;
pub mod request;
pub mod show;
pub mod sign;
pub mod verify;
mod words;

pub use error::FitError;
