//! FAT16 and FAT32 of two writers, and broken ones.

use std::fs;
use std::io::{Cursor, Write};

use image::Source;
use image::fat::Fat;
use image::tree::{FileTree, Kind, open_fat};

use crate::support::{Random, tool};

/// A file system of the crate `fatfs`, with a short and a long name, an empty file, and one of several clusters.
fn written(bytes: usize) -> Vec<u8> {
    with_folder(bytes, false)
}

/// The folders of that crate are not as other tools want them.
fn with_folder(bytes: usize, folder: bool) -> Vec<u8> {
    let mut volume = Cursor::new(vec![0; bytes]);
    let (kind, cluster) = match bytes {
        0..4_000_000 => (fatfs::FatType::Fat12, 1024),
        4_000_000..40_000_000 => (fatfs::FatType::Fat16, 1024),
        _ => (fatfs::FatType::Fat32, 512),
    };
    let options = fatfs::FormatVolumeOptions::new().volume_id(1).fat_type(kind).bytes_per_cluster(cluster);
    fatfs::format_volume(&mut volume, options).unwrap();
    let system = fatfs::FileSystem::new(&mut volume, fatfs::FsOptions::new()).unwrap();
    for (name, content) in files() {
        system.root_dir().create_file(&name).unwrap().write_all(&content).unwrap();
    }
    if folder {
        let inner = system.root_dir().create_dir("folder").unwrap().create_dir("inner").unwrap();
        inner.create_file("deep.txt").unwrap().write_all(b"deep").unwrap();
    }
    system.unmount().unwrap();
    volume.into_inner()
}

fn files() -> Vec<(String, Vec<u8>)> {
    let noise = |bytes: u32| (0..bytes).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    vec![
        ("BOOT.BIN".to_owned(), noise(100_000)),
        ("a long name with spaces.and-more.txt".to_owned(), noise(2048)),
        ("empty".to_owned(), vec![]),
        ("one".to_owned(), noise(1)),
    ]
}

fn read(bytes: Vec<u8>) -> image::Result<Vec<(String, Vec<u8>)>> {
    let fat = Fat::open(Source::from_bytes("volume", bytes))?;
    let entries = fat.entries()?;
    entries
        .iter()
        .filter(|entry| !entry.folder)
        .map(|entry| Ok((entry.name.clone(), fat.read(entry, 1 << 20)?)))
        .collect()
}

#[test]
fn both_kinds_are_read_as_they_were_written() {
    for (bytes, wide) in [(8 << 20, false), (64 << 20, true)] {
        let volume = with_folder(bytes, true);
        let fat = Fat::open(Source::from_bytes("volume", volume.clone())).unwrap();
        assert_eq!(fat.is_fat32(), wide);
        assert!(read(volume).unwrap() == files(), "{bytes}");
        let folder = fat.entries().unwrap().into_iter().find(|entry| entry.folder).unwrap();
        assert_eq!((folder.name.as_str(), folder.bytes), ("folder", 0));
        let error = fat.read(&folder, 100).unwrap_err().to_string();
        assert!(error.contains("`folder`: it is a folder"), "{error}");
        let error = fat.read(&fat.entries().unwrap()[0], 99_999).unwrap_err().to_string();
        assert!(error.contains("`BOOT.BIN` in bytes is 100000, more than the limit of 99999"), "{error}");
    }
}

#[test]
fn what_other_tools_write_is_read_and_what_is_written_they_find_whole() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files() {
        fs::write(folder.path().join(name), content).unwrap();
    }
    for (kind, blocks) in [("16", "16384"), ("32", "65536")] {
        let make = ["mkfs.fat", "-F", kind, "-s", if kind == "16" { "2" } else { "1" }, "-C", kind, blocks];
        if tool(folder.path(), &make).is_none() {
            return;
        }
        for (name, _) in files() {
            if tool(folder.path(), &["mcopy", "-i", kind, &name, "::"]).is_none() {
                return;
            }
        }
        let found = read(fs::read(folder.path().join(kind)).unwrap()).unwrap();
        for (found, written) in found.iter().zip(files()) {
            assert!(*found == written, "FAT{kind}: `{}` instead of `{}`", found.0, written.0);
        }
        assert_eq!(found.len(), files().len());
    }
    for bytes in [8 << 20, 64 << 20] {
        fs::write(folder.path().join("own"), written(bytes)).unwrap();
        tool(folder.path(), &["fsck.fat", "-n", "own"]);
        let told = tool(folder.path(), &["mdir", "-b", "-i", "own", "::"]).unwrap();
        assert!(told.contains("a long name with spaces.and-more.txt"), "{told}");
    }
}

#[test]
fn each_defect_is_named() {
    let good = written(8 << 20);
    let broken = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut volume = good.clone();
        change(&mut volume);
        read(volume).unwrap_err().to_string()
    };
    let half = |at: usize| usize::from(u16::from_le_bytes([good[at], good[at + 1]]));
    let (table, table_bytes) = (half(14) * 512, half(22) * 512);
    let root = table + 2 * table_bytes;
    // `BOOT.BIN` is behind the label; of 12 parts no more than its own entry.
    let entry = (root..).step_by(32).find(|at| good[*at..].starts_with(b"BOOT    BIN")).unwrap();
    let first = half(entry + 26);
    let both = |volume: &mut Vec<u8>, cluster: usize, value: u16| {
        for copy in [0, table_bytes] {
            volume[table + copy + cluster * 2..][..2].copy_from_slice(&value.to_le_bytes());
        }
    };
    for (expected, change) in [
        (
            "boot sector: expected `55aa`, found `00aa`",
            &(|v: &mut Vec<u8>| v[510] = 0) as &dyn Fn(&mut Vec<u8>),
        ),
        ("found 1024, ", &|v| v[12] = 4),
        ("a power of two of them a cluster", &|v| v[13] = 3),
        ("do not fit into", &|v| v[14..16].fill(0)),
        ("do not fit into 8388608 bytes", &|v| v[19..21].fill(0xff)),
        ("are neither FAT16's nor FAT32's", &|v| v[17..19].fill(0)),
        ("are needed", &|v| v[22..24].copy_from_slice(&[1, 0])),
        ("tables: the two copies differ", &|v| v[table + table_bytes + 100] ^= 1),
        ("`BOOT.BIN`: its chain is shorter than the file", &|v| both(v, first, 0xffff)),
        ("`BOOT.BIN`: its chain is longer than the file", &|v| {
            v[entry + 28..entry + 32].copy_from_slice(&[1, 0, 0, 0])
        }),
        ("`BOOT.BIN`: its chain leads to the cluster 0", &|v| both(v, first, 0)),
        ("`BOOT.BIN`: its chain leads to the cluster 65000", &|v| both(v, first, 65_000)),
        ("`BOOT.BIN` in bytes is 4294967295", &|v| v[entry + 28..entry + 32].fill(0xff)),
    ] {
        let error = broken(change);
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert!(
        broken(&|v| v.truncate(100)).contains("is needed")
            || broken(&|v| v.truncate(100)).contains("are needed")
    );
    // A ring in the root folder's chain of FAT32.
    let mut ring = written(64 << 20);
    let table = usize::from(u16::from_le_bytes([ring[14], ring[15]])) * 512;
    let bytes = u32::from_le_bytes(ring[36..40].try_into().unwrap()) as usize * 512;
    for copy in [0, bytes] {
        ring[table + copy + 8..][..4].copy_from_slice(&2_u32.to_le_bytes());
    }
    let error = read(ring).unwrap_err().to_string();
    assert!(
        error.contains("the root folder in bytes is") && error.contains("more than the limit"),
        "{error}"
    );
}

#[test]
fn no_change_of_a_few_bytes_makes_it_panic_or_read_for_ever() {
    let mut random = Random(7);
    for bytes in [8 << 20, 64 << 20] {
        let good = written(bytes);
        // Where something is: the rest of the table and of the data is zero.
        let places: Vec<usize> = (0..good.len()).filter(|at| good[*at] != 0).take(4000).collect();
        for _ in 0..60 {
            let mut volume = good.clone();
            for _ in 0..1 + random.below(4) {
                volume[places[random.below(places.len())]] = random.next() as u8;
            }
            let _ = read(volume);
        }
        for len in [0, 11, 511, 512, 513, 20_000] {
            assert!(read(good[..len].to_vec()).is_err(), "{len}");
        }
    }
}

/// All files of a tree with their content.
fn all(tree: &FileTree) -> Vec<(String, Vec<u8>)> {
    let files = tree.entries().iter().filter(|(_, entry)| matches!(entry.kind, Kind::File { .. }));
    files.map(|(path, _)| (path.clone(), tree.read(path, 1 << 20).unwrap())).collect()
}

fn tree(bytes: Vec<u8>) -> image::Result<FileTree> {
    open_fat(&Source::from_bytes("volume", bytes))
}

#[test]
fn each_kind_is_a_tree_with_its_folders() {
    let mut wanted: Vec<(String, Vec<u8>)> =
        files().into_iter().map(|(name, content)| (format!("/{name}"), content)).collect();
    wanted.push(("/folder/inner/deep.txt".to_owned(), b"deep".to_vec()));
    wanted.sort();
    for bytes in [1 << 20, 8 << 20, 64 << 20] {
        let tree = tree(with_folder(bytes, true)).unwrap();
        assert!(all(&tree) == wanted, "{bytes}");
        assert_eq!((tree.kind().to_string().as_str(), tree.end()), ("FAT", Some(bytes as u64)));
        assert_eq!(tree.get("/folder/inner").unwrap().kind, Kind::Directory);
        // The same bytes without a copy of them.
        assert_eq!(tree.place("/folder/inner/deep.txt").unwrap().read_vec(1, 3).unwrap(), b"eep");
    }
    // What boot ROMs are not given.
    let error = Fat::open(Source::from_bytes("small", written(1 << 20))).unwrap_err().to_string();
    assert!(error.contains("neither FAT16's nor FAT32's"), "{error}");
}

#[test]
fn trees_of_other_writers_are_read_also_where_files_lie_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let noise: Vec<u8> = (0..200_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8).collect();
    for name in ["first", "second"] {
        fs::write(folder.path().join(name), &noise[..60_000]).unwrap();
    }
    fs::write(folder.path().join("large"), &noise).unwrap();
    for (kind, blocks, cluster) in [("12", "2048", "2"), ("16", "16384", "2"), ("32", "65536", "1")] {
        let make = ["mkfs.fat", "-F", kind, "-s", cluster, "-C", kind, blocks];
        let steps: [&[&str]; 6] = [
            &make,
            &["mmd", "-i", kind, "::EFI", "::EFI/BOOT"],
            &["mcopy", "-i", kind, "first", "second", "::"],
            // What is put into the hole continues behind the second.
            &["mdel", "-i", kind, "::first"],
            &["mcopy", "-i", kind, "large", "::EFI/BOOT/a long name.efi"],
            &["fsck.fat", "-n", kind],
        ];
        for step in steps {
            if tool(folder.path(), step).is_none() {
                return;
            }
        }
        let tree = tree(fs::read(folder.path().join(kind)).unwrap()).unwrap();
        let found = all(&tree);
        assert_eq!(found.len(), 2, "FAT{kind}");
        assert!(found[0] == ("/EFI/BOOT/a long name.efi".to_owned(), noise.clone()), "FAT{kind}");
        assert!(found[1].1 == noise[..60_000], "FAT{kind}");
        let place = tree.place("/EFI/BOOT/a long name.efi").unwrap();
        assert!(place.read_vec(1000, 150_000).unwrap() == noise[1000..151_000], "FAT{kind}");
    }
}

#[test]
fn rings_and_chains_over_others_are_told_and_end() {
    let good = with_folder(8 << 20, true);
    let half = |at: usize| usize::from(u16::from_le_bytes([good[at], good[at + 1]]));
    let (table, table_bytes) = (half(14) * 512, half(22) * 512);
    let entry = |name: &[u8]| (0..good.len()).step_by(32).find(|at| good[*at..].starts_with(name)).unwrap();
    let set = |volume: &mut Vec<u8>, at: usize, value: u16| {
        volume[at..at + 2].copy_from_slice(&value.to_le_bytes())
    };
    let both = |volume: &mut Vec<u8>, cluster: usize, value: u16| {
        for copy in [0, table_bytes] {
            set(volume, table + copy + cluster * 2, value);
        }
    };
    let (outer, inner) = (entry(b"FOLDER     "), entry(b"INNER      "));
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut volume = good.clone();
        change(&mut volume);
        tree(volume).unwrap_err().to_string()
    };
    // A folder that is its own parent, and one whose chain is a ring.
    let error = refused(&|v| set(v, inner + 26, half(outer + 26) as u16));
    assert!(error.contains("the folder `inner`: its chain leads to the cluster"), "{error}");
    assert!(error.contains("which is part of another or of itself"), "{error}");
    let error = refused(&|v| both(v, half(inner + 26), half(inner + 26) as u16));
    assert!(error.contains("which is part of another or of itself"), "{error}");
    let error = refused(&|v| set(v, inner + 26, 0));
    assert!(error.contains("the folder `inner`: its chain leads to the cluster 0"), "{error}");
    // Two files over each other, and one that says it is larger than the disk: they fail, the others are read.
    let (first, second) = (entry(b"BOOT    BIN"), entry(b"ONE        "));
    let mut crossed = good.clone();
    set(&mut crossed, second + 26, half(first + 26) as u16);
    crossed[first + 28..first + 32].fill(0xff);
    let crossed = tree(crossed).unwrap();
    let error = crossed.read("/one", 10).unwrap_err().to_string();
    assert!(error.contains("`/one`") && error.contains("which is part of another"), "{error}");
    assert!(crossed.place("/one").is_none());
    let error = crossed.read("/BOOT.BIN", u64::MAX).unwrap_err().to_string();
    assert!(error.contains("its chain is shorter than the file"), "{error}");
    assert_eq!(crossed.read("/folder/inner/deep.txt", 10).unwrap(), b"deep");
    // A name that would lead elsewhere.
    let error = refused(&|v| v[inner..inner + 3].copy_from_slice(b"A/B"));
    assert!(error.contains("is not possible"), "{error}");
}

#[test]
fn no_change_of_a_few_bytes_makes_a_tree_panic_or_read_for_ever() {
    let mut random = Random(11);
    for bytes in [1 << 20, 8 << 20, 64 << 20] {
        let good = with_folder(bytes, true);
        let places: Vec<usize> = (0..good.len()).filter(|at| good[*at] != 0).take(4000).collect();
        for _ in 0..60 {
            let mut volume = good.clone();
            for _ in 0..1 + random.below(4) {
                volume[places[random.below(places.len())]] = random.next() as u8;
            }
            let Ok(tree) = tree(volume) else { continue };
            for path in tree.entries().keys() {
                let _ = tree.read(path, 1 << 20);
            }
        }
    }
}
