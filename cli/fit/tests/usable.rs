//! What is signed and U-Boot refuses nevertheless, and what it takes that is unusual: each with the same result here.
//!
//! `FIT_CHECK_SIGN` names U-Boot's verifier; where it is set it is asked, too.

#![allow(clippy::unwrap_used)]

mod common;

use std::borrow::Cow;
use std::process::Command;

use common::{control, empty, fit_check_sign, ignore, image, options, signer, trusted, unsigned};
use fit::build::{Configuration, FitSpec, build};
use fit::fdt::{Node, Tree};
use fit::key::{Hash, Padding};
use fit::sign::sign;
use fit::verify::{VerifyReport, verify};

/// What verifies, and whether U-Boot takes it, where it can be asked.
fn checked(tree: Tree<'_>) -> (VerifyReport, Option<bool>) {
    let blob = sign(tree, &options(Padding::Pkcs1v15), &signer()).unwrap();
    let report = verify(&blob, &trusted(), false).unwrap();
    let Some(tool) = fit_check_sign() else { return (report, None) };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("fit"), &blob).unwrap();
    std::fs::write(folder.path().join("control"), control()).unwrap();
    let some = report.configurations.iter().step_by(1 + report.configurations.len() / 4);
    let taken = some.into_iter().all(|configuration| {
        let arguments = ["-f", "fit", "-k", "control", "-c", &configuration.name];
        Command::new(&tool).args(arguments).current_dir(folder.path()).output().unwrap().status.success()
    });
    assert!(taken || !report.ok, "ours takes what U-Boot refuses: {report:?}");
    (report, Some(taken))
}

type Change = fn(&mut Node<'static>);

fn changed(change: impl FnOnce(&mut Node<'static>)) -> (VerifyReport, Option<bool>) {
    let mut tree = unsigned();
    change(&mut tree.root);
    checked(tree)
}

fn at<'n>(root: &'n mut Node<'static>, path: &str) -> &'n mut Node<'static> {
    root.at_mut(path).unwrap()
}

#[test]
fn what_u_boot_does_not_start_is_refused_though_it_is_signed() {
    let cases: [(Change, &str, &str); 9] = [
        (|root| ignore(root.unset("description")), "no-header", "the root has no `description`"),
        (|root| ignore(root.unset("timestamp")), "no-header", "the root has no `timestamp`"),
        (
            |root| {
                at(root, "/configurations/conf").set_text("kernel", "fdt");
                at(root, "/configurations/conf").set_text("fdt", "kernel");
            },
            "image-type",
            "`kernel` refers to the image `fdt`, which has the type `flat_dt`: U-Boot takes kernel, kernel_noload there",
        ),
        (|root| at(root, "/images/kernel").set_text("type", "kernal"), "image-type", "the type `kernal`"),
        (|root| ignore(at(root, "/images/kernel").unset("type")), "image-type", "which has no `type`"),
        (|root| ignore(at(root, "/images/kernel").unset("os")), "image-type", "which has no `os`"),
        (|root| at(root, "/images/ramdisk").set_text("os", "plan9"), "image-type", "the os `plan9`"),
        (
            |root| at(root, "/configurations/conf").set_text("ramdisk", "fdt"),
            "image-type",
            "`ramdisk` refers to",
        ),
        (
            |root| at(root, "/configurations/conf").set_texts("fdt", &["fdt", "ramdisk"]),
            "image-type",
            "`fdt` refers to the image `ramdisk`",
        ),
    ];
    for (change, code, expected) in cases {
        let (report, taken) = changed(change);
        let mut found = report.all_problems().filter(|problem| problem.code == code);
        assert!(found.any(|found| found.message.contains(expected)), "{expected}: {report:?}");
        // `fit_check_sign` looks at the first device tree only, a device at each (`boot_get_fdt_fit`).
        assert!(taken != Some(true) || expected.starts_with("`fdt` refers"), "{expected}");
    }
}

#[test]
fn what_u_boot_starts_is_taken() {
    let changes: [Change; 7] = [
        |root| at(root, "/images/kernel").set_text("type", "kernel_noload"),
        |root| at(root, "/images/kernel").set_text("type", "Kernel"),
        |root| at(root, "/images/kernel").set_text("type", "firmware"),
        |root| at(root, "/images/kernel").set_text("os", "efi"),
        |root| ignore(at(root, "/images/fdt").unset("os")),
        |root| ignore(at(root, "/images/fdt").unset("arch")),
        // A board chooses by name or by `compatible`.
        |root| ignore(at(root, "/configurations").unset("default")),
    ];
    for change in changes {
        let (report, taken) = changed(change);
        assert!(report.ok && taken != Some(false), "{report:?}");
    }
}

/// As many device trees as that, each with its own configuration, or all in one.
fn many(count: usize, each: bool) -> Tree<'static> {
    let fdts: Vec<String> =
        (0..count).map(|n| format!("fdt-ti,am335x-board+variant-number-{n}.dtb")).collect();
    let configuration = |name: String, fdts: &[String]| Configuration {
        name,
        description: "one of many".into(),
        compatible: None,
        loads: vec![("kernel".into(), vec!["kernel".into()]), ("fdt".into(), fdts.to_vec())],
    };
    let configurations: Vec<_> = match each {
        true => {
            fdts.iter().map(|fdt| configuration(format!("conf-{fdt}"), std::slice::from_ref(fdt))).collect()
        }
        false => vec![configuration("conf".into(), &fdts)],
    };
    let mut images = vec![image("kernel", "kernel", b"kernel")];
    for name in &fdts {
        images.push(fit::build::Image {
            data: Cow::Owned(empty()),
            load: None,
            ..image(name, "flat_dt", b"")
        });
    }
    let default = configurations[0].name.clone();
    build(FitSpec {
        description: "many".into(),
        timestamp: 7,
        hash: Hash::Sha256,
        images,
        configurations,
        default: Some(default),
    })
    .unwrap()
}

#[test]
fn a_fit_of_many_boards_and_of_as_many_overlays_as_u_boot_takes_verifies() {
    let (report, _) = checked(many(620, true));
    assert!(report.ok && report.configurations.len() == 620, "{:?}", report.all_problems().next());
    let (report, _) = checked(many(48, false));
    assert!(report.ok, "{report:?}");
    let (report, _) = checked(many(70, false));
    assert!(
        report.all_problems().any(|problem| problem.message.contains("needs 144 covered nodes")
            && problem.message.ends_with("U-Boot takes at most 100")),
        "{report:?}"
    );
}
