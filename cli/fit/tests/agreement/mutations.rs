//! Seeded changes of FITs and of control FDTs.

use fit::fdt::{Blocks, Node, Tree};
use fit::key::{Hash, Padding};
use fit::sign::sign;

use crate::common::{self, ignore, unsigned};

/// The same numbers every time (xorshift).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit.max(1)
    }
}

/// Paths of all nodes but the root.
fn paths(node: &Node<'_>, at: &str, out: &mut Vec<String>) {
    for child in &node.children {
        let path = format!("{at}/{}", child.name);
        paths(child, &path, out);
        out.push(path);
    }
}

fn parent(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap()
}

/// One change of the tree; its kind.
pub fn change(root: &mut Node<'static>, numbers: &mut Numbers) -> &'static str {
    let mut all = Vec::new();
    paths(root, "", &mut all);
    let path = all[numbers.below(all.len())].clone();
    let (above, name) = parent(&path);
    let kind = numbers.below(10);
    let node = root.at(&path).unwrap().clone();
    let some_property = |numbers: &mut Numbers| {
        let names: Vec<String> = node.properties.iter().map(|(name, _)| name.clone()).collect();
        (!names.is_empty()).then(|| names[numbers.below(names.len())].clone())
    };
    match kind {
        0 => {
            root.at_mut(if above.is_empty() { "/" } else { above })
                .unwrap()
                .children
                .retain(|c| c.name != name);
            "node removed"
        }
        1 => {
            let mut twin = node.clone();
            twin.name = format!("{name}{}", ["@1", "x", "-2", ""][numbers.below(4)]);
            root.at_mut(if above.is_empty() { "/" } else { above }).unwrap().children.push(twin);
            "node doubled"
        }
        2 => {
            root.at_mut(&path).unwrap().name.push_str(["x", "@0", "-1"][numbers.below(3)]);
            "node renamed"
        }
        3 => {
            let target = all[numbers.below(all.len())].clone();
            root.at_mut(&target).unwrap().children.push(node.clone());
            "node copied elsewhere"
        }
        4 => {
            if let Some(property) = some_property(numbers) {
                root.at_mut(&path).unwrap().unset(&property);
            }
            "property removed"
        }
        5 => {
            if let Some(property) = some_property(numbers) {
                let value = node.get(&property).unwrap().to_vec();
                let node = root.at_mut(&path).unwrap();
                node.unset(&property);
                node.set(["x", "data", "data-size", "value", "algo"][numbers.below(5)], value);
            }
            "property renamed"
        }
        6 | 7 => {
            if let Some(property) = some_property(numbers) {
                let mut value = node.get(&property).unwrap().to_vec();
                match numbers.below(4) {
                    0 => value.clear(),
                    1 => value.push(0),
                    _ if value.is_empty() => value.push(b'x'),
                    _ => {
                        let at = numbers.below(value.len());
                        value[at] ^= 1 << numbers.below(8);
                    }
                }
                root.at_mut(&path).unwrap().set(&property, value);
            }
            "value changed"
        }
        8 => {
            let added =
                ["uboot-ignore", "data-offset", "data-position", "loadables", "load", "required", "fdt"];
            root.at_mut(&path).unwrap().set(added[numbers.below(added.len())], b"kernel\0".to_vec());
            "property added"
        }
        _ => {
            // What a forger does: another image, and the hash that belongs to it.
            let image = ["kernel", "fdt", "ramdisk"][numbers.below(3)];
            if let Some(node) = root.at_mut(&format!("/images/{image}")) {
                node.set("data", b"forged".to_vec());
                if let Some(hash) = node.child_mut("hash-1") {
                    hash.set("value", Hash::Sha256.digest(&[b"forged"]));
                }
            }
            "image and hash replaced"
        }
    }
}

/// Bytes changed as bytes.
pub fn shaken(blob: &[u8], numbers: &mut Numbers) -> (&'static str, Vec<u8>) {
    let mut bytes = blob.to_vec();
    match numbers.below(2) {
        0 => {
            for _ in 0..=numbers.below(4) {
                let at = numbers.below(bytes.len());
                bytes[at] ^= 1 << numbers.below(8);
            }
            ("bits flipped", bytes)
        }
        _ => {
            let word = [0u32, 1, 2, 3, 9, 0xffff_ffff, 0x7fff_ffff][numbers.below(7)];
            let at = numbers.below(bytes.len() / 4) * 4;
            bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
            ("word replaced", bytes)
        }
    }
}

pub fn mutation(blob: &[u8], numbers: &mut Numbers) -> (&'static str, Vec<u8>) {
    match numbers.below(6) {
        0 | 1 => shaken(blob, numbers),
        2 if numbers.below(8) == 0 => ("cut", blob[..numbers.below(blob.len())].to_vec()),
        _ => {
            let mut tree = Tree::parse(blob).unwrap();
            let mut root = std::mem::replace(&mut tree.root, Node::new("")).into_owned();
            let mut kind = "";
            for _ in 0..=numbers.below(2) {
                kind = change(&mut root, numbers);
            }
            let written = Tree { root, reserved: Vec::new(), strings: tree.strings.clone() }.write();
            (kind, written.unwrap_or_else(|_| blob.to_vec()))
        }
    }
}

/// What stands behind the tree of a FIT with external data, behind another tree: where `data-offset` or `data-position` says.
fn with_data(blob: &[u8], mut tree: Vec<u8>) -> Vec<u8> {
    let parsed = Tree::parse(blob).unwrap();
    let position = parsed.root.at("/images/kernel").unwrap().cell("data-position");
    let start = position.map_or(Blocks::open(blob).unwrap().total(), |at| at as usize);
    let room = tree.len().next_multiple_of(4).max(position.map_or(0, |at| at as usize));
    tree.resize(room, 0);
    tree.extend_from_slice(&blob[start..]);
    tree
}

/// One change of a FIT whose data is outside of its tree: of the data, of where it is said to be, or of the tree.
pub fn external_mutation(blob: &[u8], numbers: &mut Numbers) -> (&'static str, Vec<u8>) {
    const IMAGES: [&str; 3] = ["kernel", "fdt", "ramdisk"];
    let mut bytes = blob.to_vec();
    let total = Blocks::open(blob).unwrap().total();
    let kind = numbers.below(14);
    if kind == 0 {
        let at = total + numbers.below(bytes.len() - total);
        bytes[at] ^= 1 << numbers.below(8);
        return ("data changed", bytes);
    }
    if kind == 1 {
        bytes.truncate(total + numbers.below(bytes.len() - total));
        return ("data cut", bytes);
    }
    let mut tree = Tree::parse(blob).unwrap();
    let mut root = std::mem::replace(&mut tree.root, Node::new("")).into_owned();
    let path = format!("/images/{}", IMAGES[numbers.below(3)]);
    let other = root.at(&format!("/images/{}", IMAGES[numbers.below(3)])).unwrap().clone();
    let node = root.at_mut(&path).unwrap();
    let place = if node.get("data-position").is_some() { "data-position" } else { "data-offset" };
    let (own, size) = (node.cell(place).unwrap(), node.cell("data-size").unwrap());
    let kind = match kind {
        2..=4 => {
            let length = u32::try_from(blob.len()).unwrap();
            let cells =
                [0, 4, own + 4, own.wrapping_sub(1), size + 1, length, length - 4, 0x7fff_ffff, u32::MAX];
            let property = ["data-offset", "data-position", "data-size"][numbers.below(3)];
            node.set_cell(property, cells[numbers.below(cells.len())]);
            "place changed"
        }
        5 => {
            node.set_cell(place, other.cell(place).unwrap());
            node.set_cell("data-size", other.cell("data-size").unwrap());
            "place of another image"
        }
        6 => {
            // The same bytes, counted in the other way.
            let behind = u32::try_from(total.next_multiple_of(4)).unwrap();
            let (name, cell) = match place {
                "data-offset" => ("data-position", behind + own),
                _ => ("data-offset", own.wrapping_sub(behind)),
            };
            if numbers.below(2) == 0 {
                node.unset(place);
            }
            node.set_cell(name, cell);
            "place in the other words"
        }
        7 => {
            let name = [place, "data-size"][numbers.below(2)];
            match numbers.below(4) {
                0 => ignore(node.unset(name)),
                1 => node.set(name, u64::from(node.cell(name).unwrap()).to_be_bytes().to_vec()),
                2 => node.set(name, own.to_be_bytes()[1..].to_vec()),
                _ => node.set(name, [own.to_be_bytes(), [0; 4]].concat()),
            }
            "place of another form"
        }
        8 => {
            node.set("data", [&b"forged"[..], b""][numbers.below(2)].to_vec());
            "data inside, too"
        }
        _ => {
            let mut kind = "";
            for _ in 0..=numbers.below(2) {
                kind = change(&mut root, numbers);
            }
            kind
        }
    };
    let written = Tree { root, reserved: Vec::new(), strings: tree.strings.clone() }.write();
    (kind, written.map_or(bytes, |tree| with_data(blob, tree)))
}

/// A FIT with another word, property or reference than it should have, and signed as it is: what U-Boot refuses whoever signed it.
pub fn changed_and_signed(numbers: &mut Numbers) -> (&'static str, Vec<u8>) {
    const WORDS: [(&str, &[&str]); 4] = [
        (
            "type",
            &[
                "kernel",
                "kernal",
                "kernel_noload",
                "flat_dt",
                "ramdisk",
                "firmware",
                "tee",
                "script",
                "RAMDISK",
                "",
            ],
        ),
        (
            "os",
            &[
                "linux", "u-boot", "tee", "plan9", "opensbi", "efi", "vxworks", "openrtos", "qnx", "Linux",
                "x",
            ],
        ),
        ("arch", &["arm64", "arm46", "riscv", "x86"]),
        ("compression", &["none", "gzip", "zip", "lzma"]),
    ];
    const NAMES: [&str; 3] = ["kernel", "fdt", "ramdisk"];
    const HASHES: [&[u8; 7]; 8] = [
        b"sha256\0",
        b"sha384\0",
        b"sha512\0",
        b"sha1\0\0\0",
        b"md5\0\0\0\0",
        b"crc32\0\0",
        b"sha224\0",
        b"foobar\0",
    ];
    if numbers.below(6) == 0 {
        let word = HASHES[numbers.below(HASHES.len())];
        let right = std::str::from_utf8(&word[..6]).ok().and_then(|name| Hash::parse(name).ok());
        let value = match right.filter(|_| numbers.below(2) == 0) {
            Some(hash) => hash.digest(&[common::KERNEL]),
            // Of CRC32, MD5, SHA-1 and SHA-2, wrong each.
            None => vec![7; [4, 16, 20, 32, 64][numbers.below(5)]],
        };
        return ("second hash", common::with_second_hash(word, &value, Padding::Pkcs1v15));
    }
    let mut tree = unsigned();
    let mut kind = "";
    for _ in 0..=numbers.below(2) {
        let (word, values) = WORDS[numbers.below(4)];
        let name = NAMES[numbers.below(3)];
        // The host's tool unpacks no device tree before 2026.01, which is the tool's want and not U-Boot's.
        let (word, values) = if (word, name) == ("compression", "fdt") { WORDS[0] } else { (word, values) };
        let image = tree.root.at_mut(&format!("/images/{name}")).unwrap();
        let other = NAMES[numbers.below(3)];
        let role = NAMES[numbers.below(3)];
        kind = match numbers.below(6) {
            0 => {
                image.unset(word);
                "word removed"
            }
            1..=3 => {
                image.set_text(word, values[numbers.below(values.len())]);
                "word changed"
            }
            4 => {
                let names: &[&str] = if numbers.below(3) == 0 { &[role, other] } else { &[other] };
                tree.root.at_mut("/configurations/conf").unwrap().set_texts(role, names);
                "role changed"
            }
            _ => {
                tree.root.unset(["description", "timestamp", "#address-cells", "x"][numbers.below(4)]);
                "header changed"
            }
        };
    }
    (kind, sign(tree, &common::options(Padding::Pkcs1v15), &common::signer()).unwrap())
}
