//! Contents of archive members: places in one or more sources.

use super::Contents;
use crate::{Error, Result, Source};

/// Where each member's bytes lie; a member's node is its place in the list.
#[derive(Default)]
pub(crate) struct Places(Vec<Source>);

impl Places {
    /// Remembers a member's bytes and gives its node.
    pub fn add(&mut self, source: Source) -> u64 {
        self.0.push(source);
        self.0.len() as u64 - 1
    }
}

impl Contents for Places {
    fn place(&self, node: u64) -> Option<Source> {
        self.0.get(usize::try_from(node).ok()?).cloned()
    }

    fn read(&self, path: &str, node: u64, size: u64) -> Result<Vec<u8>> {
        let place = usize::try_from(node).ok().and_then(|node| self.0.get(node));
        place.ok_or_else(|| Error::path(path, "it has no content in the archive"))?.read_vec(0, size)
    }
}
