//! What layers keep on the data partition: its bound, and that it fits.

use diag::Diagnostic;

use super::Resolver;
use super::asks::Asker;
use super::layers::Applied;
use crate::plan::{Asked, StoragePlan};

/// What mke2fs(8) reserves at most, in hundredths of a percent.
const MOST: u128 = 5_000;

impl Resolver<'_> {
    /// Adds up what the layers keep. It is reserved for root, and more than half would leave too little for the rest.
    pub(super) fn kept(&mut self, storage: &mut StoragePlan, layers: &[Applied]) {
        for layer in layers {
            self.renderer.set("parameters", layer.parameters.clone().into());
            for ask in &layer.model.kept {
                let path = self.templated(&ask.path.value, &ask.path.at);
                let file = self.templated(&ask.file.value, &ask.file.at);
                let files = self.templated(&ask.files.value, &ask.files.at);
                let (Some(path), Some(file), Some(files)) = (path, file, files) else { continue };
                let none = || Asked { value: 0, origins: Vec::new() };
                let all = storage.kept.entry(path.as_str().to_owned()).or_insert_with(none);
                all.value = all.value.saturating_add(file.0.saturating_mul(files.0));
                all.origins.push(Asker::new(&layer.who(), &ask.path.at, &ask.reason).origin());
            }
        }
        let largest = storage.kept.iter().max_by_key(|(_, asked)| asked.value);
        let Some((path, asked)) = largest.filter(|_| storage.reserved_hundredths() > MOST) else { return };
        let at = self.product.storage.as_ref().and_then(|storage| storage.data.as_ref());
        let at = at.map_or(&self.product.name.at, |data| &data.at);
        let message = format!(
            "the records may take {} of the data partition, whose file system has {}: expected less than half of it",
            mebibytes(storage.kept_bytes()),
            mebibytes(storage.file_system_bytes())
        );
        let who = asked.origins.first().map_or("", |origin| origin.who.as_str());
        let hint = format!(
            "make `storage.data` larger, or keep fewer or smaller files: {who} keeps {} in `{path}`",
            mebibytes(asked.value)
        );
        self.trouble.push(Diagnostic::error("no-room-for-records", message).at(at.location()).hint(hint));
    }
}

/// For people: rounded up.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
