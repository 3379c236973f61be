//! Folders of image pairs as the networks see them.

use std::path::Path;

use anyhow::{Context, Result, bail};
use fusionproxy_compiler::CalibrationPair;
use fusionproxy_core::align::Warp;
use fusionproxy_core::frame::{FrameInfo, InfraredFormat, InfraredFrame, Plane};
use fusionproxy_core::gain::{Follow, GainControl, GainSettings};
use fusionproxy_eval::pairs::{Infrared, Pair, Pairing, Samples};
use indicatif::{ProgressBar, ProgressStyle};

/// A bar that its owner gives a length and messages.
pub(crate) fn progress_bar(hidden: bool) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")?;
    Ok(if hidden { ProgressBar::hidden() } else { ProgressBar::new(1).with_style(style) })
}

/// Up to `most` pairs of `folder`, spread evenly; `option` is what the user gave it by.
pub(crate) fn load(option: &str, folder: &Path, most: usize, quiet: bool) -> Result<Vec<CalibrationPair>> {
    let found = Pairing::under(folder).with_context(|| {
        format!("{option} {} needs the folders vis and ir with pairs of images", folder.display())
    })?;
    if let Some(notice) = found.notice() {
        eprintln!("notice: {notice}");
    }
    let all = found.pairs.len();
    let take = most.min(all);
    let bar = progress_bar(quiet)?;
    bar.set_message("loading pairs");
    bar.set_length(take as u64);
    let mut pairs = Vec::with_capacity(take);
    let mut notices = Vec::new();
    for i in 0..take {
        let (pair, notice) = prepare(&found.pairs[i * all / take])?;
        notices.extend(notice.map(|text| format!("{}: {text}", pair.name)));
        pairs.push(pair);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(first) = notices.first() {
        let rest = notices.len() - 1;
        let others = if rest > 0 { format!(" (and {rest} more like it)") } else { String::new() };
        eprintln!("notice: {option} {}: {first}{others}", folder.display());
    }
    Ok(pairs)
}

/// What a user should know of an infrared image that is taken for the same view as a visible one of `width` x `height` px.
pub(crate) fn notice(infrared: &Infrared, (width, height): (usize, usize)) -> Option<String> {
    let (w, h) = (infrared.width, infrared.height);
    if (w, h) != (width, height) {
        return Some(format!(
            "the infrared image is {w}x{h}, stretched to the visible one's {width}x{height}"
        ));
    }
    infrared
        .false_colour
        .then(|| "the infrared image is in false colour; its luma was taken, export it in grey".into())
}

/// 8-bit infrared in visible geometry, and what a user should know of it.
fn prepare(pair: &Pair) -> Result<(CalibrationPair, Option<String>)> {
    let (visible, infrared) = pair.load()?;
    let (w, h) = (infrared.width, infrared.height);
    let (wide, high) = (visible.width * h, visible.height * w);
    // A pixel or two of rounding is no other view.
    if wide.abs_diff(high) * 50 > wide.max(high) {
        bail!(
            "{}: the infrared image is {w}x{h} and the visible one {}x{}, so they show different views; crop both to the same one first",
            pair.name,
            visible.width,
            visible.height
        );
    }
    let notice = notice(&infrared, (visible.width, visible.height));
    let mut grey = match infrared.samples {
        Samples::Grey8(grey) => grey,
        Samples::Grey16(samples) => {
            let words: Vec<u8> = samples.iter().flat_map(|v| v.to_le_bytes()).collect();
            let frame = InfraredFrame::new(InfraredFormat::Y16, w, h, w * 2, &words, FrameInfo::STILL)?;
            let mut gain = GainControl::new(GainSettings::STILL)?;
            gain.observe(&frame, Follow::Afresh);
            let mut grey = vec![0; w * h];
            gain.apply(&frame, 0..h, &mut grey, w)?;
            grey
        }
    };
    let size = (visible.width, visible.height);
    if (w, h) != size {
        let mut stretched = vec![0; size.0 * size.1];
        Warp::resize((w, h), size)?.run(&Plane::new(w, h, w, &grey)?, 0..size.1, &mut stretched, size.0)?;
        grey = stretched;
    }
    if grey.is_empty() {
        bail!("{} is empty", pair.infrared.display());
    }
    let (name, visible_rgb) = (pair.name.clone(), visible.data);
    Ok((CalibrationPair { name, width: size.0, height: size.1, visible_rgb, infrared: grey }, notice))
}
