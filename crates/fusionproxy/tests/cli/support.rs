//! Running the command, and the files that it is given.

use std::path::{Path, PathBuf};
use std::process::Command;

use fusionproxy_eval::scene::{Condition, Scene, View};
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, RgbImage};
use tempfile::TempDir;

/// What a run gave.
pub(crate) struct Run {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `fusionproxy` in `folder`.
pub(crate) fn fusionproxy(folder: &Path, args: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_fusionproxy"))
        .args(args)
        .current_dir(folder)
        .output()
        .expect("the command starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Run { ok: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Run {
    /// The run's JSON, after asserting that it succeeded.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert!(self.ok, "failed: {}", self.stderr);
        serde_json::from_str(&self.stdout).expect("JSON")
    }

    /// Asserts that it failed with one error line that holds all of `words`, nothing twice, without a panic.
    pub(crate) fn fails_with(&self, words: &[&str]) {
        assert!(!self.ok, "succeeded: {}", self.stdout);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        let errors: Vec<&str> = self.stderr.lines().filter(|l| l.starts_with("error:")).collect();
        let last = errors.last().unwrap_or_else(|| panic!("no error line in {}", self.stderr));
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in: {last}");
        }
        for line in errors {
            let parts: Vec<&str> = line.split(": ").filter(|p| p.len() > 12).collect();
            let twice = parts.iter().enumerate().find(|(i, p)| parts[..*i].contains(p));
            assert!(twice.is_none(), "a cause is told twice: {line}");
        }
    }
}

/// A temporary folder.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A synthetic pair, RGB and 16 bit temperatures.
pub(crate) fn pair(width: usize, height: usize) -> (RgbImage, ImageBuffer<Luma<u16>, Vec<u16>>) {
    let view = View::new(width, height);
    let (mut rgb, mut thermal) = (vec![0; view.pixels() * 3], vec![0; view.pixels()]);
    Scene::new(11, Condition::Dusk).render(&view, &mut rgb, &mut thermal).expect("a scene");
    let (w, h) = (width as u32, height as u32);
    (RgbImage::from_raw(w, h, rgb).expect("rgb"), ImageBuffer::from_raw(w, h, thermal).expect("thermal"))
}

/// Saves a pair as `vis/NAME.png` and `ir/NAME.png` below `folder`.
pub(crate) fn save_pair(folder: &Path, name: &str, width: usize, height: usize) -> (PathBuf, PathBuf) {
    let (visible, infrared) = pair(width, height);
    let paths = ["vis", "ir"].map(|d| {
        std::fs::create_dir_all(folder.join(d)).expect("folder");
        folder.join(d).join(format!("{name}.png"))
    });
    visible.save(&paths[0]).expect("saved");
    infrared.save(&paths[1]).expect("saved");
    let [v, i] = paths;
    (v, i)
}

/// A grey picture.
pub(crate) fn grey(width: u32, height: u32, value: u8) -> DynamicImage {
    DynamicImage::ImageLuma8(GrayImage::from_pixel(width, height, Luma([value])))
}

/// The folder of local image pairs, or a loud skip.
pub(crate) fn data(test: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let path = std::env::var_os("FUSIONPROXY_DATA").map_or_else(|| root.join("shared/data"), PathBuf::from);
    if path.join("val").is_dir() {
        return Some(path);
    }
    assert!(
        std::env::var_os("FUSIONPROXY_REQUIRE_DATA").is_none(),
        "{test}: no image pairs at {}",
        path.display()
    );
    eprintln!("SKIPPED {test}: no image pairs at {}", path.display());
    None
}

/// Names of the files in a folder, sorted; hidden ones too.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|f| f.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
