//! A program that stands for BitBake, checkouts around it, and the example's plan built with it.

use std::fs;
use std::path::{Path, PathBuf};

use backend::yocto;

use super::{Artefacts, Backend, BuildOptions, Choice, ExitStatus, Library, NoProgress, Plan, build};

const BITBAKE: &str = include_str!("bitbake.py");
const TINFOIL: &str = include_str!("tinfoil.py");

pub struct Yocto {
    pub folder: PathBuf,
    /// Removes it at the end.
    _temporary: Option<tempfile::TempDir>,
    pub plan: Plan,
}

impl Yocto {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut fake = Self::below(folder.path());
        fake._temporary = Some(folder);
        fake.write("src/bitbake/bin/bitbake", BITBAKE);
        fake.write("src/bitbake/lib/bb/__init__.py", "import sys\n__version__ = \"2.18.0\"\n");
        fake.write("src/bitbake/lib/bb/tinfoil.py", TINFOIL);
        fake.write("src/bitbake/lib/bb/data.py", "from bb.tinfoil import emit_var\n");
        fake.write("src/openembedded-core/meta/conf/layer.conf", "LAYERSERIES_CORENAMES = \"wrynose\"\n");
        for layer in &fake.plan.yocto.as_ref().expect("a plan for Yocto").layers {
            fake.write(
                &format!("src/{}/{}/conf/layer.conf", layer.source, layer.name),
                &format!("LAYERSERIES_COMPAT_{} = \"whinlatter wrynose\"\n", layer.collection),
            );
        }
        fake
    }

    /// What another process has made there.
    pub fn below(folder: &Path) -> Self {
        let product = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cell-gateway/product.yaml");
        let choice = Choice { backend: Some(Backend::Yocto), series: None };
        let plan = spec::load_as(&Library::built_in(None), &product, None, choice).expect("a plan");
        Self { folder: folder.to_owned(), _temporary: None, plan }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    pub fn options(&self) -> BuildOptions {
        let yocto = yocto::Machine { checkouts: Some(self.path("src")), ..yocto::Machine::default() };
        super::options(&self.folder, super::Machine::default(), yocto)
    }

    /// Another test's child may hold a copy of the lock's descriptor until it is executed.
    pub fn ended(&self, options: &BuildOptions) -> diag::Outcome<Artefacts> {
        loop {
            match build(&self.plan, options, &NoProgress) {
                Err(failure) if failure.status == ExitStatus::Busy => {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                ended => return ended,
            }
        }
    }

    pub fn built(&self) -> Artefacts {
        self.ended(&self.options()).unwrap_or_else(|failure| panic!("{failure}"))
    }

    pub fn refused(&self) -> diag::Failure {
        self.ended(&self.options()).expect_err("a failure")
    }

    pub fn calls(&self) -> String {
        fs::read_to_string(self.path("src/calls")).unwrap_or_default()
    }

    pub fn local_conf(&self) -> String {
        let mut found = fs::read_dir(self.path("cache/yocto")).expect("a folder");
        let work = found.next().expect("one").expect("one").path();
        fs::read_to_string(work.join("build/conf/local.conf")).expect("a file")
    }
}
