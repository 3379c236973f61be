//! Average precision and recall.

use super::{Detection, Label};

/// Overlap from which a detection has found a label.
const IOU: f32 = 0.5;
/// Score from which a detection counts for recall.
pub const RECALL_SCORE: f32 = 0.25;

/// What was detected in one frame, and what is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// The detector's boxes, after suppression.
    pub found: Vec<Detection>,
    /// The boxes that are there, with the detector's class numbers.
    pub labels: Vec<Label>,
}

/// How well a detector does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectionScores {
    /// AP50: mean over the classes that occur of the average precision at an overlap of 0.5.
    pub ap50: f64,
    /// Share of all labels that a detection with a score of at least [`RECALL_SCORE`] found.
    pub recall: f64,
    /// Labels.
    pub labels: usize,
}

/// Scores a detector over frames; `None` when there is no label.
///
/// Detections of a class are taken over all frames in falling score. Each finds the free label of its frame and class that
/// it overlaps most, if by 0.5 or more, and is false otherwise. Average precision is the area under the precision-recall
/// curve whose precision was made non-increasing (PASCAL VOC 2010 and later: every point, not eleven).
#[must_use]
pub fn score(frames: &[Judged]) -> Option<DetectionScores> {
    let mut classes: Vec<usize> = frames.iter().flat_map(|f| f.labels.iter().map(|l| l.class)).collect();
    let labels = classes.len();
    classes.sort_unstable();
    classes.dedup();
    if classes.is_empty() {
        return None;
    }
    let (mut ap, mut recalled) = (0.0, 0);
    for &class in &classes {
        let (precision, found) = of_class(frames, class);
        ap += precision;
        recalled += found;
    }
    Some(DetectionScores { ap50: ap / classes.len() as f64, recall: recalled as f64 / labels as f64, labels })
}

/// Average precision of a class, and the labels found with a score of at least [`RECALL_SCORE`].
fn of_class(frames: &[Judged], class: usize) -> (f64, usize) {
    let mut ranked: Vec<(usize, &Detection)> = frames
        .iter()
        .enumerate()
        .flat_map(|(i, f)| f.found.iter().filter(|d| d.class == class).map(move |d| (i, d)))
        .collect();
    ranked.sort_by(|(_, a), (_, b)| b.score.total_cmp(&a.score));
    let mut free: Vec<Vec<&Label>> =
        frames.iter().map(|f| f.labels.iter().filter(|l| l.class == class).collect()).collect();
    let labels: usize = free.iter().map(Vec::len).sum();

    // Precision after each detection that is true.
    let (mut found, mut recalled, mut precisions) = (0, 0, Vec::new());
    for (rank, (frame, d)) in ranked.into_iter().enumerate() {
        let overlaps = free[frame].iter().map(|l| l.area.iou(&d.area)).enumerate();
        if let Some((best, _)) = overlaps.filter(|(_, o)| *o >= IOU).max_by(|(_, a), (_, b)| a.total_cmp(b)) {
            free[frame].swap_remove(best);
            found += 1;
            recalled += usize::from(d.score >= RECALL_SCORE);
            precisions.push(f64::from(found) / (rank + 1) as f64);
        }
    }
    // From the right: the best precision at this recall or a higher one. Each step of recall is one label.
    let (mut area, mut best) = (0.0, 0.0_f64);
    for p in precisions.into_iter().rev() {
        best = best.max(p);
        area += best;
    }
    (area / labels as f64, recalled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Area;

    fn area(x0: f32) -> Area {
        Area { x0, y0: 0.0, x1: x0 + 10.0, y1: 10.0 }
    }
    fn label(x0: f32, class: usize) -> Label {
        Label { class, area: area(x0) }
    }
    fn found(x0: f32, class: usize, score: f32) -> Detection {
        Detection { class, score, area: area(x0) }
    }
    fn scores(frames: &[Judged]) -> (f64, f64) {
        let s = score(frames).unwrap();
        (s.ap50, s.recall)
    }

    #[test]
    fn perfect_and_nothing() {
        let labels = vec![label(0.0, 0), label(50.0, 1)];
        let perfect = Judged { found: vec![found(0.0, 0, 0.9), found(50.0, 1, 0.3)], labels: labels.clone() };
        assert_eq!(scores(&[perfect]), (1.0, 1.0));
        assert_eq!(scores(&[Judged { found: vec![], labels }]), (0.0, 0.0));
        assert_eq!(score(&[Judged { found: vec![found(0.0, 0, 0.9)], labels: vec![] }]), None);
    }

    #[test]
    fn precision_falls_with_false_boxes_before_true_ones() {
        // In falling score: true, false, true, of three labels. Precision 1 up to recall 1/3, 2/3 up to 2/3, then none.
        let frame = Judged {
            found: vec![found(0.0, 0, 0.9), found(200.0, 0, 0.8), found(50.0, 0, 0.1)],
            labels: vec![label(0.0, 0), label(50.0, 0), label(100.0, 0)],
        };
        let (ap, recall) = scores(&[frame]);
        assert!((ap - (1.0 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
        // The third detection's score is below the recall threshold.
        assert!((recall - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn the_envelope_looks_to_higher_recall() {
        // False, true, true: precision 1/2 at recall 1/2, 2/3 at recall 1, so 2/3 throughout.
        let frame = Judged {
            found: vec![found(200.0, 0, 0.9), found(0.0, 0, 0.8), found(50.0, 0, 0.7)],
            labels: vec![label(0.0, 0), label(50.0, 0)],
        };
        assert!((scores(&[frame]).0 - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_label_is_found_once_and_classes_and_frames_are_apart() {
        let twice =
            Judged { found: vec![found(0.0, 0, 0.9), found(1.0, 0, 0.8)], labels: vec![label(0.0, 0)] };
        assert_eq!(scores(std::slice::from_ref(&twice)), (1.0, 1.0));
        // The better one second: still one true and one false, the false one later.
        let other_class = Judged { found: vec![found(0.0, 1, 0.9)], labels: vec![label(0.0, 0)] };
        assert_eq!(scores(&[other_class]), (0.0, 0.0));
        let frames = [
            Judged { found: vec![found(0.0, 0, 0.9)], labels: vec![] },
            Judged { found: vec![], labels: vec![label(0.0, 0)] },
        ];
        assert_eq!(scores(&frames), (0.0, 0.0));
        // Means over classes, not over boxes: class 0 perfect with one label, class 1 one of two.
        let mixed = Judged {
            found: vec![found(0.0, 0, 0.9), found(0.0, 1, 0.9)],
            labels: vec![label(0.0, 0), label(0.0, 1), label(50.0, 1)],
        };
        let (ap, recall) = scores(&[mixed]);
        assert!((ap - 0.75).abs() < 1e-12 && (recall - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn overlap_decides() {
        // 10 px wide, moved by 3: 70/130 = 0.54; by 4: 60/140 = 0.43.
        let at = |x| Judged { found: vec![found(x, 0, 0.9)], labels: vec![label(0.0, 0)] };
        assert_eq!((scores(&[at(3.0)]).0, scores(&[at(4.0)]).0), (1.0, 0.0));
    }
}
