//! Processor architectures, and what Linux and U-Boot fix for each of them.
//!
//! What a board may choose stands in its `board.yaml`; here is only what the kernel decides for all
//! boards of an architecture.

use crate::decode::{Spanned, choice};

choice! {
    /// A processor architecture, named as the kernel (`ARCH=`) and a FIT's `arch` name it.
    pub enum Architecture {
        /// 32-bit Arm, ARMv7-A.
        Arm = "arm",
        /// 64-bit Arm.
        Arm64 = "arm64",
        /// RISC-V; boards of 64 bits only.
        Riscv = "riscv",
    }
}

impl Architecture {
    /// The architecture of that name; a plan's `kernel_arch` always has one.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::Arm, Self::Arm64, Self::Riscv].into_iter().find(|architecture| architecture.as_str() == name)
    }

    /// `ARCH=` of U-Boot, which has one folder for Arm of 32 and 64 bits.
    #[must_use]
    pub fn of_uboot(self) -> &'static str {
        match self {
            Self::Arm | Self::Arm64 => "arm",
            Self::Riscv => "riscv",
        }
    }

    /// Bits of a word, as audit rules (`arch=b32`) and system calls go by it.
    #[must_use]
    pub fn bits(self) -> u32 {
        match self {
            Self::Arm => 32,
            Self::Arm64 | Self::Riscv => 64,
        }
    }

    /// `COMMAND_LINE_SIZE` in bytes, with the final zero (Linux `arch/*/include/uapi/asm/setup.h`).
    #[must_use]
    pub fn command_line_bytes(self) -> usize {
        match self {
            Self::Arm | Self::Riscv => 1024,
            Self::Arm64 => 2048,
        }
    }

    /// First words of the target of a compiler for it, such as `aarch64-linux-gnu`.
    #[must_use]
    pub fn compiler_targets(self) -> &'static [&'static str] {
        match self {
            Self::Arm => &["arm-", "armv7"],
            Self::Arm64 => &["aarch64-"],
            Self::Riscv => &["riscv64-"],
        }
    }

    /// Whether something that is asked of these architectures (none: of every one) is asked of this.
    #[must_use]
    pub fn is_of(self, asked: &[Spanned<Self>]) -> bool {
        asked.is_empty() || asked.iter().any(|one| one.value == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_again() {
        for word in Architecture::WORDS {
            assert_eq!(Architecture::of(word).map(Architecture::as_str), Some(*word));
        }
        assert_eq!(Architecture::of("armhf"), None);
    }
}
