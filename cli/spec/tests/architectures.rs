//! What is asked of one architecture only: there it holds, elsewhere nobody asks for it, and a slip is told.

mod common;

use common::{library, with, write};
use diag::Outcome;
use spec::plan::Plan;

const BOARD: &str = include_str!("library/boards/bench-arm64/board.yaml");
const LAYER: &str = r#"
title: Own
description: Own
linux:
  - {symbol: ARM64_BTI, value: y, architectures: [arm64], reason: r}
  - {symbol: ARM_PAN, value: y, architectures: [arm], reason: r}
  - {symbol: RND_BITS, value: 33, architectures: [arm64], reason: r}
  - {symbol: RND_BITS, value: 16, architectures: [arm], reason: r}
  - {symbol: OF_BOTH, value: y, architectures: [arm, arm64], reason: r}
  - {symbol: OF_ALL, value: y, reason: r}
uboot:
  - {symbol: ARMV8_CRYPTO, value: y, architectures: [arm64], reason: r}
cmdline:
  - {argument: rodata=full, architectures: [arm64], reason: r}
  - {argument: rodata=on, architectures: [arm], reason: r}
sysctl:
  - {key: vm.mmap_rnd_bits, value: "33", architectures: [arm64], reason: r}
  - {key: vm.mmap_rnd_bits, value: "16", architectures: [arm], reason: r}
checks:
  - {id: own.cmdline-arm64, title: t, kind: kernel-cmdline, architectures: [arm64], with: {require: [rodata=full]}}
  - {id: own.words, title: t, kind: kernel-cmdline, with: {note: "{{architecture.name}} {{architecture.bits}}"}}
waivers:
  - {waives: "linux:ARM64_BTI", architectures: [arm64], reason: r}
"#;

/// The plan for a board whose kernel is of this architecture, with this text as the layer `extra`.
fn plan(architecture: &str, layer: &str) -> Outcome<Plan> {
    let folder = tempfile::tempdir().expect("a folder");
    let board = BOARD.replace("kernel_arch: arm64", &format!("kernel_arch: {architecture}"));
    write(folder.path(), "boards/bench/board.yaml", &board);
    write(folder.path(), "layers/extra/layer.yaml", layer);
    let product = with("boards: [bench-arm64]", "boards: [bench]")
        .replace("extra: {port: 8080, peers: [10.0.0.0/8]}", "extra: {}");
    let path = folder.path().join("product.yaml");
    std::fs::write(&path, product).expect("written");
    spec::load_with(&library(folder.path()), &path, None)
}

#[test]
fn each_architecture_gets_what_is_asked_of_it() {
    for (architecture, bits, rodata, has, lacks) in [
        ("arm64", ("33", "64"), "rodata=full", ["ARM64_BTI", "RND_BITS"], "ARM_PAN"),
        ("arm", ("16", "32"), "rodata=on", ["ARM_PAN", "RND_BITS"], "ARM64_BTI"),
    ] {
        let plan = plan(architecture, LAYER).unwrap_or_else(|failure| panic!("{failure}"));
        let symbols = &plan.linux.symbols;
        for symbol in has.iter().chain(&["OF_BOTH", "OF_ALL"]) {
            assert_eq!(symbols[*symbol].origins[0].who, "layer extra", "{architecture}");
        }
        assert!(!symbols.contains_key(lacks), "{architecture}");
        assert_eq!(symbols["RND_BITS"].value, bits.0);
        assert_eq!(plan.sysctl["vm.mmap_rnd_bits"].value, bits.0);
        let arguments: Vec<&str> = plan.cmdline.iter().map(|asked| asked.value.as_str()).collect();
        assert_eq!(arguments.iter().filter(|a| a.starts_with("rodata=")).collect::<Vec<_>>(), [&rodata]);
        let of_64 = architecture == "arm64";
        assert_eq!(plan.uboot.symbols.contains_key("ARMV8_CRYPTO"), of_64);
        assert_eq!(plan.checks.contains_key("own.cmdline-arm64"), of_64);
        assert_eq!(plan.waivers.contains_key("linux:ARM64_BTI"), of_64);
        assert_eq!(plan.checks["own.words"].value.with["note"], format!("{architecture} {}", bits.1));
    }
}

#[test]
fn two_layers_still_disagree_where_both_ask() {
    let layer = LAYER.replace(
        "architectures: [arm], reason: r}\n  - {symbol: OF_BOTH",
        "reason: r}\n  - {symbol: OF_BOTH",
    );
    assert_ne!(layer, LAYER);
    plan("arm", &layer).unwrap_or_else(|failure| panic!("{failure}"));
    let failure = plan("arm64", &layer).expect_err("two values").to_string();
    assert!(failure.contains("disagree about the Linux symbol `RND_BITS`: `33` and `16`"), "{failure}");
}

#[test]
fn an_architecture_that_does_not_exist_is_told_wherever_it_stands() {
    let slip = LAYER.replacen("architectures: [arm64]", "architectures: [arm46]", 1);
    let failure = plan("arm64", &slip).expect_err("a slip").to_string();
    assert!(failure.contains("expected one of `arm`, `arm64`, `riscv`, found `arm46`"), "{failure}");
    assert!(failure.contains("did you mean `arm64`?"), "{failure}");
    let failure = plan("armhf", LAYER).expect_err("Debian's word").to_string();
    assert!(failure.contains("expected one of `arm`, `arm64`, `riscv`, found `armhf`"), "{failure}");
}

#[test]
fn a_waiver_of_what_only_another_architecture_has_must_say_so() {
    let layer = LAYER.replace("ARM64_BTI\", architectures: [arm64]", "ARM64_BTI\"");
    assert_ne!(layer, LAYER);
    plan("arm64", &layer).unwrap_or_else(|failure| panic!("{failure}"));
    let failure = plan("arm", &layer).expect_err("nothing to waive").to_string();
    assert!(failure.contains("no symbol that is asked for is named `linux:ARM64_BTI`"), "{failure}");
}
