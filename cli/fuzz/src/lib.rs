//! What is fuzzed: one function for each reader of hostile bytes, what must hold whatever the bytes are, and how
//! much memory it may take.
//!
//! Knows nothing of a fuzzer: `driver/` links libFuzzer with it (`ci/fuzz`), and `tests/corpus.rs` runs the committed
//! corpus through the same functions wherever the tests run.

mod disks;
mod firmware;
mod texts;
mod trees;

use std::sync::Mutex;

use peak_alloc::PeakAlloc;

/// Counts every allocation of the process, so that a bound can be held against it.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Measuring is the whole process's: one input at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A reader of hostile bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: the corpus's folder, and what `ci/fuzz` takes.
    pub name: &'static str,
    /// What it reads and what must hold.
    pub what: &'static str,
    /// Bytes that it may hold beside [`Target::factor`]: tables that do not grow with the input.
    pub base: usize,
    /// Bytes that it may hold for each byte of the input.
    pub factor: usize,
    run: fn(&[u8]) -> Result<bool, String>,
}

/// What a target made of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Whether the reader took it: bytes that are refused at once test little.
    pub read: bool,
    /// Bytes of memory that it held at most, beside the input.
    pub held: usize,
}

/// All of them.
pub const TARGETS: [Target; 13] = [
    firmware::FDT,
    firmware::FIT,
    firmware::CONTROL,
    firmware::BINARY,
    disks::PARTITIONS,
    disks::VERITY,
    trees::SQUASHFS,
    trees::EXT4,
    trees::ARCHIVE,
    trees::FAT,
    texts::KEYS,
    texts::PASSWORDS,
    texts::FILES,
];

impl Target {
    /// The target of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Runs it on an input.
    ///
    /// # Errors
    /// When something does not hold that must: a property of the target, or its bound of memory. A panic is one, too,
    /// and goes through.
    pub fn check(&self, input: &[u8]) -> Result<Checked, String> {
        let _one = ONE_AT_A_TIME.lock();
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let read = (self.run)(input)?;
        let held = MEMORY.peak_usage().saturating_sub(before);
        let bound = self.base + self.factor * input.len();
        if held > bound {
            let len = input.len();
            return Err(format!("{held} bytes of memory for an input of {len}: at most {bound} are allowed"));
        }
        Ok(Checked { read, held })
    }
}
