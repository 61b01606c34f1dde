//! The GNU property note: what the whole file is marked compatible with.

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable};

/// Marks of the GNU property note; all absent when there is none, or it cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// aarch64: indirect branches land on `bti` only.
    pub bti: bool,
    /// aarch64: return addresses are signed.
    pub pac: bool,
    /// x86: indirect branch tracking.
    pub ibt: bool,
    /// x86: shadow stack.
    pub shadow_stack: bool,
}

/// `GNU_PROPERTY_AARCH64_FEATURE_1_AND` and `GNU_PROPERTY_X86_FEATURE_1_AND` of the psABIs.
const AARCH64_FEATURE: u32 = 0xc000_0000;
const X86_FEATURE: u32 = 0xc000_0002;

pub(super) fn properties<E: FileHeader>(
    endian: E::Endian,
    machine: elf::Machine,
    segments: &[E::ProgramHeader],
    sections: &SectionTable<'_, E>,
    data: &[u8],
) -> Properties {
    let wanted = match machine {
        elf::EM_AARCH64 => AARCH64_FEATURE,
        elf::EM_X86_64 | elf::EM_386 => X86_FEATURE,
        _ => return Properties::default(),
    };
    let mut bits = None;
    let from_segments = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_NOTE)
        .filter_map(|segment| segment.notes(endian, data).ok().flatten());
    // Object files have no segments.
    let from_sections = sections
        .iter()
        .filter(|_| segments.is_empty())
        .filter_map(|section| section.notes(endian, data).ok().flatten());
    for mut notes in from_segments.chain(from_sections) {
        while let Ok(Some(note)) = notes.next() {
            let Some(mut found) = note.gnu_properties(endian) else { continue };
            while let Ok(Some(property)) = found.next() {
                if property.pr_type().0 == wanted {
                    let value = property.data_u32(endian).unwrap_or(0);
                    // Two notes: only what both promise.
                    bits = Some(bits.map_or(value, |earlier| earlier & value));
                }
            }
        }
    }
    let bits = bits.unwrap_or(0);
    let aarch64 = wanted == AARCH64_FEATURE;
    Properties {
        bti: aarch64 && bits & 1 != 0,
        pac: aarch64 && bits & 2 != 0,
        ibt: !aarch64 && bits & 1 != 0,
        shadow_stack: !aarch64 && bits & 2 != 0,
    }
}
