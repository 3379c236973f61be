//! Frames as the cameras gave them, for `fusionproxy calibrate`: `vis/NAME` and `ir/NAME` of one moment each.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use fusionproxy_board::rig::Pair;
use fusionproxy_core::colour;
use fusionproxy_core::frame::{FrameError, InfraredFormat, InfraredFrame, VisibleFrame};
use fusionproxy_core::gain::Follow;
use fusionproxy_core::health::SensorState;
use image::ExtendedColorType;

use super::folder::{Folder, FolderError};
use crate::config::Pairs;
use crate::log;

/// Takes pairs out of the fusion loop.
pub(crate) struct Recorder {
    every: u64,
    tolerance_us: u64,
    /// Pairs of one moment since the last that was taken.
    passed: u64,
    writer: SyncSender<RawPair>,
}

impl Recorder {
    /// Makes the folders and starts writing.
    pub(crate) fn start(config: &Pairs, tolerance_us: u64) -> Result<Self, FolderError> {
        let open = |band| {
            let folder = config.folder.join(band);
            Folder::open(folder.clone(), "pair", ".png", config.keep).map_err(|source| FolderError {
                section: "pairs",
                folder,
                source,
            })
        };
        let folders = Folders { visible: open("vis")?, infrared: open("ir")? };
        // One pair may wait while another is written; while both are, the fusion misses its turn.
        let (writer, pairs) = sync_channel(1);
        let at = |source| FolderError { section: "pairs", folder: config.folder.clone(), source };
        let place = config.folder.display().to_string();
        let thread = thread::Builder::new().name("pairs".to_owned());
        thread.spawn(move || folders.run(&pairs, &place)).map_err(at)?;
        Ok(Self { every: config.every, tolerance_us, passed: 0, writer })
    }

    /// Takes the pair if its turn has come and both cameras took it at the same moment.
    pub(crate) fn offer(&mut self, pair: &Pair<'_>) {
        let (Some(visible), Some(infrared)) = (&pair.visible, &pair.infrared) else { return };
        let healthy = (pair.status.visible, pair.status.infrared) == (SensorState::Ok, SensorState::Ok);
        let apart_us = visible.info().timestamp_us.abs_diff(infrared.info().timestamp_us);
        if !healthy || pair.follow == Follow::Not || apart_us > self.tolerance_us {
            return;
        }
        self.passed += 1;
        if self.passed >= self.every {
            self.passed = 0;
            if let Ok(raw) = RawPair::of(visible, infrared) {
                // A disk that is slower than the cameras misses pairs and holds up nobody.
                let _ = self.writer.try_send(raw);
            }
        }
    }
}

/// A pair that waits to be written.
struct RawPair {
    visible: Raw,
    infrared: Raw,
}

/// A frame without its padding, in the colours of a PNG.
struct Raw {
    data: Vec<u8>,
    size: (usize, usize),
    colour: ExtendedColorType,
}

impl RawPair {
    fn of(visible: &VisibleFrame<'_>, infrared: &InfraredFrame<'_>) -> Result<Self, FrameError> {
        let size = (visible.width(), visible.height());
        let mut rgb = vec![0; size.0 * size.1 * 3];
        colour::rgb(visible, 0..size.1, &mut rgb, size.0 * 3)?;
        let visible = Raw { data: rgb, size, colour: ExtendedColorType::Rgb8 };
        let size = (infrared.width(), infrared.height());
        let mut data: Vec<u8> = (0..size.1).flat_map(|y| infrared.row(y)).copied().collect();
        let colour = match infrared.format() {
            InfraredFormat::Grey8 => ExtendedColorType::L8,
            InfraredFormat::Y14 | InfraredFormat::Y16 => {
                for word in data.as_chunks_mut::<2>().0 {
                    *word = u16::from_le_bytes(*word).to_ne_bytes();
                }
                ExtendedColorType::L16
            }
        };
        Ok(Self { visible, infrared: Raw { data, size, colour } })
    }
}

impl Raw {
    fn png(&self) -> io::Result<Vec<u8>> {
        super::png(&self.data, self.size, self.colour)
    }
}

/// Where pairs are written.
struct Folders {
    visible: Folder,
    infrared: Folder,
}

impl Folders {
    /// Writes until the fusion ends.
    fn run(mut self, pairs: &Receiver<RawPair>, place: &str) {
        let mut repeats = log::Repeats::default();
        for pair in pairs {
            if let Err(e) = self.write(&pair) {
                repeats.warn(format_args!("cannot write pairs to {place}: {e}"));
            }
        }
    }

    fn write(&mut self, pair: &RawPair) -> io::Result<()> {
        let name = format!("pair-{}.png", std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis());
        let (visible, infrared) = (pair.visible.png()?, pair.infrared.png()?);
        self.visible.write(&name, &visible)?;
        // A half of a pair is of no use.
        self.infrared.write(&name, &infrared).inspect_err(|_| self.visible.take_back())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use fusionproxy_core::frame::{FrameInfo, VisibleFormat};
    use fusionproxy_core::health::Status;
    use image::DynamicImage;

    use super::*;

    const VISIBLE: [u8; 6] = [200, 10, 20, 30, 40, 50];
    const COUNTS: [u16; 2] = [0x1234, 0x3fff];

    /// What may be wrong with a pair.
    #[derive(Clone, Copy, Default)]
    struct Flaw {
        visible_gone: bool,
        infrared: Option<SensorState>,
        seen_before: bool,
        apart_us: u64,
    }

    fn offer(recorder: &mut Recorder, flaw: Flaw) {
        let words = COUNTS.map(u16::to_le_bytes);
        let info = |timestamp_us| FrameInfo { timestamp_us, ..FrameInfo::STILL };
        let visible = VisibleFrame::new(VisibleFormat::Rgb8, 2, 1, 6, &VISIBLE, info(1_000_000));
        let later = info(1_000_000 + flaw.apart_us);
        let infrared = InfraredFrame::new(InfraredFormat::Y14, 1, 2, 2, words.as_flattened(), later);
        recorder.offer(&Pair {
            visible: visible.ok().filter(|_| !flaw.visible_gone),
            infrared: infrared.ok(),
            follow: if flaw.seen_before { Follow::Not } else { Follow::Smoothly },
            status: Status {
                visible: SensorState::Ok,
                infrared: flaw.infrared.unwrap_or(SensorState::Ok),
                scene_shift: false,
                gain_held: false,
                infrared_unused: false,
                monitored: false,
                visible_age_ms: 0,
                infrared_age_ms: 0,
            },
        });
    }

    fn pictures(folder: &Path) -> Vec<(String, DynamicImage)> {
        let files = fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
        let mut pictures: Vec<_> = files
            .filter(|path| path.extension().is_some_and(|e| e == "png"))
            .map(|path| {
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                (name, image::open(&path).expect("a picture"))
            })
            .collect();
        pictures.sort_by(|(a, _), (b, _)| a.cmp(b));
        pictures
    }

    #[test]
    fn every_so_many_pairs_of_one_moment_one_is_written_as_it_came() {
        let place = tempfile::tempdir().expect("a folder");
        let config = Pairs { folder: place.path().join("pairs"), every: 3, keep: 9 };
        let mut recorder = Recorder::start(&config, 20_000).expect("starts");
        let good = Flaw { apart_us: 20_000, ..Flaw::default() };
        offer(&mut recorder, good);
        offer(&mut recorder, good);
        // None of these counts, or the third would be written.
        offer(&mut recorder, Flaw { visible_gone: true, ..good });
        offer(&mut recorder, Flaw { infrared: Some(SensorState::Ffc), ..good });
        offer(&mut recorder, Flaw { infrared: Some(SensorState::Stale), ..good });
        offer(&mut recorder, Flaw { seen_before: true, ..good });
        offer(&mut recorder, Flaw { apart_us: 20_001, ..good });
        thread::sleep(Duration::from_millis(50));
        assert_eq!(pictures(&config.folder.join("vis")), []);
        for (pairs, written) in [(1, 1), (3, 2)] {
            (0..pairs).for_each(|_| offer(&mut recorder, good));
            let start = Instant::now();
            while pictures(&config.folder.join("ir")).len() < written {
                assert!(start.elapsed() < Duration::from_secs(20), "not written");
                thread::sleep(Duration::from_millis(10));
            }
        }
        let (visible, infrared) = (pictures(&config.folder.join("vis")), pictures(&config.folder.join("ir")));
        assert_eq!((visible.len(), infrared.len()), (2, 2));
        for ((name, visible), (partner, infrared)) in visible.iter().zip(&infrared) {
            assert_eq!(name, partner);
            assert_eq!((visible.width(), infrared.width()), (2, 1));
            assert_eq!(visible.as_rgb8().map(|p| p.as_raw().as_slice()), Some(VISIBLE.as_slice()));
            assert_eq!(infrared.as_luma16().map(|p| p.as_raw().as_slice()), Some(COUNTS.as_slice()));
        }
    }

    #[test]
    fn half_a_pair_is_taken_back() {
        let place = tempfile::tempdir().expect("a folder");
        let open = |band| Folder::open(place.path().join(band), "pair", ".png", 9).expect("opened");
        let mut folders = Folders { visible: open("vis"), infrared: open("ir") };
        let raw = || Raw { data: vec![7], size: (1, 1), colour: ExtendedColorType::L8 };
        let pair = RawPair { visible: raw(), infrared: raw() };
        fs::remove_dir_all(place.path().join("ir")).expect("removed");
        folders.write(&pair).expect_err("no folder");
        assert_eq!(pictures(&place.path().join("vis")), []);
        fs::create_dir(place.path().join("ir")).expect("a folder");
        folders.write(&pair).expect("written");
        assert_eq!(pictures(&place.path().join("vis")), pictures(&place.path().join("ir")));
    }
}
