//! Where things are: output folder, cache, keys (docs/contract.md, "Output folder").

use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::FolderLock;
use record::ImageRecord;
use spec::folder_of;
use spec::library::Library;
use spec::plan::Plan;

/// The product file that is meant when none is named.
pub const PRODUCT: &str = "product.yaml";

/// The folder with one folder a board: `--out`, or `out` beside the product file.
pub fn out(product: &Path, asked: Option<&Path>) -> PathBuf {
    asked.map_or_else(|| beside(product, "out"), Path::to_owned)
}

fn beside(product: &Path, name: &str) -> PathBuf {
    match folder_of(product) {
        here if here == Path::new(".") => PathBuf::from(name),
        folder => folder.join(name),
    }
}

/// The folder with programs of boards' makers: `--vendor`, or `vendor` beside the product file.
pub fn vendor(product: &Path, asked: Option<&Path>) -> PathBuf {
    asked.map_or_else(|| beside(product, "vendor"), Path::to_owned)
}

/// The lock file of a product.
pub fn lock(product: &Path) -> PathBuf {
    beside(product, "fastness.lock")
}

/// The cache: `--cache`, or `fastness` in the user's cache folder.
pub fn cache(asked: Option<&Path>) -> Outcome<PathBuf> {
    in_home(asked, "XDG_CACHE_HOME", ".cache", "fastness", "--cache")
}

/// A date in seconds since 1970 that RFC 3339 can write: its years have four digits.
pub fn date() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(..=253_402_300_799)
}

/// The key store: `--keys`, or `fastness/keys` in the user's data folder.
pub fn keys(asked: Option<&Path>) -> Outcome<PathBuf> {
    in_home(asked, "XDG_DATA_HOME", ".local/share", "fastness/keys", "--keys")
}

/// The folder of a product's authority: `fastness/pki/PRODUCT` in the user's data folder.
pub fn pki(product: &str) -> Outcome<PathBuf> {
    Ok(in_home(None, "XDG_DATA_HOME", ".local/share", "fastness/pki", "--pki")?.join(product))
}

fn in_home(
    asked: Option<&Path>,
    variable: &str,
    below_home: &str,
    name: &str,
    option: &str,
) -> Outcome<PathBuf> {
    if let Some(path) = asked {
        return Ok(path.to_owned());
    }
    // The XDG specification ignores paths that are not absolute.
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable)
        .or_else(|| absolute("HOME").map(|home| home.join(below_home)))
        .map(|folder| folder.join(name))
        .ok_or_else(|| {
            Failure::error(
                ExitStatus::Environment,
                "no-home",
                format!("neither `HOME` nor `{variable}` names a folder"),
            )
            .hint(format!("name one with `{option}`"))
        })
}

/// The definitions that are built in, and those of this folder.
///
/// # Errors
/// `not-a-folder`: a list without the user's own definitions would look as if there were none.
pub fn definitions(folder: &Path) -> Outcome<Library> {
    if folder.is_dir() {
        return Ok(Library::built_in(Some(folder)));
    }
    let message = format!("expected a folder, found none at `{}`", folder.display());
    Err(Failure::error(ExitStatus::Input, "not-a-folder", message).hint("name the folder of a product"))
}

/// Refuses places for pages and tables where one would replace another, or evidence of the folder that was just read.
///
/// # Errors
/// `same-file`, `evidence`.
pub fn refuse_outputs(folder: &Path, places: [&Option<PathBuf>; 3]) -> Outcome<()> {
    let whole = |path: &Path| {
        let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        parent.canonicalize().unwrap_or_else(|_| parent.to_owned()).join(path.file_name().unwrap_or_default())
    };
    let refused = |code: &str, message: String| {
        Err(Failure::error(ExitStatus::Usage, code, message).hint("name a file of its own for each"))
    };
    let evidence = supply::provenance::EVIDENCE.map(|(name, _)| whole(&folder.join(name)));
    let mut taken = Vec::new();
    for path in places.into_iter().flatten() {
        let place = whole(path);
        if evidence.contains(&place) {
            return refused("evidence", format!("`{}` is evidence of this image", path.display()));
        }
        if taken.contains(&place) {
            return refused("same-file", format!("`{}` is named for two of them", path.display()));
        }
        taken.push(place);
    }
    Ok(())
}

/// The output folder of one board, with the plan and the record of the image in it.
pub struct Built {
    /// The product's folder, for attacks of its own.
    pub product_folder: Option<PathBuf>,
    /// The output folder of the board.
    pub folder: PathBuf,
    /// `plan.json`.
    pub plan: Plan,
    /// `image.json`.
    pub image: ImageRecord,
}

/// The product's folder, when the output folder lies in its usual place, `out/BOARD` beside the product.
pub fn product_folder_of(folder: &Path) -> Option<PathBuf> {
    let beside = folder.join("../..");
    beside.join(PRODUCT).is_file().then_some(beside)
}

/// The folder that `path` means: itself, or `out/BOARD` of a product file.
///
/// # Errors
/// When the product file is wrong; `folder-of-one-board` when the folder is named and a board or another folder, too.
pub fn board_folder(path: &Path, board: Option<&str>, asked_out: Option<&Path>) -> Outcome<PathBuf> {
    if path.is_dir() {
        let one_too_many = board.map(|_| "--board").or(asked_out.map(|_| "--out"));
        return match one_too_many {
            None => Ok(path.to_owned()),
            Some(option) => Err(Failure::error(
                ExitStatus::Usage,
                "folder-of-one-board",
                format!("`{option}` goes with a product file, and `{}` is a folder", path.display()),
            )
            .hint("name the product file, or the output folder alone")),
        };
    }
    let plan = spec::load(path, board)?;
    Ok(out(path, asked_out).join(plan.board.name))
}

/// Takes the output folder of a board for this run and this product.
///
/// # Errors
/// When another run works in it, or it holds what was made of another product: its image and reports
/// would be taken for this one's.
pub fn take(folder: &Path, product: &str) -> Outcome<FolderLock> {
    let lock = FolderLock::take(folder)?;
    let owner = folder.join(".product");
    let found = match fs::read_to_string(&owner) {
        Ok(name) => Some(name.trim().to_owned()),
        // Folders of earlier versions have no such file.
        Err(_) => fs::read(folder.join("plan.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Plan>(&bytes).ok())
            .map(|plan| plan.product.name),
    };
    if let Some(found) = found.filter(|found| found != product) {
        return Err(Failure::error(
            ExitStatus::Input,
            "other-product",
            format!(
                "`{}` holds the output of the product `{found}`, but this one is `{product}`",
                folder.display()
            ),
        )
        .hint("choose another folder with `--out`; if the product was renamed, remove the old one"));
    }
    fs::write(&owner, format!("{product}\n")).map_err(|e| Failure::io("write", &owner, &e))?;
    Ok(lock)
}

impl Built {
    /// Reads what a build left.
    ///
    /// # Errors
    /// `no-image` when there is none, `stale-image` when it was made from another plan.
    pub fn open(folder: &Path) -> Outcome<Self> {
        let (plan_file, image_file) = (folder.join("plan.json"), folder.join("image.json"));
        if !plan_file.is_file() || !image_file.is_file() {
            return Err(Failure::error(
                ExitStatus::Input,
                "no-image",
                format!("there is no finished image in `{}`", folder.display()),
            )
            .hint("make it with `fastness build`"));
        }
        let plan: Plan = record::read_json(&plan_file)?;
        let image: ImageRecord = record::read_json(&image_file)?;
        if plan.sha256() != image.plan_sha256 {
            return Err(Failure::error(
                ExitStatus::Input,
                "stale-image",
                format!(
                    "the image in `{}` was made from another plan than its `plan.json`",
                    folder.display()
                ),
            )
            .hint("the last build did not end, or another version of fastness made it; run `fastness build` again"));
        }
        // What a received record names must not lead elsewhere.
        if let Some(file) = image.files.values().find(|file| !record::is_inside(&file.path)) {
            let message = format!(
                "`image.json` names `{}`, which is no path inside the folder",
                diag::clean(&file.path.to_string_lossy())
            );
            return Err(Failure::error(ExitStatus::Input, "outside", message)
                .hint("no build of this program wrote it"));
        }
        Ok(Self { product_folder: product_folder_of(folder), folder: folder.to_owned(), plan, image })
    }

    /// As [`Built::open`]; where `path` is the product file that led to the folder, the product's own definitions lie beside it,
    /// wherever the folder is.
    ///
    /// # Errors
    /// As there.
    pub fn open_of(path: &Path, folder: &Path) -> Outcome<Self> {
        let built = Self::open(folder)?;
        let beside = (!path.is_dir()).then(|| folder_of(path).to_owned());
        Ok(Self { product_folder: beside.or(built.product_folder), ..built })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_and_lock_lie_beside_the_product() {
        assert_eq!(out(Path::new("a/product.yaml"), None), Path::new("a/out"));
        assert_eq!(out(Path::new("product.yaml"), None), Path::new("out"));
        assert_eq!(out(Path::new("a/p.yaml"), Some(Path::new("/o"))), Path::new("/o"));
        assert_eq!(lock(Path::new("a/product.yaml")), Path::new("a/fastness.lock"));
    }

    #[test]
    fn a_folder_without_an_image_says_how_to_make_one() {
        let folder = tempfile::tempdir().unwrap();
        let failure = Built::open(folder.path()).err().unwrap();
        assert_eq!(failure.status, ExitStatus::Input);
        assert!(failure.to_string().contains("there is no finished image in"), "{failure}");
        assert!(failure.to_string().contains("`fastness build`"), "{failure}");
    }
}
