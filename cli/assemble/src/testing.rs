//! What this room's tests share: a small plan, small artefacts, one key made once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::LazyLock;

use record::{Artefact, Artefacts, KeyMark, Role, sha256_hex};
use spec::plan::{
    Asked, BoardFacts, BootFacts, DebianFacts, KconfigPlan, NetworkFacts, Origin, Plan, ProductFacts,
    SigningPlan, StoragePlan,
};

use crate::keys::{KeyStore, NewKey, Secret, SigningKey};

pub const PASSPHRASE: &[u8] = b"correct horse";

/// Whether a host tool is absent; says so loudly, and fails where tools are required.
pub fn missing_tool(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    let missing = !folders.iter().any(|folder| folder.join(program).is_file());
    if missing {
        assert!(
            std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(),
            "`{program}` is required and not installed"
        );
        eprintln!("SKIPPED: `{program}` is not installed");
    }
    missing
}

fn private_folder() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap()
}

/// File names and contents.
type StoredFiles = Vec<(String, Vec<u8>)>;

/// The files of two keys of 2048 bits, made once a test run: making an RSA key is slow.
static KEYS: LazyLock<[StoredFiles; 2]> = LazyLock::new(|| {
    ["first", "second"].map(|_| {
        let folder = private_folder();
        let new = NewKey {
            name: "NAME".into(),
            key: fit::key::KeyType::Rsa2048,
            mark: KeyMark::Development,
            created: 1_700_000_000,
        };
        KeyStore::at(folder.path()).new_key(&new, &Secret::new(PASSPHRASE.to_vec())).unwrap();
        fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .collect()
    })
});

/// The encrypted private key of the second key, under the same passphrase.
pub static OTHER_KEY_PEM: LazyLock<String> = LazyLock::new(|| {
    let (_, pem) = KEYS[1].iter().find(|(name, _)| name.ends_with(".key.pem")).unwrap();
    String::from_utf8(pem.clone()).unwrap()
});

fn store_with(index: usize, name: &str) -> (tempfile::TempDir, KeyStore) {
    let folder = private_folder();
    for (file, content) in &KEYS[index] {
        let path = folder.path().join(file.replace("NAME", name));
        let text = String::from_utf8(content.clone()).unwrap().replace("\"NAME\"", &format!("\"{name}\""));
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let store = KeyStore::at(folder.path());
    (folder, store)
}

/// A store with one development key.
pub fn store_with_key(name: &str) -> (tempfile::TempDir, KeyStore) {
    store_with(0, name)
}

/// An opened key; `index` 0 or 1 gives different ones.
pub fn signing_key(index: usize, name: &str) -> SigningKey {
    let (_folder, store) = store_with(index, name);
    store.load_signing(name, &Secret::new(PASSPHRASE.to_vec())).unwrap()
}

/// The private half of such a key.
pub fn rsa_key(index: usize) -> rsa::RsaPrivateKey {
    use pkcs8::DecodePrivateKey as _;
    let (_, pem) = KEYS[index].iter().find(|(name, _)| name.ends_with(".key.pem")).unwrap();
    let pem = std::str::from_utf8(pem).unwrap();
    rsa::RsaPrivateKey::from_pkcs8_encrypted_pem(pem, PASSPHRASE).unwrap()
}

/// A value that somebody asked for.
pub fn asked<T>(value: T) -> Asked<T> {
    let origin = Origin {
        who: "layer test".into(),
        file: "layer.yaml".into(),
        line: 3,
        reason: "the test says so".into(),
    };
    Asked { value, origins: vec![origin] }
}

/// A plan for a device that exists only in tests.
pub fn plan() -> Plan {
    Plan {
        schema_version: 1,
        product: ProductFacts {
            name: "gw".into(),
            version: "1.0".into(),
            description: "a gateway".into(),
            component_type: "NDR".into(),
            security_level: 2,
            epoch: 1_700_000_000,
            hostname: "gw".into(),
        },
        board: board(),
        backend: "debian".into(),
        buildroot: None,
        yocto: None,
        debian: DebianFacts {
            suite: "trixie".into(),
            mirror: None,
            uboot_source: "u-boot".into(),
            linux_source: "linux".into(),
        },
        uboot: KconfigPlan { base: "x".into(), symbols: Default::default() },
        uboot_patches: Default::default(),
        linux: KconfigPlan { base: "x".into(), symbols: Default::default() },
        cmdline: vec![asked("console=ttyAMA0".to_owned()), asked("panic=5".to_owned())],
        packages: Default::default(),
        files: Default::default(),
        removals: Default::default(),
        users: Default::default(),
        groups: Default::default(),
        units: Default::default(),
        sysctl: Default::default(),
        modes: Default::default(),
        network: NetworkFacts::default(),
        outside: Default::default(),
        proof: Default::default(),
        signing: SigningPlan {
            algorithm: "sha256,rsa2048".into(),
            padding: "pss".into(),
            key: "gw-dev".into(),
            release: false,
            rollback_version: None,
            also_trusts: Vec::new(),
            known_keys: std::collections::BTreeMap::new(),
        },
        storage: StoragePlan {
            kept: std::collections::BTreeMap::new(),
            fit_bytes: 2 << 20,
            root_bytes: 2 << 20,
            data_bytes: 16 << 20,
            proof_bytes: 0,
            misc_bytes: 0,
            zstd_level: 3,
            sealed: None,
        },
        checks: Default::default(),
        waivers: Default::default(),
        layers: vec![],
    }
}

fn board() -> BoardFacts {
    BoardFacts {
        name: "qemu".into(),
        title: "a board".into(),
        architecture: "arm64".into(),
        kernel_arch: "arm64".into(),
        cross_compile: String::new(),
        console: "ttyAMA0".into(),
        interfaces: vec!["eth0".into()],
        boot: BootFacts {
            fit_address: 0x5000_0000,
            fit_bytes: 1 << 20,
            kernel_address: 0x4040_0000,
            fdt_address: 0x4800_0000,
            block_interface: "virtio".into(),
            block_device: 0,
            flash_bytes: 1 << 20,
            first_stage: None,
            spl: None,
            fat: None,
        },
        algorithms: vec!["sha256,rsa2048".into()],
        paddings: vec!["pss".into()],
        root_of_trust: "none".into(),
        debug_ports: None,
        tamper: None,
        watchdog: None,
        random: None,
        crash_memory: None,
        trust: None,
        device_tree: None,
        rom_places: vec![],
        vendor_programs: vec![],
        rollback: spec::plan::RollbackFacts::default(),
        qemu: None,
    }
}

/// Writes small artefacts into `folder` and describes them.
pub fn artefacts(plan: &Plan, folder: &Path) -> Artefacts {
    let noise = |count: usize, seed: usize| -> Vec<u8> {
        (0..count).map(|i| ((i * 2_654_435_761 + seed) >> 7) as u8).collect()
    };
    let mut tree = fit::fdt::Tree { root: fit::fdt::Node::new(""), reserved: vec![], strings: vec![] };
    tree.root.set_text("compatible", "linux,dummy-virt");
    let chosen = tree.root.child_or_new("chosen");
    chosen.set_text("stdout-path", "/pl011@9000000");
    chosen.set("kaslr-seed", vec![1; 8]);
    chosen.set("rng-seed", vec![2; 32]);
    fs::create_dir_all(folder.join("artefacts")).unwrap();
    let contents = [
        (Role::UbootNodtb, "u-boot-nodtb.bin", noise(4096, 1)),
        (Role::UbootConfig, "u-boot.config", b"CONFIG_FIT_SIGNATURE=y\n".to_vec()),
        (Role::DeviceTree, "board.dtb", tree.write().unwrap()),
        (Role::Kernel, "Image", noise(100_000, 2)),
        (Role::KernelConfig, "linux.config", b"CONFIG_DM_VERITY=y\n".to_vec()),
        (Role::Rootfs, "rootfs.squashfs", noise(300_000, 3)),
        (Role::PackageManifest, "packages.json", b"[]\n".to_vec()),
    ];
    let files = contents.into_iter().map(|(role, name, content)| {
        let path = Path::new("artefacts").join(name);
        fs::write(folder.join(&path), &content).unwrap();
        (role, Artefact { path, sha256: sha256_hex(&content), bytes: content.len() as u64 })
    });
    Artefacts {
        schema_version: 1,
        product: plan.product.name.clone(),
        board: plan.board.name.clone(),
        backend: "debian".into(),
        plan_sha256: plan.sha256(),
        files: files.collect(),
        vendor: Default::default(),
        effective: vec![],
        provenance: Default::default(),
    }
}
