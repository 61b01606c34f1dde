//! The empty file system of the data partition, the same bytes on every build and every host.

use std::fs::{self, File};
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use spec::guid::guid;
use spec::plan::Plan;

/// Smaller than this, ext4 with a journal leaves nothing to use.
const SMALLEST: u64 = 16 << 20;
/// A recovery key is for the life of the device (NIST SP 800-57 part 1, revision 5, table 2: 128 bits of strength).
const SMALLEST_RECOVERY_KEY: usize = 3072;
/// Only what is written here, whatever the host's `/etc/mke2fs.conf` has. A type without any entry would count
/// as not defined.
const CONFIGURATION: &str = "\
[fs_types]
\text4 = {
\t\tinode_size = 256
\t}
\tfloppy = {
\t\tinode_size = 256
\t}
\tsmall = {
\t\tinode_size = 256
\t}
\tbig = {
\t\tinode_size = 256
\t}
\thuge = {
\t\tinode_size = 256
\t}
";
/// `none` first: the features are these on every version of e2fsprogs. `metadata_csum` finds changed
/// metadata, `has_journal` survives a power cut.
const FEATURES: &str = "none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,\
                        large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

/// Makes the file `path` with an empty ext4, label `data`, its root folder owned by root with mode 0755.
///
/// The time comes from `E2FSPROGS_FAKE_TIME` (all versions) and `SOURCE_DATE_EPOCH` (from 1.47.1); UUID and
/// hash seed are derived as the partition GUIDs are; nothing is left to be initialised later.
///
/// # Errors
/// `no-room` when the plan's size is too small, or when `mke2fs` fails.
pub fn make(plan: &Plan, path: &Path, log: &Path) -> Outcome<()> {
    let bytes = plan.storage.data_bytes;
    if bytes < SMALLEST || !bytes.is_multiple_of(4096) {
        return Err(Failure::error(
            ExitStatus::Input,
            "no-room",
            format!("expected `data` to have at least {SMALLEST} bytes and whole blocks of 4096, found {bytes} bytes"),
        )
        .hint("change `storage.data` in the product, such as `64MiB`"));
    }
    if let Some(sealed) = &plan.storage.sealed {
        recovery_key(&sealed.recovery)?;
        // The device encrypts it at its first start: until then it is all zero.
        let file = File::create(path).map_err(|e| Failure::io("write", path, &e))?;
        return file.set_len(bytes).map_err(|e| Failure::io("write", path, &e));
    }
    let configuration = path.with_extension("mke2fs.conf");
    fs::write(&configuration, CONFIGURATION).map_err(|e| Failure::io("write", &configuration, &e))?;
    let file = File::create(path).map_err(|e| Failure::io("write", path, &e))?;
    file.set_len(bytes).map_err(|e| Failure::io("write", path, &e))?;
    let id = |name: &str| guid(&plan.product.name, &plan.board.name, name);
    let epoch = plan.product.epoch.to_string();
    Call::new(tool("mke2fs")?)
        .env("MKE2FS_CONFIG", &configuration)
        .env("E2FSPROGS_FAKE_TIME", &epoch)
        .env("SOURCE_DATE_EPOCH", &epoch)
        .args(["-q", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "16384", "-J", "size=4"])
        .args(["-m", &plan.storage.reserved_percent()])
        .args(["-L", "data", "-U", &id("data file system"), "-O", FEATURES, "-E"])
        .arg(format!(
            "hash_seed={},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard",
            id("data hash seed")
        ))
        .arg(path)
        .log(log)
        .run()?;
    fs::remove_file(&configuration).map_err(|e| Failure::io("remove", &configuration, &e))
}

/// A device encrypts its recovery key by RSAES-OAEP (RFC 8017), which takes an RSA key.
fn recovery_key(pem: &str) -> Outcome<()> {
    let found = match fit::key::PublicKey::from_pem(pem) {
        Ok(key @ fit::key::PublicKey::Rsa(_)) if key.bits() >= SMALLEST_RECOVERY_KEY => return Ok(()),
        Ok(key) => format!("one of {} bits, or of another kind", key.bits()),
        Err(e) => e.to_string(),
    };
    Err(Failure::error(
        ExitStatus::Keys,
        "recovery-key",
        format!("expected an RSA key of at least {SMALLEST_RECOVERY_KEY} bits at `storage.sealed.recovery`, found {found}"),
    )
    .hint("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out recovery.pem, and its public half beside the product"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{missing_tool, plan};

    #[test]
    fn two_runs_give_the_same_bytes_and_the_plans_time() {
        if missing_tool("mke2fs") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a/data"), folder.path().join("b/longer-name"));
        for path in [&a, &b] {
            fs::create_dir(path.parent().unwrap()).unwrap();
            make(&plan(), path, &folder.path().join("log")).unwrap();
        }
        let bytes = fs::read(&a).unwrap();
        assert_eq!(bytes.len() as u64, plan().storage.data_bytes);
        assert!(bytes == fs::read(&b).unwrap(), "two runs differ");
        // Superblock (fs/ext4/ext4.h): s_wtime, s_magic, s_lastcheck, s_volume_name, s_mkfs_time.
        let field = |at: usize| u32::from_le_bytes(bytes[1024 + at..1028 + at].try_into().unwrap());
        for at in [0x30, 0x40, 0x108] {
            assert_eq!(u64::from(field(at)), plan().product.epoch, "at {at:#x}");
        }
        assert_eq!(bytes[1024 + 0x38..1024 + 0x3a], [0x53, 0xef]);
        assert_eq!(&bytes[1024 + 0x78..1024 + 0x7d], b"data\0");
        assert_eq!(fs::read_dir(a.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_kept_is_reserved_for_root() {
        if missing_tool("mke2fs") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (path, log) = (folder.path().join("data"), folder.path().join("log"));
        // 5 MiB and one third of a MiB: no whole percentage.
        for kept in [0, (5 << 20) + 349_525] {
            let mut plan = plan();
            if kept > 0 {
                let asked = |value| spec::plan::Asked { value, origins: Vec::new() };
                plan.storage.kept =
                    [("/var/log/a".to_owned(), asked(kept - 4096)), ("/var/log/b".to_owned(), asked(4096))]
                        .into();
            }
            make(&plan, &path, &log).unwrap();
            let found = image::tree::reserved(&image::Source::open(&path).unwrap()).unwrap();
            assert_eq!((found.bytes, found.uid, found.gid), (plan.storage.data_bytes, 0, 0));
            let most = if kept == 0 { 0 } else { kept + 4096 + plan.storage.data_bytes / 5_000 };
            assert!((kept..=most).contains(&found.reserved_bytes), "{kept} {found:?}");
        }
    }

    #[test]
    fn a_sealed_partition_is_shipped_empty_and_wants_a_recovery_key_of_rsa() {
        let folder = tempfile::tempdir().unwrap();
        let (path, log) = (folder.path().join("d"), folder.path().join("log"));
        let mut plan = plan();
        let mut make_with = |pem: String| {
            plan.storage.sealed = Some(spec::plan::SealedPlan {
                recovery: pem,
                event_log: 0,
                tpm_compatible: String::new(),
                limits: String::new(),
            });
            make(&plan, &path, &log)
        };
        let point = include_str!("../../evidence/testdata/next.pub.pem");
        for (pem, found) in [("no key", "expected a PEM public key"), (point, "found one of 256 bits")] {
            let failure = make_with(pem.to_owned()).unwrap_err();
            assert_eq!(
                (failure.diagnostics[0].code.as_str(), failure.status),
                ("recovery-key", ExitStatus::Keys)
            );
            assert!(failure.to_string().contains(found), "{failure}");
        }
        let recovery = include_str!("../testdata/recovery.pub.pem");
        make_with(recovery.to_owned()).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 16 << 20);
        assert!(bytes.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_partition_that_is_too_small_names_the_key_to_change() {
        let folder = tempfile::tempdir().unwrap();
        let mut plan = plan();
        plan.storage.data_bytes = 1 << 20;
        let failure = make(&plan, &folder.path().join("d"), &folder.path().join("log")).unwrap_err();
        assert_eq!(failure.diagnostics[0].code, "no-room");
        assert!(failure.to_string().contains("change `storage.data`"), "{failure}");
    }
}
