//! A folder that files are written to: each whole or not there at all, and never more than so many.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("[output.{section}] `folder`: cannot write to {}: {source}; make it writable for the user of the daemon", .folder.display())]
pub(crate) struct FolderError {
    /// Part of the configuration that names the folder.
    pub(super) section: &'static str,
    /// The folder.
    pub(super) folder: PathBuf,
    /// What the system says.
    pub(super) source: io::Error,
}

/// A folder with files of one kind.
pub(super) struct Folder {
    path: PathBuf,
    /// The file that is being written. There is one only, so that nothing piles up where writing fails.
    partial: PathBuf,
    keep: usize,
    /// Oldest first.
    kept: VecDeque<PathBuf>,
}

impl Folder {
    /// Makes the folder, or takes over what an earlier run left there: files named `KIND-…ENDING` count towards those that
    /// are kept, unfinished ones go.
    pub(super) fn open(path: PathBuf, kind: &str, ending: &str, keep: usize) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        let partial = path.join(format!("{kind}.partial"));
        File::create(&partial)?;
        let mut kept = Vec::new();
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(rest) = name.to_str().and_then(|n| n.strip_prefix(kind)) else { continue };
            if rest.ends_with(".partial") {
                remove(&entry.path())?;
            } else if rest.starts_with('-') && rest.ends_with(ending) {
                kept.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        kept.sort();
        Ok(Self { path, partial, keep, kept: kept.into_iter().map(|(_, path)| path).collect() })
    }

    /// Writes a file. Room is made first: on a full disk, that is what lets the next one in.
    pub(super) fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        while self.kept.len() >= self.keep
            && let Some(oldest) = self.kept.front()
        {
            remove(oldest)?;
            self.kept.pop_front();
        }
        let path = self.path.join(name);
        let written = self.write_partial(bytes).and_then(|()| fs::rename(&self.partial, &path));
        if written.is_err() {
            // The error that counts is the first.
            let _ = remove(&self.partial);
        }
        written?;
        self.kept.push_back(path);
        Ok(())
    }

    /// Removes the newest file again.
    pub(super) fn take_back(&mut self) {
        if let Some(newest) = self.kept.pop_back() {
            // What cannot be removed now is removed by a later run, in its turn.
            let _ = remove(&newest);
        }
    }

    /// The name must not stand for the file before the disk has its bytes: power may fail at any time.
    fn write_partial(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(&self.partial)?;
        file.write_all(bytes)?;
        file.sync_data()
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // Somebody else has tidied up.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let mut names: Vec<_> =
            entries.map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let place = tempfile::tempdir().expect("a folder");
        let mut folder = Folder::open(place.path().to_path_buf(), "frame", ".png", 9).expect("opened");
        // No file can take the name of a folder with something in it.
        fs::create_dir_all(place.path().join("frame-1.png/x")).expect("a folder");
        for _ in 0..3 {
            folder.write("frame-1.png", b"picture").expect_err("the name is taken");
        }
        assert_eq!(names(place.path()), ["frame-1.png"]);
        folder.write("frame-2.png", b"picture").expect("written");
        assert_eq!(names(place.path()), ["frame-1.png", "frame-2.png"]);
    }

    #[test]
    fn room_is_made_before_a_file_is_written() {
        let place = tempfile::tempdir().expect("a folder");
        let mut folder = Folder::open(place.path().to_path_buf(), "frame", ".png", 2).expect("opened");
        folder.write("frame-1.png", b"1").expect("written");
        folder.write("frame-2.png", b"2").expect("written");
        fs::create_dir_all(place.path().join("frame-3.png/x")).expect("a folder");
        folder.write("frame-3.png", b"3").expect_err("the name is taken");
        assert_eq!(names(place.path()), ["frame-2.png", "frame-3.png"]);
    }

    #[test]
    fn what_an_earlier_run_left_is_taken_over() {
        let place = tempfile::tempdir().expect("a folder");
        let old =
            ["frame-1.png", "frame-2.png", "frame-3.partial", "frame.partial", "notes.partial", "x.png"];
        for name in old {
            fs::write(place.path().join(name), b"old").expect("written");
        }
        let mut folder = Folder::open(place.path().to_path_buf(), "frame", ".png", 2).expect("opened");
        // What others put there stays.
        assert_eq!(names(place.path()), ["frame-1.png", "frame-2.png", "notes.partial", "x.png"]);
        folder.write("frame-4.png", b"new").expect("written");
        assert_eq!(names(place.path()), ["frame-2.png", "frame-4.png", "notes.partial", "x.png"]);
        assert_eq!(fs::read(place.path().join("frame-4.png")).expect("there"), b"new");
        folder.take_back();
        assert_eq!(names(place.path()), ["frame-2.png", "notes.partial", "x.png"]);
    }
}
