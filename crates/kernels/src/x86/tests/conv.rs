//! Convolutions.

use std::format;
use std::vec::Vec;

use fusionproxy_format::{
    Activation, Conv, ConvGeometry, ConvWeights, DType, Finish, Op, Window, packed_row, packed_weights_len,
};

use super::support::{Random, Tensor, compare};
use crate::Shape;

fn weights(r: &mut Random, g: &ConvGeometry) -> Vec<i8> {
    let mut w: Vec<i8> = r.bytes(packed_weights_len(g, true)).into_iter().map(|b| b as i8).collect();
    // -128 is never emitted: symmetric weights.
    w.iter_mut().for_each(|w| *w = (*w).max(-127));
    if g.depthwise() {
        return w;
    }
    // The padding of packed rows is zero by the format.
    let kw = usize::from(g.window.kernel[1]);
    let inputs = g.input_channels / g.groups;
    let row = packed_row(kw, inputs);
    for (i, w) in w.iter_mut().enumerate() {
        let (quad, k) = (i / 64, i % 4);
        if quad * 4 % row + k >= kw * inputs {
            *w = 0;
        }
    }
    w
}

fn check(r: &mut Random, g: &ConvGeometry, input: (usize, usize)) {
    let [h, w] = [g.window.output(input.0, 0), g.window.output(input.1, 1)];
    let (Some(h), Some(w)) = (h, w) else { return };
    let x = Tensor::new(r, DType::U8, Shape::new(input.0, input.1, g.input_channels));
    let y = Tensor::new(r, DType::U8, Shape::new(h, w, g.output_channels));
    let slots = g.channel_slots();
    let packed = weights(r, g);
    let bias: Vec<i32> = (0..slots).map(|_| (r.unit() * 20_000.0) as i32).collect();
    let large = if r.one_in(8) { 3.0 } else { 0.003 };
    let scale: Vec<f32> = (0..slots).map(|_| r.unit().abs() * large).collect();
    let table = r.table();
    let op = Op::Conv(Conv {
        geometry: *g,
        weights: ConvWeights::Int8 { weights: &packed, bias: &bias, scale: &scale },
        activation: Activation::None,
        finish: r.finish(&table),
    });
    compare(r, &op, &[x], &y, 0.0, &format!("{g:?} on {input:?}"));
}

#[test]
fn dense() {
    let mut r = Random(1);
    for _ in 0..1500 {
        let k = [r.pick(&[1, 1, 1, 2, 3, 3, 5]), r.pick(&[1, 1, 1, 2, 3, 3, 5])];
        let k = if r.one_in(2) { [1, 1] } else { k };
        let window = Window {
            kernel: k,
            stride: [r.pick(&[1, 1, 2, 3]), r.pick(&[1, 1, 2, 3])],
            dilation: if r.one_in(6) { [r.range(1, 3) as u8, r.range(1, 3) as u8] } else { [1, 1] },
            pad: if r.one_in(3) {
                [0; 4]
            } else {
                [0; 4].map(|_: u8| r.range(0, usize::from(k[0].max(k[1])) / 2) as u8)
            },
        };
        let groups = r.pick(&[1, 1, 1, 2, 3]);
        let (ci, co) = if r.one_in(3) {
            (r.range(1, 40), r.range(2, 100))
        } else {
            (r.pick(&[1, 3, 4, 16, 24, 32, 64]), r.pick(&[8, 16, 24, 32, 40, 48, 64, 96, 144]))
        };
        let g = ConvGeometry { window, groups, input_channels: ci * groups, output_channels: co * groups };
        let size = (r.range(1, 9), r.range(1, 40));
        check(&mut r, &g, size);
    }
}

#[test]
fn depthwise() {
    let mut r = Random(2);
    for _ in 0..1500 {
        let k = r.pick(&[3, 3, 5, 7, 2, 1]);
        let window = Window {
            kernel: [k, if r.one_in(6) { r.range(1, 7) as u8 } else { k }],
            stride: if r.one_in(4) {
                [r.range(1, 3) as u8, r.range(1, 3) as u8]
            } else {
                [r.range(1, 2) as u8; 2]
            },
            dilation: if r.one_in(6) { [r.range(1, 3) as u8, r.range(1, 3) as u8] } else { [1, 1] },
            pad: if r.one_in(4) { [0; 4].map(|_: u8| r.range(0, 3) as u8) } else { [k / 2; 4] },
        };
        let c = if r.one_in(2) {
            r.range(2, 150)
        } else {
            r.pick(&[8, 16, 24, 32, 40, 48, 64, 80, 96, 128, 192])
        };
        let g = ConvGeometry { window, groups: c, input_channels: c, output_channels: c };
        let size = (r.range(1, 12), r.range(1, 20));
        check(&mut r, &g, size);
    }
}

/// More inputs than a part of the cache has room for: one tile of pixels is worked on at a time.
#[test]
fn pointwise_of_very_many_channels() {
    let mut r = Random(4);
    let window = Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pad: [0; 4] };
    for (inputs, outputs) in [(5000, 40), (20_000, 17), (32_764, 3)] {
        for groups in [1, 2] {
            let g = ConvGeometry {
                window,
                groups,
                input_channels: inputs * groups,
                output_channels: outputs * groups,
            };
            check(&mut r, &g, (2, 7));
        }
    }
}

#[test]
fn a_scale_that_overflows_takes_the_scalar_kernel() {
    let window = Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pad: [0; 4] };
    let g = ConvGeometry { window, groups: 1, input_channels: 4, output_channels: 1 };
    let mut r = Random(3);
    let x = Tensor::new(&mut r, DType::U8, Shape::new(2, 9, 4));
    let y = Tensor::new(&mut r, DType::U8, Shape::new(2, 9, 1));
    let packed = weights(&mut r, &g);
    let (bias, scale) = ([1 << 30; 16], [f32::MAX; 16]);
    let op = Op::Conv(Conv {
        geometry: g,
        weights: ConvWeights::Int8 { weights: &packed, bias: &bias, scale: &scale },
        activation: Activation::None,
        finish: Finish { lo: 0, hi: 255, table: None },
    });
    compare(&mut r, &op, &[x], &y, 0.0, "overflowing scale");
}
