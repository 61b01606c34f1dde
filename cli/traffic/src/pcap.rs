//! Recordings of frames in the classic pcap format, without the host's clock.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

/// A recording; its times count from its start.
#[derive(Debug)]
pub struct Pcap {
    file: BufWriter<File>,
    started: Instant,
}

impl Pcap {
    /// Starts a recording.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        // Magic number (microseconds), version 2.4, no time zone, frames of any length, link type 1 (Ethernet).
        file.write_all(&[
            0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0,
        ])?;
        Ok(Self { file, started: Instant::now() })
    }

    /// Records a frame.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        // Times count from the power-on: the host's clock is nobody's business.
        let elapsed = self.started.elapsed();
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.file.write_all(&u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX).to_le_bytes())?;
        self.file.write_all(&elapsed.subsec_micros().to_le_bytes())?;
        self.file.write_all(&length)?;
        self.file.write_all(&length)?;
        self.file.write_all(frame)
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
