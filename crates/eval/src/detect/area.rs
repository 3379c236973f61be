//! Boxes, and the choice among those that overlap.

/// A box in px: left, top, right, bottom; `x1` and `y1` lie just outside.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Area {
    /// Left.
    pub x0: f32,
    /// Top.
    pub y0: f32,
    /// Right.
    pub x1: f32,
    /// Bottom.
    pub y1: f32,
}

impl Area {
    /// The box around `(cx, cy)` of size `w` by `h`.
    #[must_use]
    pub fn centred(cx: f32, cy: f32, w: f32, h: f32) -> Self {
        Self { x0: cx - w / 2.0, y0: cy - h / 2.0, x1: cx + w / 2.0, y1: cy + h / 2.0 }
    }

    fn size(&self) -> f32 {
        (self.x1 - self.x0).max(0.0) * (self.y1 - self.y0).max(0.0)
    }

    /// Intersection over union, 0…1; 0 where both boxes are empty.
    #[must_use]
    pub fn iou(&self, other: &Self) -> f32 {
        let common = Self {
            x0: self.x0.max(other.x0),
            y0: self.y0.max(other.y0),
            x1: self.x1.min(other.x1),
            y1: self.y1.min(other.y1),
        };
        let union = self.size() + other.size() - common.size();
        if union > 0.0 { common.size() / union } else { 0.0 }
    }
}

/// What a detector says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Number of the class.
    pub class: usize,
    /// Confidence, 0…1.
    pub score: f32,
    /// Where, px of the frame.
    pub area: Area,
}

/// Non-maximum suppression, class by class: keeps the best box of every group that overlaps by more than `iou`. The
/// result falls in score; boxes of equal score keep their order.
#[must_use]
pub fn suppress(mut detections: Vec<Detection>, iou: f32) -> Vec<Detection> {
    detections.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for d in detections {
        if kept.iter().all(|k| k.class != d.class || k.area.iou(&d.area) <= iou) {
            kept.push(d);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x0: f32, score: f32, class: usize) -> Detection {
        Detection { class, score, area: Area { x0, y0: 0.0, x1: x0 + 10.0, y1: 10.0 } }
    }

    #[test]
    fn overlap_by_hand() {
        let a = Area { x0: 0.0, y0: 0.0, x1: 10.0, y1: 10.0 };
        // 50 px of 150 are common.
        assert!((a.iou(&Area { x0: 5.0, y0: 0.0, x1: 15.0, y1: 10.0 }) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(a.iou(&a), 1.0);
        assert_eq!(a.iou(&Area { x0: 10.0, y0: 0.0, x1: 20.0, y1: 10.0 }), 0.0);
        assert_eq!(Area::default().iou(&Area::default()), 0.0);
        assert_eq!(Area::centred(5.0, 5.0, 10.0, 10.0), a);
    }

    #[test]
    fn the_best_of_a_group_stays() {
        // 0 and 2 overlap by 80/120; 8 overlaps 0 by 20/180 and 2 by 40/160.
        let kept = suppress(vec![at(2.0, 0.8, 0), at(0.0, 0.9, 0), at(8.0, 0.7, 0), at(1.0, 0.6, 1)], 0.5);
        assert_eq!(kept, [at(0.0, 0.9, 0), at(8.0, 0.7, 0), at(1.0, 0.6, 1)]);
        // A box that was suppressed suppresses nothing: 4 overlaps 2 by 80/120, but 0 only by 60/140.
        let kept = suppress(vec![at(0.0, 0.9, 0), at(2.0, 0.8, 0), at(4.0, 0.7, 0)], 0.5);
        assert_eq!(kept.len(), 2);
        assert!(suppress(Vec::new(), 0.5).is_empty());
    }
}
