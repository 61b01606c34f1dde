//! FAT12, FAT16 and FAT32 as a tree: boot partitions, which hold kernels, FITs and settings of boot loaders.
//!
//! Owners and modes are not stored; they are as Linux gives them to whoever mounts it without options.

use super::builder::Builder;
use super::{Contents, Entry, FileTree, Kind, RootKind};
use crate::fat::{Fat, FatEntry};
use crate::{Error, Result, Source};

const FAT: &str = "FAT";

/// Files by their numbers: where their bytes lie, or what is wrong with their chain.
struct Files(Vec<std::result::Result<Source, String>>);

impl Contents for Files {
    fn read(&self, path: &str, node: u64, size: u64) -> Result<Vec<u8>> {
        let file = usize::try_from(node).ok().and_then(|node| self.0.get(node));
        match file {
            Some(Ok(source)) => source.read_vec(0, size),
            Some(Err(why)) => Err(Error::malformed(FAT, format!("`{path}`"), why.clone())),
            None => Err(Error::path(path, "it has no content in the file system")),
        }
    }

    fn place(&self, node: u64) -> Option<Source> {
        self.0.get(usize::try_from(node).ok()?)?.as_ref().ok().cloned()
    }
}

/// Every file and folder of a FAT file system. Each cluster belongs to one of them, so that no loop and no chain over
/// another's bytes makes the work larger than the table; a file whose chain is broken is there, and fails when it is read.
///
/// # Errors
/// When the file system is broken, a folder's chain is, or a bound of [`crate::tree`] is reached.
pub fn open(source: &Source) -> Result<FileTree> {
    let fat = Fat::open_any(source.clone())?;
    let mut builder = Builder::new(FAT);
    let mut files = Files(Vec::new());
    let mut used = fat.none_used();
    builder.insert("/".to_owned(), entry(Kind::Directory, 0))?;
    let mut open: Vec<(String, Option<FatEntry>)> = vec![("/".to_owned(), None)];
    while let Some((path, folder)) = open.pop() {
        for found in fat.list(folder.as_ref(), &mut used)? {
            let path = builder.child(&path, found.name.as_bytes())?;
            if found.folder {
                builder.insert(path.clone(), entry(Kind::Directory, 0))?;
                open.push((path, Some(found)));
            } else {
                let node = files.0.len() as u64;
                builder.insert(path, entry(Kind::File { size: found.bytes }, node))?;
                files.0.push(fat.content(&found, &mut used).map_err(|why| why.to_string()));
            }
        }
    }
    Ok(FileTree::new(RootKind::Fat, builder.finish(), Box::new(files)).ending_at(fat.end()))
}

fn entry(kind: Kind, node: u64) -> Entry {
    // FAT has no owners and no modes.
    Entry { kind, implied: false, node, ..Entry::implied_folder() }
}
