//! Where definitions come from: a product's own folders first, then those compiled in.
//!
//! Reads only below the product's `layers/`, `boards/` and `templates/`; links that lead out
//! of them, names with `..`, special files and files over 1 MiB are refused.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diag::{Diagnostic, ExitStatus, Failure, Outcome};
use include_dir::{Dir, include_dir};

use crate::decode::{Decode, Decoder};
use crate::source::Source;
use crate::yaml;

static LAYERS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../layers");
static TEMPLATES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../templates");
static BOARDS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../boards");
static BUILDROOT: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../buildroot");
static YOCTO: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../yocto");
static STANDARDS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../standards");

/// A folder of definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// `layers/NAME/layer.yaml`.
    Layers,
    /// `boards/NAME/board.yaml`.
    Boards,
    /// `templates/AREA/NAME.hbs`.
    Templates,
    /// `standards/*.yaml`.
    Standards,
    /// `buildroot/base.yaml`, `buildroot/packages/NAME.yaml`, `buildroot/series/NAME.yaml`.
    Buildroot,
    /// `yocto/base.yaml`, `yocto/packages/NAME.yaml`, `yocto/series/NAME.yaml`.
    Yocto,
}

impl Area {
    /// Name of its folder.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Layers => "layers",
            Self::Boards => "boards",
            Self::Templates => "templates",
            Self::Standards => "standards",
            Self::Buildroot => "buildroot",
            Self::Yocto => "yocto",
        }
    }

    fn embedded(self) -> &'static Dir<'static> {
        match self {
            Self::Layers => &LAYERS,
            Self::Boards => &BOARDS,
            Self::Templates => &TEMPLATES,
            Self::Standards => &STANDARDS,
            Self::Buildroot => &BUILDROOT,
            Self::Yocto => &YOCTO,
        }
    }
}

/// Definitions: a product's own, then the common ones.
#[derive(Clone, Debug)]
pub struct Library {
    own: Option<PathBuf>,
    common: Option<PathBuf>,
}

impl Library {
    /// The definitions that are compiled in, behind the product folder's own, if there is one.
    #[must_use]
    pub fn built_in(product_folder: Option<&Path>) -> Self {
        Self { own: product_folder.map(Path::to_path_buf), common: None }
    }

    /// As [`Library::built_in`], with a folder in place of what is compiled in: for tests, and for
    /// work on the definitions themselves.
    #[must_use]
    pub fn from_folder(common: &Path, product_folder: Option<&Path>) -> Self {
        Self { own: product_folder.map(Path::to_path_buf), common: Some(common.to_path_buf()) }
    }

    /// Names of the definitions in an area: the folders' names.
    ///
    /// # Errors
    /// A folder that is there cannot be read.
    pub fn names(&self, area: Area) -> Outcome<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for root in [&self.own, &self.common].into_iter().flatten() {
            let folder = root.join(area.folder());
            let listing = match std::fs::read_dir(&folder) {
                Ok(listing) => listing,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Failure::io("list", &folder, &error)),
            };
            for entry in listing {
                let entry = entry.map_err(|error| Failure::io("list", &folder, &error))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if !name.starts_with('.') && entry.path().is_dir() {
                    names.insert(name);
                }
            }
        }
        if self.common.is_none() {
            let folders = area.embedded().dirs().filter_map(|dir| dir.path().to_str());
            names.extend(folders.map(str::to_owned));
        }
        Ok(names)
    }

    /// Names of the definitions in a folder of an area that are one YAML file each.
    ///
    /// # Errors
    /// The folder is there and cannot be read.
    pub fn file_names(&self, area: Area, folder: &str) -> Outcome<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        let mut add = |name: &str| names.extend(name.strip_suffix(".yaml").map(str::to_owned));
        for root in [&self.own, &self.common].into_iter().flatten() {
            let folder = root.join(area.folder()).join(folder);
            let listing = match std::fs::read_dir(&folder) {
                Ok(listing) => listing,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Failure::io("list", &folder, &error)),
            };
            for entry in listing {
                let entry = entry.map_err(|error| Failure::io("list", &folder, &error))?;
                add(&entry.file_name().to_string_lossy());
            }
        }
        if self.common.is_none() {
            let files = area.embedded().get_dir(folder).into_iter().flat_map(Dir::files);
            files.filter_map(|file| file.path().file_name()?.to_str()).for_each(add);
        }
        Ok(names)
    }

    /// A file that the product itself brings in an area, if it does.
    ///
    /// # Errors
    /// As [`Library::read`].
    pub fn read_own(&self, area: Area, relative: &str) -> Outcome<Option<Arc<Source>>> {
        let own = Self { own: None, common: self.own.clone() };
        if own.common.is_none() { Ok(None) } else { own.read(area, relative) }
    }

    /// A file of an area, if there is one.
    ///
    /// # Errors
    /// It is there and cannot be read, leads out of its folder, is too large or is not UTF-8.
    pub fn read(&self, area: Area, relative: &str) -> Outcome<Option<Arc<Source>>> {
        if relative.split('/').any(|part| matches!(part, "" | "." | "..")) {
            let message = format!("expected a path inside `{}/`, found `{relative}`", area.folder());
            return Err(Failure::error(ExitStatus::Input, "path-escape", message));
        }
        let name = format!("{}/{relative}", area.folder());
        for root in [&self.own, &self.common].into_iter().flatten() {
            let base = root.join(area.folder());
            if let Some(source) = read_below(&base, relative, &name)? {
                return Ok(Some(source));
            }
        }
        if self.common.is_some() {
            return Ok(None);
        }
        let Some(file) = area.embedded().get_file(relative) else { return Ok(None) };
        let text = to_text(file.contents().to_vec(), &name)?;
        Ok(Some(Source::new(&name, &name, text)))
    }
}

/// Largest file that a product brings, 32 MiB: it is held in the plan.
const MAX_PROGRAM: u64 = 32 << 20;

impl Library {
    /// A file of the product's own folder, of any content.
    ///
    /// # Errors
    /// It is there and cannot be read, leads out of the folder, is no regular file or has more than 32 MiB.
    pub fn product_file(&self, relative: &str) -> Outcome<Option<Vec<u8>>> {
        let Some(base) = &self.own else { return Ok(None) };
        let Some(path) = real_below(base, relative)? else { return Ok(None) };
        let facts = std::fs::metadata(&path).map_err(|error| Failure::io("read", &path, &error))?;
        if !facts.is_file() || facts.len() > MAX_PROGRAM {
            let message = format!(
                "expected a regular file of at most {} MiB at `{relative}`, found another",
                MAX_PROGRAM >> 20
            );
            return Err(Failure::error(ExitStatus::Input, "not-a-file", message));
        }
        std::fs::read(&path).map(Some).map_err(|error| Failure::io("read", &path, &error))
    }
}

/// Where a file really is; it must lie below `base` after all links are followed.
fn real_below(base: &Path, relative: &str) -> Outcome<Option<PathBuf>> {
    let path = base.join(relative);
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(Failure::io("read", &path, &error)),
    };
    let real_base = base.canonicalize().map_err(|error| Failure::io("read", base, &error))?;
    if !real.starts_with(&real_base) {
        let message =
            format!("expected a file inside `{}`, found a link that leads out of it", base.display());
        let diagnostic =
            Diagnostic::error("path-escape", message).hint(format!("copy the file to `{}`", path.display()));
        return Err(Failure::new(ExitStatus::Input, diagnostic));
    }
    Ok(Some(real))
}

/// Reads a file that must lie below `base` after all links are followed.
fn read_below(base: &Path, relative: &str, name: &str) -> Outcome<Option<Arc<Source>>> {
    if real_below(base, relative)?.is_none() {
        return Ok(None);
    }
    read_file(&base.join(relative), name).map(Some)
}

/// Reads a regular file of at most 1 MiB of UTF-8 text.
///
/// # Errors
/// The file is none of that, or cannot be read.
pub fn read_file(path: &Path, name: &str) -> Outcome<Arc<Source>> {
    let failed = |error: &std::io::Error| {
        let mut failure = Failure::io("read", path, error);
        failure.status = ExitStatus::Input;
        failure
    };
    let facts = std::fs::metadata(path).map_err(|error| failed(&error))?;
    if !facts.is_file() {
        let message = format!("expected a regular file, found something else at `{}`", path.display());
        return Err(Failure::error(ExitStatus::Input, "not-a-file", message));
    }
    let mut bytes = Vec::new();
    let limit = yaml::MAX_BYTES as u64 + 1;
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    let shown = path.display().to_string();
    if bytes.len() > yaml::MAX_BYTES {
        let message = format!("expected a file of at most {} bytes, `{shown}` is larger", yaml::MAX_BYTES);
        return Err(Failure::error(ExitStatus::Input, "file-too-large", message));
    }
    Ok(Source::new(name, &shown, to_text(bytes, &shown)?))
}

fn to_text(bytes: Vec<u8>, shown: &str) -> Outcome<String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let message = format!("expected UTF-8 text in `{shown}`, found another byte at offset {at}");
        Failure::error(ExitStatus::Input, "not-utf8", message)
    })
}

/// Reads one definition; everything wrong with it goes to `diagnostics`.
pub fn read_model<T: Decode>(source: &Arc<Source>, diagnostics: &mut Vec<Diagnostic>) -> Option<T> {
    let mut decoder = Decoder::new(Arc::clone(source));
    let model = yaml::parse(source, &mut decoder.diagnostics).and_then(|node| T::decode(&node, &mut decoder));
    let clean = decoder.diagnostics.is_empty();
    diagnostics.append(&mut decoder.diagnostics);
    model.filter(|_| clean)
}
