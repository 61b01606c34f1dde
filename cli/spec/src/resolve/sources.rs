//! Sources of the product's own programs, which a build system compiles: text files of the product's folder, as they are.
//!
//! Nothing is compiled or looked for here: each file is named, so that no binary and no secret comes along.

use std::collections::BTreeMap;

use diag::{Diagnostic, Outcome};

use super::Resolver;
use crate::decode::Spanned;
use crate::types::{LocalPath, Name};

impl Resolver<'_> {
    /// The files by where they lie beside the package's own: `src/` and their name.
    ///
    /// # Errors
    /// One cannot be read, or leads out of the product's folder.
    pub(super) fn sources(
        &mut self,
        own: Option<&Spanned<Name>>,
        asked: &[Spanned<LocalPath>],
    ) -> Outcome<BTreeMap<String, String>> {
        let mut files = BTreeMap::new();
        for file in asked {
            let (path, at) = (file.as_str(), file.at.location());
            let mut refuse = |code: &str, message: String, hint: &str| {
                self.trouble.push(Diagnostic::error(code, message).at(at.clone()).hint(hint.to_owned()));
            };
            if own.is_none() {
                let message = format!("`{path}` is for a package of the product's own, and `own` names none");
                refuse("unused-sources", message, "write `own: NAME`, or take `sources` away");
                break;
            }
            let Some(content) = self.library.product_file(path)? else {
                let message = format!("expected the source `{path}`, found none");
                refuse("missing-source", message, "the path counts from the product file's folder");
                continue;
            };
            let Ok(text) = String::from_utf8(content) else {
                let message = format!("expected a source in UTF-8 at `{path}`, found other bytes");
                refuse(
                    "not-utf8",
                    message,
                    "what was built elsewhere does not run here: name what it is built from",
                );
                continue;
            };
            if super::files::holds_secret(&text) {
                let message =
                    format!("`{path}` holds a private key, which every device with this image would share");
                refuse("secret-in-image", message, "`fastness provision` writes a device's own secrets");
                continue;
            }
            let name = path.rsplit('/').next().unwrap_or(path);
            if files.insert(format!("src/{name}"), text).is_some() {
                let message = format!("two sources are called `{name}`");
                refuse("two-sources", message, "all sources of a package lie in one folder: rename one");
            }
        }
        Ok(files)
    }
}
