//! A small world for whole builds: an archive and tools that are not the real ones.
//!
//! Packages, sources and compilers are made up, so that a build takes a second; `tar`, `mksquashfs`
//! and `mke2fs` are real. Every tool can be told to hang, to fail or to find the disk full. The
//! image is signed, read back and inspected as any other; its checks do not hold (exit code 6),
//! since there is no kernel in it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use spec::plan::{Plan, UnitState};

use crate::support::{Place, Run};

/// apt verifies with it, so that the program wants it even where apt is not the real one.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A product folder with tools of its own.
pub struct World {
    pub place: Place,
}

/// What a tool does instead of its work.
#[derive(Clone, Copy, Debug)]
pub enum Trap {
    /// Writes its process id and sleeps.
    Hang,
    /// Writes 40 lines and fails.
    Fail,
    /// Finds no space.
    Full,
}

impl World {
    /// A world in which nothing was built yet; `None`, loudly, where a host tool is missing.
    pub fn new() -> Option<Self> {
        Self::with("")
    }

    /// A world whose product has these lines, too.
    pub fn with(lines: &str) -> Option<Self> {
        for tool in ["tar", "mksquashfs", "mke2fs", "nft", "patch"] {
            if exec::find(&exec::tool(tool).unwrap()).is_err() {
                return skipped(&format!("`{tool}` is not installed"));
            }
        }
        if !Path::new(KEYRING).is_file() {
            return skipped("the package `debian-archive-keyring` is not installed");
        }
        // Set by `ci/test`, which says so; anywhere else a refused namespace is a failure.
        if std::env::var_os("FASTNESS_WITHOUT_NAMESPACES").is_some() {
            #[allow(clippy::print_stderr, reason = "a test that does nothing must say so")]
            {
                eprintln!(
                    "SKIPPED: no namespaces; made-up images have no kernel to load the ruleset in QEMU"
                );
            }
            return None;
        }
        let world = Self { place: Place::with_product() };
        let product = world.place.path("product.yaml");
        let text = fs::read_to_string(&product).unwrap();
        let small = "signing: {algorithm: \"sha256,rsa2048\"}\nstorage: {data: 48MiB}\ndebian: {mirror: \"http://mirror.invalid/debian\"}\n";
        fs::write(&product, text + small + lines).unwrap();
        assert_eq!(world.run(&["keys", "new", "gw-dev", "--bits", "2048"]).code, 0);
        let plan = spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"));
        for folder in ["bin", "archive", "trap"] {
            fs::create_dir_all(world.path(folder)).unwrap();
        }
        write_archive(&world.path(""), &plan);
        write_tools(&world.path("bin"));
        Some(world)
    }

    /// A world with a finished image. It is built once and copied.
    pub fn built() -> Option<Self> {
        static FIRST: OnceLock<Option<World>> = OnceLock::new();
        let first = FIRST.get_or_init(|| {
            let world = World::new()?;
            let run = world.build();
            assert_eq!(run.code, 6, "{run:?}");
            Some(world)
        });
        let world = Self { place: Place::new() };
        let status = Command::new("cp")
            .args(["--archive", "--sparse=always"])
            .arg(first.as_ref()?.place.path("."))
            .arg(world.place.path(""))
            .status()
            .unwrap();
        assert!(status.success());
        Some(world)
    }

    /// A path below `world/`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path("world").join(name)
    }

    /// A path below `out/qemu-aarch64/`.
    pub fn out(&self, name: &str) -> PathBuf {
        self.place.path("out/qemu-aarch64").join(name)
    }

    /// A path below the cache.
    pub fn cache(&self, name: &str) -> PathBuf {
        self.place.path(".cache/fastness").join(name)
    }

    /// The program with the world's tools in front.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.command(arguments);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.path("bin")).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(folders).unwrap());
        command
    }

    /// A script of the shell, with the world's tools and the program in front.
    pub fn shell(&self, script: &str) -> Command {
        crate::support::in_shell(&self.command(&[]), script)
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().unwrap())
    }

    /// `fastness build`.
    pub fn build(&self) -> Run {
        self.run(&["build"])
    }

    /// Builds, and expects a finished image, whatever its checks say.
    #[track_caller]
    pub fn finishes(&self) {
        let run = self.build();
        assert_eq!(run.code, 6, "{run:?}");
        let plan: Plan = record::read_json(&self.out("plan.json")).unwrap();
        let image: record::ImageRecord = record::read_json(&self.out("image.json")).unwrap();
        assert_eq!(plan.sha256(), image.plan_sha256);
        assert_eq!(self.leftovers(), Vec::<PathBuf>::new());
    }

    /// Sets or takes away what a tool does instead of its work.
    pub fn trap(&self, tool: &str, trap: Option<Trap>) {
        let path = self.path("trap").join(tool);
        match trap {
            Some(trap) => fs::write(path, format!("{trap:?}")).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        let _ = fs::remove_file(self.path("started"));
    }

    /// Starts the program and waits until a tool hangs. Returns it with the tool's process id.
    #[track_caller]
    pub fn start_until_it_hangs(&self, arguments: &[&str]) -> (Child, i32) {
        self.until_it_hangs(&mut self.command(arguments))
    }

    /// The same of a command that has more than its arguments.
    #[track_caller]
    pub fn until_it_hangs(&self, command: &mut Command) -> (Child, i32) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let limit = Instant::now() + Duration::from_secs(120);
        loop {
            if let Ok(text) = fs::read_to_string(self.path("started")) {
                return (child, text.trim().parse().unwrap());
            }
            if child.try_wait().unwrap().is_some() || Instant::now() > limit {
                let _ = child.kill();
                panic!("no tool hangs: {:?}", Run::of(child.wait_with_output().unwrap()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal to the program and waits for its end, and for the end of its tool.
    #[track_caller]
    pub fn signal(&self, (child, tool): (Child, i32), signal: Signal) -> Run {
        kill_process(Pid::from_child(&child), signal).unwrap();
        let run = Run::of(child.wait_with_output().unwrap());
        let limit = Instant::now() + Duration::from_secs(20);
        while lives(tool) {
            assert!(Instant::now() < limit, "the tool outlives the program");
            std::thread::sleep(Duration::from_millis(10));
        }
        run
    }

    /// What a run that ended may not leave behind: unfinished stages and images, and temporary folders.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for top in [self.cache(""), self.out(""), self.place.path("out")] {
            collect(&top, 2, &mut found);
        }
        found.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let whole = path.to_string_lossy();
            let ours = !whole.contains("/apt/") && !whole.contains("/sources/");
            ours && (name.ends_with(".part")
                || name.starts_with(".scratch-")
                || name == "image.new"
                || name == "image.old")
        });
        found
    }

    /// The finished image with its records and reports: sizes, times, and the content of what is small.
    pub fn product_of_the_build(&self) -> BTreeMap<PathBuf, (u64, std::time::SystemTime, Vec<u8>)> {
        let mut files = Vec::new();
        for name in ["image", "image.json", "plan.json", "findings.json", "report.json", "report.html"] {
            let path = self.out(name);
            if path.is_dir() { collect(&path, 1, &mut files) } else { files.push(path) }
        }
        let fact = |path: PathBuf| {
            let meta = fs::metadata(&path).ok()?;
            let content = if meta.len() < 1 << 20 { fs::read(&path).unwrap() } else { Vec::new() };
            Some((path, (meta.len(), meta.modified().unwrap(), content)))
        };
        files.into_iter().filter_map(fact).collect()
    }
}

fn skipped(why: &str) -> Option<World> {
    assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "{why}");
    #[allow(clippy::print_stderr, reason = "a test that does nothing must say so")]
    {
        eprintln!("SKIPPED: {why}");
    }
    None
}

fn collect(folder: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && depth > 0 {
            collect(&path, depth - 1, found);
        }
        found.push(path);
    }
}

/// Whether a process is there and is not only waiting to be forgotten. Source: proc_pid_stat(5).
fn lives(process: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}

fn tar_of(members: &BTreeMap<String, String>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, path.trim_start_matches('/'), content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn one(path: &str, content: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(path.to_owned(), content.to_owned())])
}

/// What the plan's patches of U-Boot find there: of each file the lines that a hunk keeps or takes away.
fn before_patches(plan: &Plan) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for patch in plan.uboot_patches.values() {
        let (mut file, mut inside) = (String::new(), false);
        for line in patch.value.text.lines() {
            if let Some(path) = line.strip_prefix("--- a/") {
                (file, inside) = (format!("u-boot/{path}"), false);
            } else if line.starts_with("@@ ") {
                inside = true;
            } else if let Some(kept) = line.strip_prefix([' ', '-']).filter(|_| inside) {
                files.entry(file.clone()).or_default().push_str(&format!("{kept}\n"));
            }
        }
    }
    files
}

/// All that the plan wants of the packages: something to remove, to enable and to change.
fn base_files(plan: &Plan) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for pattern in plan.removals.keys() {
        files.insert(pattern.replace("**", "fake").replace('*', "fake"), String::new());
    }
    for path in plan.modes.keys() {
        files.insert(path.clone(), "#!/bin/sh\n".to_owned());
    }
    for (unit, asked) in &plan.units {
        if asked.value == UnitState::Enabled {
            let path = format!("/usr/lib/systemd/system/{unit}");
            files.insert(path, "[Install]\nWantedBy=multi-user.target\n".to_owned());
        }
    }
    let masters = "/usr/share/base-passwd";
    let passwd = "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/bin/sh\n";
    files.insert(format!("{masters}/passwd.master"), passwd.to_owned());
    let group = "root:*:0:\nadm:*:4:\ntty:*:5:\nshadow:*:42:\nnogroup:*:65534:\n";
    files.insert(format!("{masters}/group.master"), group.to_owned());
    files
}

/// The archive: `archive/FILE`, and `index` with one line a file: `NAME=VERSION 'URI' FILE SIZE SHA256:HEX`.
fn write_archive(world: &Path, plan: &Plan) {
    let mut index = String::new();
    let mut add = |id: &str, file: &str, bytes: &[u8]| {
        fs::write(world.join("archive").join(file), bytes).unwrap();
        let hash = record::sha256_hex(bytes);
        index.push_str(&format!("{id} 'fake:{file}' {file} {} SHA256:{hash}\n", bytes.len()));
    };
    for name in plan.packages.keys() {
        let files = match name.as_str() {
            "base-files" => base_files(plan),
            name => one(&format!("usr/lib/fake/{name}"), name),
        };
        add(&format!("{name}=1"), &format!("{name}_1_arm64.deb"), &tar_of(&files));
    }
    // `.tar.x` is no compression that tar knows by its name.
    let linux = &plan.debian.linux_source;
    let mut tree = one("linux/Makefile", "");
    tree.extend(one("linux/init/main.c", ""));
    let source = tar_of(&tree);
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(source.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, format!("usr/src/{linux}.tar.x"), &source[..]).unwrap();
    add(&format!("{linux}=1"), &format!("{linux}_1_all.deb"), &builder.into_inner().unwrap());
    let uboot = &plan.debian.uboot_source;
    let mut tree = one("u-boot/Makefile", "");
    tree.extend(before_patches(plan));
    for (part, files) in [("orig", tree), ("debian", one("debian/patches/series", ""))] {
        add(&format!("source:{uboot}"), &format!("{uboot}_1.{part}.tar.x"), &tar_of(&files));
    }
    fs::write(world.join("index"), index).unwrap();
    let mut tree = fit::fdt::Tree { root: fit::fdt::Node::new(""), reserved: vec![], strings: vec![] };
    tree.root.set_text("compatible", "linux,dummy-virt");
    tree.root.child_or_new("chosen").set_text("stdout-path", "/pl011@9000000");
    fs::write(world.join("board.dtb"), tree.write().unwrap()).unwrap();
}

/// `NAME`, what its trap is called, and what it does.
const TOOLS: [(&str, &str, &str); 13] = [
    (
        "apt-get",
        "apt-get-$1",
        r#"case $1 in
  update) ;;
  install) for p in "$@"; do case $p in install|-*) ;; *)
      grep -q "^$p=" "$W/index" || { echo "E: Unable to locate package $p" >&2; exit 100; }
      grep "^$p=" "$W/index" | sed 's/^\([^=]*\)=\([^ ]*\) .*/Inst \1 (\2 Fake [arm64])/'; esac; done ;;
  download) for p in "$@"; do case $p in download|-*) ;; *)
      grep -q "^$p " "$W/index" || { echo "E: Version '${p#*=}' for '${p%%=*}' was not found" >&2; exit 100; }
      grep "^$p " "$W/index" | cut -d' ' -f2-; esac; done ;;
  source) for p in "$@"; do :; done; grep "^source:$p " "$W/index" | cut -d' ' -f2- ;;
  *) exit 1 ;;
esac"#,
    ),
    ("apt-helper", "apt-helper", r#"cp "$W/archive/${2#fake:}" "$3""#),
    (
        "dpkg-deb",
        "dpkg-deb$1",
        r#"case $1 in --fsys-tarfile) cat "$2" ;; --extract) tar --extract --file "$2" --directory "$3" ;; esac"#,
    ),
    ("tar", "tar", r#"exec REAL "$@""#),
    ("mksquashfs", "mksquashfs", r#"exec REAL "$@""#),
    ("mke2fs", "mke2fs", r#"exec REAL "$@""#),
    ("unshare", "unshare", r#"exec REAL "$@""#),
    ("nft", "nft", r#"exec REAL "$@""#),
    ("patch", "patch", r#"exec REAL "$@""#),
    ("gcc", "gcc", "echo 'gcc (fake) 1'"),
    ("aarch64-linux-gnu-gcc", "cross-gcc", "echo 'gcc (fake) 1'"),
    (
        "make",
        "make-$last",
        r#"for a in "$@"; do case $a in O=*) O=${a#O=} ;; esac; [ "$before" != --directory ] || tree=$a; before=$a; done
case $last in
  u-boot-nodtb.bin)
    # As U-Boot's own does where a board selects binman.
    case " $* " in *" NO_PYTHON=1 "*) ;; *) echo "error: command 'swig' failed: No such file or directory" >&2; exit 2 ;; esac
    printf '%4096s' boot >"$O/u-boot-nodtb.bin" ;;
  Image) mkdir -p "$O/arch/arm64/boot"; printf '%65536s' kernel >"$O/arch/arm64/boot/Image"
    # As Linux' own build does beside each object.
    mkdir -p "$O/init"; echo "source_init/main.o := $(realpath "$tree")/init/main.c" >"$O/init/.main.o.cmd" ;;
  u-boot.dtb) cp "$W/board.dtb" "$O/u-boot.dtb" ;;
  spl/u-boot-spl.bin) mkdir -p "$O/spl"; printf '%2048s' spl >"$O/spl/u-boot-spl-nodtb.bin"; cp "$W/board.dtb" "$O/spl/u-boot-spl.dtb"
    # Zeroed memory of 512 bytes, in front of the control FDT.
    head -c 512 /dev/zero >"$O/spl/u-boot-spl-pad.bin" ;;
  *.dtb) mkdir -p "$O/arch/arm64/boot/dts/$(dirname "$last")"; cp "$W/board.dtb" "$O/arch/arm64/boot/dts/$last" ;;
  olddefconfig) ;;
  *) cp "$O/fastness.config" "$O/.config" ;;
esac"#,
    ),
    (
        "qemu-system-aarch64",
        "qemu-$kind",
        r#"case $kind in
  version) echo 'QEMU emulator version 1 (fake)' ;;
  dtb) for a in "$@"; do case $a in *dumpdtb=*) cp "$W/board.dtb" "${a##*dumpdtb=}" ;; esac; done ;;
  boot) exit 1 ;;
esac"#,
    ),
];

fn write_tools(folder: &Path) {
    for (name, trap, work) in TOOLS {
        let real = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
            .unwrap_or_default();
        let work = work.replace("REAL", &real.to_string_lossy());
        let text = format!(
            r#"#!/bin/sh
W=$(cd "$(dirname "$0")/.." && pwd)
for last in "$@"; do :; done
kind=boot
case " $* " in *" --version "*) kind=version ;; *dumpdtb=*) kind=dtb ;; esac
case $(cat "$W/trap/{trap}" 2>/dev/null) in
  Hang) echo $$ >"$W/started.new"; mv "$W/started.new" "$W/started"; exec sleep 60 ;;
  Fail) for i in $(seq 40); do echo "line $i of what went wrong" >&2; done; exit 2 ;;
  Full) cat "$0" >/dev/full; exit 1 ;;
esac
{work}
"#
        );
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}
