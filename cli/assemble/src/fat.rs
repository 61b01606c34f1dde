//! The FAT file system that a boot ROM, or its maker's firmware, reads: written by `fatfs`, read back by `image::fat`.
//!
//! The same files give the same bytes: no clock (every time is 1980-01-01), and an identity that is derived.

use std::io::{Cursor, Write};

use diag::{ExitStatus, Failure, Outcome};
use image::Source;
use image::fat::Fat;

/// From this size on it is FAT32: smaller ones would have too few clusters.
const FAT32_FROM: u64 = 40 << 20;
/// Longer files of a file system are not read back.
const LARGEST: u64 = 512 << 20;

/// A file: its name and content.
pub type File = (String, Vec<u8>);

/// A file system of `bytes` bytes with these files in its root folder.
///
/// # Errors
/// `no-room` when they do not fit.
pub fn write(bytes: u64, id: u32, files: &[File]) -> Outcome<Vec<u8>> {
    let volume = volume(bytes, id, files);
    volume.map_err(|e| {
        let needed: usize = files.iter().map(|(_, content)| content.len()).sum();
        let message =
            format!("files of {needed} bytes do not fit into a FAT file system of {bytes} bytes: {e}");
        Failure::error(ExitStatus::Input, "no-room", message).hint("change `boot.fat` of the board")
    })
}

/// The time of every file, whatever the crate would say of itself.
#[derive(Debug)]
struct FirstDay;

static FIRST_DAY: FirstDay = FirstDay;

impl fatfs::TimeProvider for FirstDay {
    fn get_current_date(&self) -> fatfs::Date {
        // The first that FAT can tell.
        fatfs::Date { year: 1980, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> fatfs::DateTime {
        let time = fatfs::Time { hour: 0, min: 0, sec: 0, millis: 0 };
        fatfs::DateTime { date: self.get_current_date(), time }
    }
}

fn volume(bytes: u64, id: u32, files: &[File]) -> std::io::Result<Vec<u8>> {
    let size = usize::try_from(bytes).map_err(std::io::Error::other)?;
    let mut volume = Cursor::new(vec![0; size]);
    let (kind, cluster) =
        if bytes >= FAT32_FROM { (fatfs::FatType::Fat32, 512) } else { (fatfs::FatType::Fat16, 1024) };
    let options = fatfs::FormatVolumeOptions::new()
        .fat_type(kind)
        .bytes_per_cluster(cluster)
        .volume_label(*b"BOOT       ")
        .volume_id(id);
    fatfs::format_volume(&mut volume, options)?;
    volume.set_position(0);
    let system = fatfs::FileSystem::new(&mut volume, fatfs::FsOptions::new().time_provider(&FIRST_DAY))?;
    for (name, content) in files {
        let mut file = system.root_dir().create_file(name)?;
        file.write_all(content)?;
        file.flush()?;
    }
    system.unmount()?;
    Ok(volume.into_inner())
}

/// The files of a file system, in its order.
///
/// # Errors
/// When it is none, or there is a folder in it.
pub fn read(source: Source) -> Result<Vec<File>, String> {
    let fat = Fat::open(source).map_err(|e| e.to_string())?;
    let entries = fat.entries().map_err(|e| e.to_string())?;
    let file = |entry: &image::fat::FatEntry| {
        // A boot ROM goes by the short name.
        if entry.short.eq_ignore_ascii_case(&entry.name) {
            let content = fat.read(entry, LARGEST).map_err(|e| e.to_string())?;
            return Ok((entry.name.clone(), content));
        }
        Err(format!("`{}` has the short name `{}`", entry.name, entry.short))
    };
    entries.iter().map(file).collect()
}
