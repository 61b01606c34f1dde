//! GUIDs in the mixed-endian form of UEFI (appendix A): the first three groups little-endian.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A GUID as GPT stores and people write it.
///
/// ```
/// let guid: image::disk::Guid = "0FC63DAF-8483-4772-8E79-3D69D8477DE4".parse()?;
/// assert_eq!(guid, image::disk::Guid::LINUX_DATA);
/// assert_eq!(guid.to_string(), "0fc63daf-8483-4772-8e79-3d69d8477de4");
/// # Ok::<(), image::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid([u8; 16]);

/// Where the byte written at each place is stored.
const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

impl Guid {
    /// No partition.
    pub const UNUSED: Self = Self([0; 16]);
    /// `0fc63daf-8483-4772-8e79-3d69d8477de4`, "Linux filesystem data".
    pub const LINUX_DATA: Self = Self([
        0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
    ]);

    /// From the bytes as stored in a table.
    #[must_use]
    pub fn from_stored(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes as stored in a table.
    #[must_use]
    pub fn stored(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (written, stored) in ORDER.iter().enumerate() {
            if matches!(written, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{:02x}", self.0[*stored])?;
        }
        Ok(())
    }
}

impl FromStr for Guid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            || Error::malformed("GUID", format!("`{text}`"), "expected 8-4-4-4-12 hexadecimal digits");
        let groups: Vec<&str> = text.split('-').collect();
        if groups.iter().map(|group| group.len()).ne([8, 4, 4, 4, 12]) {
            return Err(wrong());
        }
        let digits = groups.concat();
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0; 16];
        for (written, stored) in ORDER.iter().enumerate() {
            bytes[*stored] =
                u8::from_str_radix(&digits[2 * written..2 * written + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}
