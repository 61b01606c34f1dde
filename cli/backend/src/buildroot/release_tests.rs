use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;

/// A tarball that looks like a release's, and what pins it.
fn packed(folder: &Path, version: &str) -> (PathBuf, ReleaseFacts) {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in [
        ("Makefile", format!("export BR2_VERSION := {version}\n")),
        ("Config.in", String::new()),
        ("package/Makefile.in", String::new()),
        ("support/kconfig/conf.c", "x\n".repeat(5000)),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, format!("buildroot-{version}/{name}"), text.as_bytes()).unwrap();
    }
    let mut packed = xz2::write::XzEncoder::new(Vec::new(), 0);
    packed.write_all(&builder.into_inner().unwrap()).unwrap();
    let path = folder.join(format!("buildroot-{version}.tar.xz"));
    fs::write(&path, packed.finish().unwrap()).unwrap();
    let sha256 = record::sha256_file(&path).unwrap().0;
    let url = format!("file://{}", path.display());
    (path, ReleaseFacts { version: version.to_owned(), url, sha256 })
}

struct World {
    folder: tempfile::TempDir,
    cache: Cache,
    tarball: PathBuf,
    release: ReleaseFacts,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let (tarball, release) = packed(folder.path(), "2026.02.3");
    let cache = Cache::new(&folder.path().join("cache"));
    World { folder, cache, tarball, release }
}

impl World {
    fn tree(&self, offline: bool) -> Outcome<(PathBuf, bool)> {
        tree(&self.release, &self.cache, offline, &self.folder.path().join("log"))
    }

    /// What is refused leaves neither a tree nor a download.
    fn refused(&self, code: &str, what: &str) {
        let failure = self.tree(false).unwrap_err();
        assert_eq!(failure.diagnostics[0].code, code, "{failure}");
        assert!(failure.to_string().contains(what), "expected `{what}` in {failure}");
        assert!(!folder(&self.release, &self.cache).exists());
    }

    fn downloads(&self) -> usize {
        fs::read_dir(self.folder.path().join("cache/buildroot-releases")).unwrap().count()
    }
}

#[test]
fn a_release_is_fetched_once_and_is_there_without_a_network() {
    let world = world();
    let text = world.tree(true).unwrap_err().to_string();
    assert!(text.contains("the cache does not hold Buildroot 2026.02.3"), "{text}");
    let (tree, cached) = world.tree(false).unwrap();
    assert!(!cached && source::version(&tree).unwrap().full == "2026.02.3");
    fs::remove_file(&world.tarball).unwrap();
    let (again, cached) = world.tree(true).unwrap();
    assert!(cached && again == tree);
}

#[test]
fn another_hash_than_the_pinned_one_is_refused_and_removed() {
    let mut world = world();
    world.release.sha256 = "0".repeat(64);
    world.refused("corrupt-download", "is not what the product pins: expected SHA-256 0000");
    assert_eq!(world.downloads(), 0);
}

#[test]
fn a_tarball_that_was_cut_is_refused_and_fetched_anew() {
    let world = world();
    let whole = fs::read(&world.tarball).unwrap();
    fs::write(&world.tarball, &whole[..whole.len() / 2]).unwrap();
    world.refused("corrupt-download", "is not what the product pins");
    fs::write(&world.tarball, &whole).unwrap();
    world.tree(false).unwrap();
}

#[test]
fn a_cached_tarball_that_changed_is_found_before_it_is_unpacked() {
    let world = world();
    world.tree(false).unwrap();
    crate::cache::remove_tree(&folder(&world.release, &world.cache)).unwrap();
    let file = fs::read_dir(world.folder.path().join("cache/buildroot-releases")).unwrap().next().unwrap();
    fs::write(file.unwrap().path(), "other").unwrap();
    world.refused("corrupt-download", "found 5 bytes");
    world.tree(false).unwrap();
}

#[test]
fn a_release_that_is_another_one_is_refused() {
    let mut world = world();
    world.release.version = "2026.02.4".to_owned();
    world.refused("other-release", "pins as Buildroot 2026.02.4 holds Buildroot 2026.02.3");
}

#[test]
fn a_server_that_has_it_not_or_hangs_up_is_told_with_its_address() {
    let mut world = world();
    world.release.url = format!("file://{}/nothing.tar.xz", world.folder.path().display());
    world.refused("tool-failed", "while Buildroot 2026.02.3 was fetched from `file:///");
    if std::env::var_os("http_proxy").is_some() {
        std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: a proxy is set, so that this machine's own server is not asked\n",
        )
        .unwrap();
        return;
    }
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    world.release.url = format!("http://{}/buildroot.tar.xz", server.local_addr().unwrap());
    let serve = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 100000\r\n\r\nonly this").unwrap();
    });
    world.refused("tool-failed", "while Buildroot 2026.02.3 was fetched from `http://127.0.0.1:");
    serve.join().unwrap();
    assert_eq!(world.downloads(), 0);
}
