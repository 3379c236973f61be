//! Bands of several workers.

use std::vec;
use std::vec::Vec;

use fusionproxy_format::{DType, Quant};

use super::*;
use crate::{AnySrc, Layout, Pool, Shape};

/// 40 rows of 4 bytes, 4 in each of 10 strips, begun a row early and read two rows ahead.
fn written(offset: usize) -> Written {
    Written { offset, row_bytes: 4, height: 40, rows: Rows { step: 4, lead: 2, back: -1 } }
}

fn tensor(offset: usize) -> Access<'static> {
    let layout = Layout::dense(Shape::new(40, 4, 1));
    let quant = Quant { scale: 1.0, zero_point: 0 };
    Access { dtype: DType::U8, place: Place::Shared(offset), layout, quant }
}

#[test]
fn bands_together_write_every_row_once() {
    for workers in 1..=4 {
        let written = [written(0)];
        let bands = Bands { strips: 10, workers, written: &written, output_strip: 0 };
        for phases in [&[Phase::Begin, Phase::End][..], &[Phase::All]] {
            let mut times = [0; 40];
            for phase in phases {
                for worker in 0..workers {
                    bands.rows_of(&written[0], worker, *phase).for_each(|y| times[y] += 1);
                }
            }
            assert_eq!(times, [1; 40], "{workers} workers, {phases:?}");
        }
    }
}

#[test]
fn a_worker_gets_its_own_rows_to_write_and_no_others_to_read() {
    let (mut memory, mut private, mut output) = (vec![0; 256], vec![0; 128], vec![0; 30]);
    let pool = Pool::new(2).unwrap();
    let task = |band: &mut Band<'_>| {
        let granted = band.granted;
        let own = if granted.strips().start == 0 { 2..19 } else { 22..40 };
        let other = if granted.strips().start == 0 { 22..40 } else { 2..19 };
        assert!(granted.target(&tensor(64), own.clone()).is_some());
        assert!(granted.target(&tensor(64), 0..40).is_none());
        assert!(granted.target(&tensor(0), 0..4).is_none(), "nobody writes there");
        assert!(granted.source(&tensor(0), 0..16).is_some());
        assert!(granted.source(&tensor(64), own).is_some());
        assert!(granted.source(&tensor(64), 19..22).is_some(), "written in the phase before");
        assert!(granted.source(&tensor(64), other.end - 1..other.end).is_none());
        assert!(granted.source(&tensor(256 - 159), 0..1).is_none(), "outside of the memory");
        assert_eq!((band.scratch.len(), band.output.len()), (48, 15));
        band.output.fill(band.granted.strips().end as u8);
    };
    let mut run = |written: &[Written], workers: usize| {
        let bands = Bands { strips: 10, workers, written, output_strip: 3 };
        let mut lent = Lent {
            shared: &mut memory,
            private: &mut private,
            per_worker: 64,
            rings: 16,
            output: &mut output,
        };
        bands.scatter(&pool, Phase::End, &mut lent, &task)
    };
    assert!(run(&[written(64)], 2));
    assert!(!run(&[written(64)], 3), "more workers than there are");
    assert!(!run(&[written(64), written(100)], 2), "they overlap");
    assert!(!run(&[written(100)], 2), "it ends outside of the memory");
    let expected: Vec<u8> = [[5; 15], [10; 15]].concat();
    assert_eq!(output, expected);
    // The bounds of the third band would be small numbers again, and its part of the output another's.
    let bands = Bands { strips: usize::MAX / 2, workers: 3, written: &[], output_strip: 1 };
    let mut lent =
        Lent { shared: &mut [], private: &mut private, per_worker: 0, rings: 0, output: &mut output };
    let run = bands.scatter(&Pool::new(3).unwrap(), Phase::All, &mut lent, &|_| panic!("strips overlap"));
    assert!(!run, "more strips than can be divided");
}

#[test]
#[should_panic = "assertion failed"]
fn a_view_admits_no_row_that_was_not_asked_for() {
    let bands = Bands { strips: 1, workers: 1, written: &[], output_strip: 0 };
    let mut memory = vec![0; 160];
    let mut lent = Lent { shared: &mut memory, private: &mut [], per_worker: 0, rings: 0, output: &mut [] };
    let band = bands.band(0, Phase::All, &mut lent).unwrap();
    let operand = band.granted.source(&tensor(0), 3..7).unwrap();
    let AnySrc::U8(view) = operand.data else { unreachable!("8-bit") };
    assert_eq!(view.get(6, 3, 0), 0);
    view.get(7, 0, 0);
}
