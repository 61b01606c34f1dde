use std::fs;

use super::*;
use crate::assemble;
use crate::testing::{artefacts, missing_tool, plan, signing_key};

fn with_updates() -> Plan {
    let mut plan = plan();
    plan.storage.misc_bytes = 1 << 20;
    plan
}

/// A finished image and its key; nothing where a host tool is missing.
fn image(plan: &Plan) -> Option<(tempfile::TempDir, ImageRecord, SigningKey)> {
    if missing_tool("mke2fs") {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let (artefacts, key) = (artefacts(plan, folder.path()), signing_key(0, "gw-dev"));
    let record = assemble(plan, &artefacts, folder.path(), &key, &|_| ()).unwrap();
    Some((folder, record, key))
}

#[test]
fn both_slots_start_the_same_kernel_from_their_own_root() {
    let plan = with_updates();
    let Some((folder, record, key)) = image(&plan) else { return };
    let path = folder.path().join("new.update");
    let bundle = write(&plan, &record, folder.path(), &key, &path).unwrap();
    assert_eq!(bundle.bytes, fs::metadata(&path).unwrap().len());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    fs::write(folder.path().join("plain"), "").unwrap();
    assert_eq!(mode(&path), mode(&folder.path().join("plain")));
    let bytes = fs::read(&path).unwrap();
    let manifest = String::from_utf8(bytes[512..512 + 4096].to_vec()).unwrap();
    let part = |name: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap();
        let numbers: Vec<usize> = line.split(' ').take(2).map(|word| word.parse().unwrap()).collect();
        &bytes[numbers[0]..numbers[0] + numbers[1]]
    };
    assert!(part("root") == fs::read(folder.path().join("image/rootfs.verity")).unwrap());
    assert!(part("fit_a") == fs::read(folder.path().join("image/fit.itb")).unwrap());
    let cmdline = |fit: &[u8]| {
        let tree = Tree::parse(fit).unwrap();
        let fdt = Tree::parse(tree.root.at("/images/fdt").unwrap().get("data").unwrap()).unwrap();
        let chosen = fdt.root.child("chosen").unwrap();
        // The keys are those of the image, whichever slot.
        assert_eq!(chosen.text(boot_chain::UPDATE_KEYS), Some(key.key.to_pem().unwrap().as_str()));
        chosen.text("bootargs").unwrap().to_owned()
    };
    let (a, b) = (cmdline(part("fit_a")), cmdline(part("fit_b")));
    let id = |slot| guid(&plan.product.name, &plan.board.name, slot);
    assert_eq!(a.replace(&id("root_a"), &id("root_b")), b);
    assert!(a != b && !b.contains(&id("root_a")), "{b}");
    // The disk that the first devices get starts slot a.
    let misc = record.partitions.iter().find(|part| part.name == "misc").unwrap();
    assert_eq!((misc.bytes, misc.sha256.is_empty()), (1 << 20, false));
}

#[test]
fn what_no_device_could_take_is_not_written() {
    let refused = |plan: &Plan, change: &dyn Fn(&mut Plan), code: &str, message: &str| {
        let Some((folder, record, key)) = image(plan) else { return };
        let mut plan = plan.clone();
        change(&mut plan);
        let path = folder.path().join("new.update");
        let failure = write(&plan, &record, folder.path(), &key, &path).unwrap_err();
        assert_eq!(failure.diagnostics[0].code, code, "{failure}");
        assert!(failure.to_string().contains(message), "{failure}");
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(!path.exists() && left.len() == 4, "{left:?}");
    };
    refused(&plan(), &|_| (), "no-updates", "takes no updates: its layer `update` is not on");
    let small = |plan: &mut Plan| plan.storage.data_bytes = 8192;
    refused(
        &with_updates(),
        &small,
        "no-room",
        "and the data partition, where a device keeps it until it is installed, has 8192",
    );
    let other = |plan: &mut Plan| plan.board.name = "other".to_owned();
    refused(&with_updates(), &other, "changed-image", "its command line is not that of the record");
    let long = |plan: &mut Plan| plan.product.version = "1".repeat(4096);
    refused(&with_updates(), &long, "no-room", "and 4096 is most");
}
