//! What layers keep on the data partition: its bound, and that it fits.

use diag::Diagnostic;

use super::Resolver;
use super::layers::Applied;
use crate::plan::StoragePlan;

/// What mke2fs(8) reserves at most, in hundredths of a percent.
const MOST: u128 = 5_000;

impl Resolver<'_> {
    /// Adds up what the layers keep. It is reserved for root, and more than half would leave too little for the rest.
    pub(super) fn kept(&mut self, storage: &mut StoragePlan, layers: &[Applied]) {
        let mut largest: Option<(u64, &Applied)> = None;
        for layer in layers {
            self.renderer.set("parameters", layer.parameters.clone().into());
            let mut bytes = 0_u64;
            for ask in &layer.model.kept {
                let path = self.templated(&ask.path.value, &ask.path.at);
                let file = self.templated(&ask.file.value, &ask.file.at);
                let files = self.templated(&ask.files.value, &ask.files.at);
                let (Some(path), Some(file), Some(files)) = (path, file, files) else { continue };
                let most = file.0.saturating_mul(files.0);
                let all = storage.kept.entry(path.as_str().to_owned()).or_default();
                *all = all.saturating_add(most);
                bytes = bytes.saturating_add(most);
            }
            if bytes > largest.map_or(0, |(most, _)| most) {
                largest = Some((bytes, layer));
            }
        }
        let (kept, all) = (storage.kept_bytes(), storage.file_system_bytes());
        let Some((bytes, layer)) = largest.filter(|_| storage.reserved_hundredths() > MOST) else { return };
        let at = self.product.storage.as_ref().and_then(|storage| storage.data.as_ref());
        let at = at.map_or(&self.product.name.at, |data| &data.at);
        let message = format!(
            "the records may take {} of the data partition, whose file system has {}: expected less than half of it",
            mebibytes(kept),
            mebibytes(all)
        );
        let hint = format!(
            "make `storage.data` larger, or keep fewer or smaller files: the layer `{}` keeps {}",
            layer.name,
            mebibytes(bytes)
        );
        self.trouble.push(Diagnostic::error("no-room-for-records", message).at(at.location()).hint(hint));
    }
}

/// For people: rounded up.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
