//! The fourteen inode types: seven kinds, each in a short and an extended form.

use super::bad;
use super::meta::Cursor;
use crate::tree::MAX_PATH_BYTES;
use crate::{Error, Result};

/// What the inode is, with what is needed to read it.
#[derive(Debug)]
pub(super) enum Body {
    Directory { block: u32, offset: u16, bytes: u32 },
    File { start: u64, bytes: u64, fragment: u32, fragment_offset: u32 },
    Symlink { target: Vec<u8> },
    BlockDevice { number: u32 },
    CharDevice { number: u32 },
    Fifo,
    Socket,
}

#[derive(Debug)]
pub(super) struct Inode {
    /// 1 to 7, as a folder's listing names the type.
    pub basic_type: u16,
    pub mode: u16,
    /// Places in the table of owners.
    pub uid: u16,
    pub gid: u16,
    pub mtime: u32,
    pub number: u32,
    pub links: u32,
    /// Place in the table of extended attributes; `u32::MAX` for none.
    pub xattr: u32,
    pub body: Body,
}

const NO_XATTR: u32 = u32::MAX;

impl Inode {
    /// Reads an inode; for a file the cursor then stands at its list of blocks.
    pub fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        let kind = cursor.u16()?;
        let mut inode = Self {
            basic_type: if kind > 7 { kind - 7 } else { kind },
            mode: cursor.u16()?,
            uid: cursor.u16()?,
            gid: cursor.u16()?,
            mtime: cursor.u32()?,
            number: cursor.u32()?,
            links: 1,
            xattr: NO_XATTR,
            body: Body::Fifo,
        };
        inode.body = match kind {
            1 => {
                let (block, links, bytes) = (cursor.u32()?, cursor.u32()?, cursor.u16()?);
                inode.links = links;
                Body::Directory { block, bytes: bytes.into(), offset: cursor.u16()? }
            }
            8 => {
                inode.links = cursor.u32()?;
                let (bytes, block, _, _) = (cursor.u32()?, cursor.u32()?, cursor.u32()?, cursor.u16()?);
                let offset = cursor.u16()?;
                inode.xattr = cursor.u32()?;
                Body::Directory { block, offset, bytes }
            }
            2 => {
                let (start, fragment, fragment_offset) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
                Body::File { start: start.into(), fragment, fragment_offset, bytes: cursor.u32()?.into() }
            }
            9 => {
                let (start, bytes, _) = (cursor.u64()?, cursor.u64()?, cursor.u64()?);
                inode.links = cursor.u32()?;
                let (fragment, fragment_offset) = (cursor.u32()?, cursor.u32()?);
                inode.xattr = cursor.u32()?;
                Body::File { start, bytes, fragment, fragment_offset }
            }
            3..=7 | 10..=14 => inode.other(cursor, kind > 7)?,
            other => return Err(bad("inode", format!("type {other} is not possible"))),
        };
        Ok(inode)
    }

    fn other(&mut self, cursor: &mut Cursor<'_>, extended: bool) -> Result<Body> {
        self.links = cursor.u32()?;
        let body = match self.basic_type {
            3 => {
                let size = cursor.u32()? as usize;
                if size > MAX_PATH_BYTES {
                    let (found, limit) = (size as u64, MAX_PATH_BYTES as u64);
                    return Err(Error::limit(super::SQUASHFS, "length of a link in bytes", found, limit));
                }
                Body::Symlink { target: cursor.bytes(size)? }
            }
            4 => Body::BlockDevice { number: cursor.u32()? },
            5 => Body::CharDevice { number: cursor.u32()? },
            6 => Body::Fifo,
            _ => Body::Socket,
        };
        if extended {
            self.xattr = cursor.u32()?;
        }
        Ok(body)
    }
}
