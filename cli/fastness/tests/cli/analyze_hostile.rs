//! `analyze` on images made to take all of the memory or never to end: bounded by what a process may write to, never timed.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::elsewhere::{missing, shell};
use crate::support::{Place, Run};

/// What docs/analyze.md promises, in KiB: memory that the program writes to.
const MOST: &str = "1048576";

/// An ext4 of 8 MiB with these commands' root.
fn ext4(place: &Place, make: &str) {
    shell(
        place,
        &format!(
            "mkdir -p root/etc root/usr/bin; printf 'root:*:0:0::/:/bin/false\\n' >root/etc/passwd
             cd root; {make}; cd ..; PATH=$PATH:/usr/sbin:/sbin mke2fs -q -F -t ext4 -d root image 8M"
        ),
    );
}

fn bounded(place: &Place) -> Run {
    let script = format!("ulimit -d {MOST}; fastness analyze image --all");
    Run::of(place.shell(&script).output().unwrap())
}

#[test]
fn many_kernels_with_holes_are_opened_one_by_one_and_not_all() {
    if missing(&["/usr/sbin/mke2fs"]) {
        return;
    }
    let place = Place::new();
    let make = "mkdir boot; for i in $(seq 30); do printf 'ARM\\x64' | dd of=boot/Image$i bs=1 seek=56 status=none; truncate -s 256M boot/Image$i; done";
    ext4(&place, make);
    let run = bounded(&place);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.out.contains("images that lie as files have more than") && run.out.contains("medium[limit]"),
        "{run:?}"
    );
}

#[test]
fn files_with_holes_are_read_up_to_a_bound() {
    if missing(&["/usr/sbin/mke2fs"]) {
        return;
    }
    let place = Place::new();
    // 64 GiB in files that are each just small enough.
    let make = "mkdir data; for i in $(seq 1000); do truncate -s 64M data/f$i; done";
    ext4(&place, make);
    let run = bounded(&place);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("the files of the image have more than"), "{run:?}");
    assert!(run.out.contains("more of its tree were not looked through"), "{run:?}");
}

#[test]
fn images_of_a_fit_over_each_other_take_no_more_than_one() {
    if missing(&["dtc"]) {
        return;
    }
    let place = Place::new();
    // Twenty kernels at the same 200 MiB.
    let mut list = String::new();
    for number in 0..20 {
        list.push_str(&format!(
            "k-{number} {{ compression = \"none\"; data-position = <0x10000>; data-size = <0xc800000>; }};\n"
        ));
    }
    std::fs::write(
        place.path("i.dts"),
        format!("/dts-v1/; / {{ images {{ {list} }}; configurations {{ }}; }};"),
    )
    .unwrap();
    shell(
        &place,
        "dtc -q -o image i.dts
         printf 'ARM\\x64' | dd of=image bs=1 seek=65592 conv=notrunc status=none
         truncate -s 209780736 image",
    );
    let run = bounded(&place);
    assert!(run.code == 0 && run.out.contains("medium[overlap]"), "{run:?}");
    assert_eq!(run.out.matches("it is not opened again").count(), 19, "{run:?}");
}

/// Ends the analysis of `image` by a signal as soon as it listens to them.
fn interrupted(place: &Place) -> Run {
    let mut child = place.command(&["analyze", "image"]);
    let child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    // SIGTERM is the fifteenth.
    let listens = || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mask =
            text.lines().find_map(|line| line.strip_prefix("SigCgt:")).map(str::trim).map(str::to_owned);
        mask.and_then(|mask| u64::from_str_radix(&mask, 16).ok()).is_some_and(|mask| mask >> 14 & 1 == 1)
    };
    while !listens() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    Run::of(child.wait_with_output().unwrap())
}

#[test]
fn a_signal_ends_it_while_it_hashes_and_while_it_unpacks() {
    // A file with one hole: minutes to hash.
    let place = Place::new();
    std::fs::File::create(place.path("image")).unwrap().set_len(64 << 30).unwrap();
    let run = interrupted(&place);
    assert!(run.code == 130 && run.err.contains("error[interrupted]: stopped by a signal"), "{run:?}");
    // Zeros, packed again and again: as many as may be unpacked.
    let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    member.write_all(&vec![0; 64 << 20]).unwrap();
    let member = member.finish().unwrap();
    std::fs::write(place.path("image"), member.repeat(250)).unwrap();
    let run = interrupted(&place);
    assert!(run.code == 130 && run.err.contains("error[interrupted]: stopped by a signal"), "{run:?}");
    assert_eq!(run.out, "");
}

/// A cpio archive of so many files of one byte, and accounts.
fn members(place: &Place, count: usize) {
    let mut out =
        std::io::BufWriter::new(std::fs::File::create(place.path("image")).expect("the archive is made"));
    let mut add = |name: &str, text: &str| {
        let mode = if name == "TRAILER!!!" { 0 } else { 0o100_644 };
        let fields = [1, mode, 0, 0, 1, 0, text.len(), 0, 0, 0, 0, name.len() + 1, 0];
        let head: String = fields.iter().map(|field| format!("{field:08x}")).collect();
        let pad = |len: usize| "\0".repeat(len.next_multiple_of(4) - len);
        let name_pad = pad(110 + name.len() + 1);
        write!(out, "070701{head}{name}\0{name_pad}{text}{}", pad(text.len()))
            .expect("the archive is written");
    };
    add("etc/passwd", "root::0:0::/:/bin/sh\n");
    for number in 0..count {
        add(&format!("usr/f{number:07}"), "x");
    }
    add("TRAILER!!!", "");
    out.flush().expect("the archive is written");
}

/// Seconds of processor time and memory are the kernel's to hold: a run that needs more is killed, and has no result.
#[test]
fn millions_of_members_end_at_a_bound_and_as_many_as_are_allowed_are_all_looked_at() {
    let place = Place::new();
    let run = || {
        Run::of(
            place
                .shell(&format!("ulimit -d {MOST}; ulimit -t 120; fastness analyze image --all"))
                .output()
                .unwrap(),
        )
    };
    members(&place, 390_000);
    let all = run();
    assert_eq!(all.code, 0, "{all:?}");
    assert!(all.out.contains("critical[account-empty-password]") && !all.out.contains("[limit]"), "{all:?}");
    members(&place, 2_000_000);
    let more = run();
    assert_eq!(more.code, 0, "{more:?}");
    assert!(more.out.contains("medium[limit]"), "{more:?}");
    assert!(more.out.contains("number of paths is 400001, more than the limit of 400000"), "{more:?}");
    assert!(!more.out.contains("image: good"), "{more:?}");
}
