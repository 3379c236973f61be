//! Raw outputs of detectors.

use super::{Anchor, Area, Detection};

/// Steps of the three grids, px of the input.
const STRIDES: [usize; 3] = [8, 16, 32];

/// The form of a detector's output, told from its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// YOLOX (Ge et al., arXiv 2107.08430), undecoded: `[1, cells, 5 + classes]` with `tx ty tw th objectness class…`;
    /// centre `(t + cell) · stride`, size `exp(t) · stride`. Input BGR, 0…255, at the top left.
    Yolox {
        /// Number of classes.
        classes: usize,
    },
    /// YOLOv8 (Ultralytics): `[1, 4 + classes, cells]` with `cx cy w h class…` in px. Input RGB, 0…1, in the middle.
    Yolov8 {
        /// Number of classes.
        classes: usize,
    },
}

/// An output that is neither's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the output {shape:?} of a detector with an input of {width}x{height} px is neither YOLOX's [1, {cells}, 5 + classes] \
     nor YOLOv8's [1, 4 + classes, {cells}]; export the network without post-processing"
)]
pub struct HeadError {
    shape: Vec<usize>,
    width: usize,
    height: usize,
    cells: usize,
}

/// Cells of all grids.
fn cells((width, height): (usize, usize)) -> usize {
    STRIDES.iter().map(|s| (width / s) * (height / s)).sum()
}

impl Head {
    /// The form of an output of `shape` for an input of `input` (width, height; px).
    ///
    /// # Errors
    /// [`HeadError`] when it has neither form.
    pub fn of(shape: &[usize], input: (usize, usize)) -> Result<Self, HeadError> {
        let cells = cells(input);
        match *shape {
            [1, n, values] if n == cells && values > 5 => Ok(Self::Yolox { classes: values - 5 }),
            [1, values, n] if n == cells && values > 4 => Ok(Self::Yolov8 { classes: values - 4 }),
            _ => Err(HeadError { shape: shape.to_vec(), width: input.0, height: input.1, cells }),
        }
    }

    /// Number of classes.
    #[must_use]
    pub const fn classes(&self) -> usize {
        match self {
            Self::Yolox { classes } | Self::Yolov8 { classes } => *classes,
        }
    }

    /// Where the network expects the frame in its input.
    #[must_use]
    pub const fn anchor(&self) -> Anchor {
        match self {
            Self::Yolox { .. } => Anchor::TopLeft,
            Self::Yolov8 { .. } => Anchor::Centre,
        }
    }

    /// Planes R, G, B of 0…255 turned into what the network takes.
    pub fn prepare(&self, planes: &mut [f32]) {
        match self {
            Self::Yolox { .. } => {
                let plane = planes.len() / 3;
                let (red, rest) = planes.split_at_mut(plane);
                red.swap_with_slice(&mut rest[plane..]);
            }
            Self::Yolov8 { .. } => planes.iter_mut().for_each(|v| *v /= 255.0),
        }
    }

    /// Boxes in px of the input, one for each cell and class whose score reaches `least`. `output` has the shape that
    /// [`Head::of`] was given.
    #[must_use]
    pub fn read(&self, output: &[f32], input: (usize, usize), least: f32) -> Vec<Detection> {
        let (cells, classes) = (cells(input), self.classes());
        let mut found = Vec::new();
        let mut take = |area: Area, class: usize, score: f32| {
            if score >= least {
                found.push(Detection { class, score, area });
            }
        };
        match self {
            Self::Yolox { .. } => {
                let grid = STRIDES.iter().flat_map(|&s| {
                    let (columns, rows) = (input.0 / s, input.1 / s);
                    (0..rows).flat_map(move |y| (0..columns).map(move |x| (x as f32, y as f32, s as f32)))
                });
                for (cell, (x, y, stride)) in output.chunks_exact(5 + classes).zip(grid) {
                    let (cx, cy) = ((cell[0] + x) * stride, (cell[1] + y) * stride);
                    let area =
                        Area::centred(cx, cy, libm::expf(cell[2]) * stride, libm::expf(cell[3]) * stride);
                    for (class, p) in cell[5..].iter().enumerate() {
                        take(area, class, cell[4] * p);
                    }
                }
            }
            Self::Yolov8 { .. } => {
                let at = |row: usize, cell: usize| output[row * cells + cell];
                for cell in 0..cells {
                    let area = Area::centred(at(0, cell), at(1, cell), at(2, cell), at(3, cell));
                    for class in 0..classes {
                        take(area, class, at(4 + class, cell));
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 64x32 px: 8x4 + 4x2 + 2x1 cells.
    const INPUT: (usize, usize) = (64, 32);
    const CELLS: usize = 42;

    #[test]
    fn forms() {
        assert_eq!(Head::of(&[1, CELLS, 7], INPUT), Ok(Head::Yolox { classes: 2 }));
        assert_eq!(Head::of(&[1, 6, CELLS], INPUT), Ok(Head::Yolov8 { classes: 2 }));
        assert_eq!(Head::of(&[1, 3549, 85], (416, 416)), Ok(Head::Yolox { classes: 80 }));
        assert_eq!(Head::of(&[1, 84, 8400], (640, 640)), Ok(Head::Yolov8 { classes: 80 }));
        for shape in [&[1, 41, 7][..], &[CELLS, 7], &[2, CELLS, 7], &[1, 6, CELLS, 1], &[1, 5, 40]] {
            assert!(Head::of(shape, INPUT).unwrap_err().to_string().contains("64x32"), "{shape:?}");
        }
    }

    #[test]
    fn yolox_cells_are_decoded() {
        let mut output = vec![0.0; CELLS * 7];
        // The first cell of the second grid, whose step is 16: column 0, row 0. And the last of the first: (7, 3).
        let first = 32 * 7;
        output[first..first + 7].copy_from_slice(&[0.5, 0.25, 0.0, core::f32::consts::LN_2, 0.8, 0.5, 0.1]);
        let last = 31 * 7;
        output[last..last + 7].copy_from_slice(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.3]);
        let head = Head::Yolox { classes: 2 };
        let found = head.read(&output, INPUT, 0.2);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].class, found[0].score), (1, 0.3));
        assert_eq!(found[0].area, Area::centred(64.0, 24.0, 8.0, 8.0));
        assert_eq!((found[1].class, found[1].score), (0, 0.4));
        let Area { x0, y0, x1, y1 } = found[1].area;
        assert_eq!((x0, x1), (0.0, 16.0));
        assert!((y0 - -12.0).abs() < 1e-4 && (y1 - 20.0).abs() < 1e-4);
        let mut planes = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        head.prepare(&mut planes);
        assert_eq!(planes, [5.0, 6.0, 3.0, 4.0, 1.0, 2.0]);
    }

    #[test]
    fn yolov8_columns_are_read() {
        let mut output = vec![0.0; 6 * CELLS];
        for (row, v) in [10.0, 20.0, 4.0, 8.0, 0.1, 0.9].into_iter().enumerate() {
            output[row * CELLS + 5] = v;
        }
        let head = Head::Yolov8 { classes: 2 };
        let found = head.read(&output, INPUT, 0.25);
        assert_eq!(
            found,
            [Detection { class: 1, score: 0.9, area: Area { x0: 8.0, y0: 16.0, x1: 12.0, y1: 24.0 } }]
        );
        let mut planes = [255.0, 0.0, 51.0];
        head.prepare(&mut planes);
        assert_eq!(planes, [1.0, 0.0, 0.2]);
    }
}
