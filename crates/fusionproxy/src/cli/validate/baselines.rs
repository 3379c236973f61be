//! Fusion without a student: single bands, pixel rules, the teachers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fusionproxy_compiler::CalibrationPair;
use fusionproxy_core::colour::luma_of;
use fusionproxy_eval::pairs::load_visible;
use image::imageops::{FilterType, resize};
use image::{GrayImage, RgbImage};

use super::Frames;

/// Name of the mean over the teachers' samples.
pub(super) const MEAN: &str = "ensemble mean";

fn frames(name: &str, luma: Vec<Vec<u8>>) -> Frames {
    Frames {
        name: name.to_owned(),
        precision: None,
        params: None,
        artifact_bytes: None,
        luma,
        times: Vec::new(),
        grey: name == "infrared",
    }
}

/// Luma of a pair's visible frame.
pub(crate) fn visible(pair: &CalibrationPair) -> Vec<u8> {
    pair.visible_rgb.as_chunks::<3>().0.iter().map(|p| luma_of(*p)).collect()
}

/// Visible, infrared, their average (rounded up at a half) and their maximum.
pub(super) fn simple(pairs: &[CalibrationPair]) -> [Frames; 4] {
    let combined = |f: fn(u8, u8) -> u8| -> Vec<Vec<u8>> {
        let of = |p: &CalibrationPair| {
            visible(p).into_iter().zip(p.infrared.iter().copied()).map(|(v, i)| f(v, i)).collect()
        };
        pairs.iter().map(of).collect()
    };
    [
        frames("visible", combined(|v, _| v)),
        frames("infrared", combined(|_, i| i)),
        frames("average", combined(|v, i| v.max(i) - v.abs_diff(i) / 2)),
        frames("maximum", combined(u8::max)),
    ]
}

/// The teachers' pictures in `folder`: `TEACHER/NAME.EXT`, or several samples `TEACHER/NAME.SAMPLE.EXT`, each of which is
/// a method of its own. Pictures of another size than their pair are resized, as the pairs were.
pub(super) fn teachers(folder: &Path, pairs: &[CalibrationPair]) -> Result<Vec<Frames>> {
    let list = |dir: &Path| -> Result<Vec<PathBuf>> {
        let entries =
            std::fs::read_dir(dir).with_context(|| format!("cannot list --teachers {}", dir.display()))?;
        let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    let mut all = Vec::new();
    for dir in list(folder)?.into_iter().filter(|p| p.is_dir()) {
        let teacher = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Sample to file, for each pair.
        let mut samples: BTreeMap<String, BTreeMap<usize, PathBuf>> = BTreeMap::new();
        for path in list(&dir)? {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let of_pair = |name: &str| match stem.strip_prefix(name)? {
                "" => Some(String::new()),
                rest => rest.strip_prefix('.').map(str::to_owned),
            };
            if let Some((i, sample)) =
                pairs.iter().enumerate().find_map(|(i, p)| Some((i, of_pair(&p.name)?)))
            {
                samples.entry(sample).or_default().insert(i, path);
            }
        }
        for (sample, files) in samples {
            if let Some(i) = (0..pairs.len()).find(|i| !files.contains_key(i)) {
                bail!("teacher {teacher} {sample} has no picture of {} in {}", pairs[i].name, dir.display());
            }
            let luma = files.iter().map(|(i, path)| picture(path, &pairs[*i])).collect::<Result<_>>()?;
            all.push(frames(format!("{teacher} {sample}").trim(), luma));
        }
    }
    if all.is_empty() {
        bail!(
            "--teachers {} has no TEACHER/NAME.png for these pairs, such as {}",
            folder.display(),
            folder.join("seafusion").join(&pairs[0].name).with_extension("png").display()
        );
    }
    Ok(all)
}

fn picture(path: &Path, pair: &CalibrationPair) -> Result<Vec<u8>> {
    let loaded = load_visible(path)?;
    let luma = loaded.luma();
    if (loaded.width, loaded.height) == (pair.width, pair.height) {
        return Ok(luma);
    }
    grey(luma, (loaded.width, loaded.height), (pair.width, pair.height))
}

/// Mean of the teachers' samples, pixel by pixel.
pub(super) fn mean(teachers: &[Frames], pairs: usize) -> Option<Frames> {
    if teachers.len() < 2 {
        return None;
    }
    let n = teachers.len();
    let of = |pair: usize| {
        let pixels = teachers[0].luma[pair].len();
        let sum = |px: usize| teachers.iter().map(|t| usize::from(t.luma[pair][px])).sum::<usize>();
        (0..pixels).map(|px| ((sum(px) + n / 2) / n) as u8).collect()
    };
    Some(frames(MEAN, (0..pairs).map(of).collect()))
}

/// A pair whose sides are at most `most` px, scaled by a triangle filter as wide as the scale.
pub(super) fn scaled(pair: &CalibrationPair, most: usize) -> Result<CalibrationPair> {
    let (w, h) = (pair.width, pair.height);
    let longest = w.max(h);
    if longest <= most {
        return Ok(pair.clone());
    }
    let side = |n: usize| ((n * most + longest / 2) / longest).max(1);
    let (width, height) = (side(w), side(h));
    let rgb = RgbImage::from_raw(w as u32, h as u32, pair.visible_rgb.clone())
        .context("a pair has another size than its frame")?;
    Ok(CalibrationPair {
        name: pair.name.clone(),
        width,
        height,
        visible_rgb: resize(&rgb, width as u32, height as u32, FilterType::Triangle).into_raw(),
        infrared: grey(pair.infrared.clone(), (w, h), (width, height))?,
    })
}

fn grey(luma: Vec<u8>, from: (usize, usize), to: (usize, usize)) -> Result<Vec<u8>> {
    let image =
        GrayImage::from_raw(from.0 as u32, from.1 as u32, luma).context("a picture has another size")?;
    Ok(resize(&image, to.0 as u32, to.1 as u32, FilterType::Triangle).into_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(width: usize, height: usize, vis: u8, ir: u8) -> CalibrationPair {
        let px = width * height;
        CalibrationPair {
            name: "a".into(),
            width,
            height,
            visible_rgb: vec![vis; px * 3],
            infrared: vec![ir; px],
        }
    }

    #[test]
    fn pixel_rules() {
        let all = simple(&[pair(2, 1, 10, 13)]);
        let values = all.map(|f| (f.name, f.luma[0][0]));
        let want = [("visible", 10), ("infrared", 13), ("average", 12), ("maximum", 13)];
        assert_eq!(values, want.map(|(n, v)| (n.to_owned(), v)));
    }

    #[test]
    fn teachers_are_samples_and_their_mean() {
        let dir = tempfile::tempdir().expect("a folder");
        let t = dir.path().join("t");
        std::fs::create_dir(&t).expect("a folder");
        for (name, v) in [("a.1.png", 10), ("a.2.png", 13), ("other.png", 0)] {
            GrayImage::from_pixel(4, 2, image::Luma([v])).save(t.join(name)).expect("saved");
        }
        let pairs = [pair(2, 1, 0, 0)];
        let found = teachers(dir.path(), &pairs).expect("teachers");
        let names: Vec<&str> = found.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["t 1", "t 2"]);
        let mean = mean(&found, 1).expect("a mean");
        assert_eq!((mean.name.as_str(), &mean.luma[0][..]), ("ensemble mean", &[12, 12][..]));
        let error = teachers(&t, &pairs).err().expect("no folders").to_string();
        assert!(error.contains("seafusion"), "{error}");
        std::fs::remove_file(t.join("a.2.png")).expect("removed");
        let two = [pair(2, 1, 0, 0), CalibrationPair { name: "b".into(), ..pair(2, 1, 0, 0) }];
        let error = teachers(dir.path(), &two).err().expect("one is missing").to_string();
        assert!(error.contains("no picture of b"), "{error}");
    }

    #[test]
    fn scaling_keeps_proportions() {
        let small = scaled(&pair(640, 480, 7, 9), 160).expect("scaled");
        assert_eq!((small.width, small.height), (160, 120));
        assert_eq!((small.visible_rgb.len(), small.infrared.len()), (160 * 120 * 3, 160 * 120));
        assert!(small.infrared.iter().all(|v| *v == 9) && small.visible_rgb.iter().all(|v| *v == 7));
        assert_eq!(scaled(&small, 160).expect("unchanged"), small);
    }
}
