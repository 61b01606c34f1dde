use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use image::Source;
use image::disk::{ALIGNMENT, Disk, Guid, Layout, PartitionSpec, create, gpt_write};

use crate::support::tool;

fn spec(name: &str, number: u32, bytes: u64) -> PartitionSpec {
    PartitionSpec {
        name: name.into(),
        type_guid: Guid::LINUX_DATA,
        part_guid: format!("00000000-0000-8000-8000-{number:012}").parse().unwrap(),
        attributes: 1 << 60,
        bytes,
    }
}

fn layout() -> Layout {
    let disk = "11111111-2222-8333-8444-555555555555".parse().unwrap();
    Layout::new(disk, &[spec("fit_a", 1, 512), spec("root_a", 2, 3 << 20), spec("dätä", 3, 1 << 20)]).unwrap()
}

fn bytes() -> Vec<u8> {
    let layout = layout();
    let mut bytes = vec![0; layout.bytes() as usize];
    gpt_write(&mut std::io::Cursor::new(&mut bytes), &layout).unwrap();
    bytes
}

fn open(bytes: &[u8]) -> image::Result<Disk> {
    Disk::from_source(Source::from_bytes("disk", bytes.to_vec()))
}

#[test]
fn a_layout_reads_back_and_others_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.img");
    create(&path, &layout()).unwrap();
    let disk = Disk::open(&path).unwrap();
    assert_eq!(disk.partitions(), layout().partitions());
    assert_eq!(disk.guid().to_string(), "11111111-2222-8333-8444-555555555555");
    assert!(disk.partitions().iter().all(|p| p.offset % ALIGNMENT == 0));
    assert_eq!(std::fs::read(&path).unwrap(), bytes(), "the same layout gives the same bytes");
    let error = create(&path, &layout()).unwrap_err().to_string();
    assert!(error.contains("cannot create"), "{error}");
    if let Some(told) = tool(folder.path(), &["sfdisk", "--verify", "disk.img"]) {
        assert!(told.contains("No errors detected"), "{told}");
    }
    if let Some(told) = tool(folder.path(), &["sfdisk", "--json", "disk.img"]) {
        for wanted in
            ["11111111-2222-8333-8444-555555555555", "\"start\":4096", "\"name\":\"root_a\"", "\"size\":6144"]
        {
            assert!(told.replace(": ", ":").to_lowercase().contains(wanted), "{wanted} in {told}");
        }
    }
}

#[test]
fn a_table_of_sfdisk_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.img");
    File::create(&path).unwrap().set_len(8 << 20).unwrap();
    let script = b"label: gpt\nlabel-id: 11111111-2222-3333-4444-555555555555\nstart=2048, size=4096, name=\"one\"\nsize=100, name=\"two\"\n";
    if crate::support::tool_with_input(folder.path(), &["sfdisk", "disk.img"], script).is_none() {
        return;
    }
    let disk = Disk::open(&path).unwrap();
    let found: Vec<_> = disk.partitions().iter().map(|p| (p.name.as_str(), p.offset, p.bytes)).collect();
    assert_eq!(found[0], ("one", 1 << 20, 2 << 20));
    assert_eq!((found[1].0, found[1].2), ("two", 51200));
}

#[test]
fn a_partition_reader_stays_inside() {
    let mut image = bytes();
    let at = layout().partitions()[1].offset as usize;
    image[at..at + 5].copy_from_slice(b"hello");
    let disk = open(&image).unwrap();
    let mut reader = disk.reader(&disk.partitions()[1]).unwrap();
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    assert_eq!((all.len(), &all[..5]), (3 << 20, b"hello".as_slice()));
    reader.seek(SeekFrom::End(-1)).unwrap();
    assert_eq!(reader.read(&mut [0; 9]).unwrap(), 1);
    let error = disk.named("root_b").unwrap_err().to_string();
    assert!(error.contains("not found; there is `fit_a`, `root_a`, `dätä`"), "{error}");
}

#[test]
fn each_defect_is_named() {
    let image = bytes();
    let end = image.len();
    let cases: [(&str, usize, &str); 6] = [
        ("signature", 510, "protective MBR: expected the signature `55aa`"),
        ("hybrid", 446 + 16 + 4, "hybrid"),
        ("primary header", 512 + 56, "primary header at block 1: its CRC"),
        ("primary table", 1024, "primary partition table: its CRC"),
        ("backup header", end - 512 + 60, "backup header at block"),
        ("backup table", end - 512 * 33, "backup partition table: its CRC"),
    ];
    for (name, at, message) in cases {
        let mut broken = image.clone();
        broken[at] ^= 0x40;
        let error = open(&broken).unwrap_err().to_string();
        assert!(error.contains(message), "{name}: {error}");
        let (disk, defects) = Disk::from_damaged_source(Source::from_bytes("disk", broken)).unwrap();
        assert_eq!((disk.partitions().len(), defects.len()), (3, 1), "{name}");
    }
    let error = open(&image[..end / 2]).unwrap_err().to_string();
    assert!(error.contains("truncated"), "{error}");
}

#[test]
fn one_partition_may_be_in_the_older_table_too_if_it_is_the_same() {
    let hybrid = layout().with_mbr_partition("root_a", 0x0c).unwrap();
    let mut image = vec![0; hybrid.bytes() as usize];
    gpt_write(&mut std::io::Cursor::new(&mut image), &hybrid).unwrap();
    assert_eq!(open(&image).unwrap().partitions(), layout().partitions());
    let older = image::disk::mbr::partitions(&Source::from_bytes("disk", image.clone())).unwrap().unwrap();
    let places: Vec<_> = older.iter().map(|p| (p.index, p.kind, p.offset, p.bytes)).collect();
    assert_eq!(places[0], (1, 0x0c, 2 << 20, 3 << 20));
    assert_eq!((places.len(), places[1].1, places[1].2), (2, 0xee, 512));
    // Everything but that entry and the protective one's slot is as without it.
    assert_eq!(image[..446], bytes()[..446]);
    assert_eq!(image[446 + 32..], bytes()[446 + 32..]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("disk.img"), &image).unwrap();
    if let Some(told) = tool(folder.path(), &["sfdisk", "--json", "disk.img"]) {
        let told = told.replace(": ", ":");
        assert!(told.contains("\"label\":\"gpt\"") && told.contains("\"name\":\"root_a\""), "{told}");
    }
    for (name, at) in [("another start", 446 + 8), ("another size", 446 + 12)] {
        let mut broken = image.clone();
        broken[at] ^= 1;
        let error = open(&broken).unwrap_err().to_string();
        assert!(error.contains("hybrid"), "{name}: {error}");
    }
    let error = layout().with_mbr_partition("root_b", 0x0c).unwrap_err().to_string();
    assert!(error.contains("partition `root_b`: the older partition table cannot have it"), "{error}");
}

#[test]
fn impossible_layouts_are_refused() {
    let refuse = |specs: &[PartitionSpec]| {
        Layout::new("11111111-2222-8333-8444-555555555555".parse().unwrap(), specs).unwrap_err().to_string()
    };
    for (specs, message) in [
        (vec![spec("a", 1, 512), spec("a", 2, 512)], "the name is used twice"),
        (vec![spec("a", 1, 512), spec("b", 1, 512)], "is zero or used twice"),
        (vec![spec("a", 1, 513)], "is not a positive multiple of 512"),
        (vec![spec("a", 1, 0)], "is not a positive multiple of 512"),
        (vec![spec("a", 1, !511)], "do not fit on a disk"),
        (vec![spec(&"a".repeat(37), 1, 512)], "this one has 37"),
        ((0..129).map(|n| spec(&n.to_string(), n, 512)).collect(), "more than the limit of 128"),
    ] {
        let error = refuse(&specs);
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn overlapping_partitions_are_a_defect() {
    // Written by hand with right checksums, as an attacker would.
    let mut image = bytes();
    let last = image.len() / 512 - 1;
    for table in [1024, (last - 32) * 512] {
        image[table + 128 + 32..table + 128 + 40].copy_from_slice(&2048_u64.to_le_bytes());
    }
    for (header, table) in [(512, 1024), (last * 512, (last - 32) * 512)] {
        let crc = |bytes: &[u8]| {
            let mut crc = flate2::Crc::new();
            crc.update(bytes);
            crc.sum().to_le_bytes()
        };
        let table = crc(&image[table..table + 128 * 128]);
        image[header + 88..header + 92].copy_from_slice(&table);
        image[header + 16..header + 20].fill(0);
        let own = crc(&image[header..header + 92]);
        image[header + 16..header + 20].copy_from_slice(&own);
    }
    let error = open(&image).unwrap_err().to_string();
    assert!(error.contains("entries 1 and 2: the partitions overlap"), "{error}");
}
