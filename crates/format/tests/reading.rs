//! What the builder writes is read back unchanged, and nothing else is accepted.

mod ops;

use fusionproxy_format::{
    Activation, Artifact, Builder, DType, Extent, HEADER_BYTES, LoadError, MAGIC, OP_BYTES, Op, OpKind,
    Precision, Quant, TENSOR_BYTES, Tensor,
};
use proptest::prelude::*;

use ops::{Aligned, artifact};

#[test]
fn every_operator_is_read_back_as_it_was_built() {
    for case in ops::cases() {
        let a = artifact(&case.bytes);
        let entry = a.op(a.op_count() - 1).unwrap();
        assert_eq!(entry.name, "tested");
        assert_eq!(entry.op.kind(), case.op);
        assert_eq!(format!("{:?}", entry.op), case.debug);
        assert_eq!(a.tensor(entry.output).unwrap().name, "output");
        assert!((0..entry.inputs.len()).all(|i| a.tensor(entry.input(i).unwrap()).unwrap().data.is_some()));
        assert_eq!(entry.input(entry.inputs.len()), None);
    }
}

#[test]
fn header_and_tensors_are_read_back_as_they_were_built() {
    let mut b = Builder::new();
    let half = Extent { mul: 1, div: 2, add: 0 };
    let full = Extent { mul: 1, div: 1, add: 0 };
    let quant = Quant { scale: 0.5, zero_point: 200 };
    let float = Quant { scale: 0.0, zero_point: 0 };
    let data: Vec<u8> = (0..24).collect();
    let tensors = [
        Tensor {
            name: "sichtbar",
            dtype: DType::U8,
            height: full,
            width: full,
            channels: 3,
            quant,
            data: None,
        },
        Tensor {
            name: "赤外線",
            dtype: DType::U8,
            height: full,
            width: full,
            channels: 1,
            quant,
            data: None,
        },
        Tensor { name: "", dtype: DType::U8, height: full, width: full, channels: 3, quant, data: None },
        Tensor {
            name: "half",
            dtype: DType::F16,
            height: half,
            width: full,
            channels: 9,
            quant: float,
            data: None,
        },
        Tensor {
            name: "constant",
            dtype: DType::F32,
            height: Extent::absolute(1),
            width: Extent::absolute(2),
            channels: 3,
            quant: float,
            data: Some(&data),
        },
    ];
    for t in &tensors {
        b.tensor(t).unwrap();
    }
    b.op("id", &Op::Reshape, &[0], 2).unwrap();
    let bytes = b.finish_artifact("name", Precision::Int8, [0, 1, 2], 32, Some((480, 640)), 1 << 40).unwrap();
    let bytes = Aligned::new(&bytes);
    let a = artifact(&bytes);
    assert_eq!((a.name(), a.precision(), a.params(), a.stride()), ("name", Precision::Int8, 1 << 40, 32));
    assert_eq!((a.visible(), a.infrared(), a.fused()), (0, 1, 2));
    assert_eq!((a.fixed_size(), a.bytes()), (Some((480, 640)), bytes.get().len()));
    assert_eq!((a.tensor_count(), a.op_count()), (5, 1));
    for (i, t) in tensors.iter().enumerate() {
        assert_eq!(a.tensor(i as u16).unwrap(), *t);
    }
    assert_eq!(tensors[3].resolve(480, 640), Some((240, 640, 9)));
    assert_eq!(tensors[3].resolve(481, 640), None);
    assert!(a.tensor(5).is_err() && a.op(1).is_err());
}

/// A small network.
fn sound() -> Aligned {
    ops::activation(Activation::LeakyRelu { slope: 0.5 }).bytes
}

#[test]
fn any_changed_byte_is_refused() {
    let mut bytes = sound();
    for i in 0..bytes.get().len() {
        for bit in 0..8 {
            bytes.get_mut()[i] ^= 1 << bit;
            assert!(Artifact::new(bytes.get()).is_err(), "bit {bit} of byte {i}");
            bytes.get_mut()[i] ^= 1 << bit;
        }
    }
    artifact(&bytes);
}

#[test]
fn any_other_length_is_refused() {
    let bytes = sound();
    let whole = bytes.get();
    for len in 0..whole.len() {
        let error = Artifact::new(&whole[..len]).err().unwrap();
        let needed = if len < HEADER_BYTES { HEADER_BYTES } else { whole.len() };
        assert_eq!(error, LoadError::Truncated { found: len, needed });
    }
    let longer = Aligned::new(&[whole, &[0]].concat());
    let (found, expected) = (whole.len() + 1, whole.len());
    assert_eq!(Artifact::new(longer.get()).err(), Some(LoadError::TrailingBytes { found, expected }));
}

#[test]
fn each_error_says_what_to_do() {
    let bytes = sound();
    let error = |change: &dyn Fn(&mut [u8])| {
        let mut changed = bytes.clone();
        change(changed.get_mut());
        Artifact::new(changed.get()).err().unwrap()
    };
    assert_eq!(error(&|b| b[0] = b'F'), LoadError::NotAnArtifact);
    assert_eq!(error(&|b| b[8] = 9), LoadError::Version { found: 9 });
    assert!(matches!(error(&|b| b[200] ^= 1), LoadError::Checksum { .. }));
    let png = Aligned::new(b"\x89PNG\r\n\x1a\n and then some");
    let text = Artifact::new(png.get()).err().unwrap().to_string();
    assert_eq!(text, "not an .fpx artifact: the first 8 bytes differ; make one with `fusionproxy compile`");
    let shifted = Aligned::new(&[&[0; 8], bytes.get()].concat());
    assert_eq!(Artifact::new(&shifted.get()[8..]).err(), Some(LoadError::Misaligned));
    assert_eq!(Artifact::new(&[]).err(), Some(LoadError::Truncated { found: 0, needed: HEADER_BYTES }));
    for e in [
        LoadError::Header("x"),
        LoadError::Tensor { index: 3, field: "x" },
        LoadError::Op { index: 3, field: "x" },
    ] {
        assert!(e.to_string().ends_with("x; compile the network again"));
    }
}

/// Where the records of [`sound`] start.
fn sections(bytes: &Aligned) -> (usize, usize, usize) {
    let h = artifact(bytes).header();
    (h.tensors.get() as usize, h.ops.get() as usize, h.edges.get() as usize)
}

/// Single fields out of range, with the checksum left aside: the error names the field.
#[test]
fn fields_out_of_range_are_named() {
    let bytes = sound();
    let (tensors, ops, edges) = sections(&bytes);
    let op = ops + OP_BYTES;
    let input = tensors + 3 * TENSOR_BYTES;
    let header = |at: usize, v: &[u8], field| (at, v.to_vec(), LoadError::Header(field));
    let tensor = |at: usize, v: &[u8], field| (input + at, v.to_vec(), LoadError::Tensor { index: 3, field });
    let second = |at: usize, v: &[u8], field| (op + at, v.to_vec(), LoadError::Op { index: 1, field });
    let nan = f32::NAN.to_le_bytes();
    let far = 0x7fff_ffc0u32.to_le_bytes();
    let cases = [
        header(10, &[4], "precision is unknown"),
        header(20, &far, "the tensor table lies outside the file"),
        header(20, &[1, 0, 0, 0], "the tensor table lies outside the file"),
        header(24, &[0; 4], "tensor_count must be 1..=65535"),
        header(24, &far, "tensor_count is too large"),
        header(28, &far, "the operator table lies outside the file"),
        header(32, &[0; 4], "op_count must be 1..=65535"),
        header(32, &far, "op_count is too large"),
        header(36, &far, "the edge list lies outside the file"),
        header(40, &far, "edge_count is too large"),
        header(44, &far, "the strings lie outside the file"),
        header(52, &far, "the data section lies outside the file"),
        header(56, &far, "the data section lies outside the file"),
        header(60, &[9, 0], "visible must be an arena tensor of 1 or 3 channels"),
        header(60, &[1, 0], "visible and infrared must be two tensors"),
        header(62, &[3, 0], "infrared must be an arena tensor of 1 channel"),
        header(64, &[3, 0], "fused must be an arena tensor of 1 or 3 channels"),
        header(66, &[0, 0], "stride must be at least 1"),
        header(68, &[2, 0, 0, 0], "fixed_height and fixed_width must both be set or both be 0"),
        header(
            68,
            &[3, 0, 0, 0, 2, 0, 0, 0],
            "fixed_height and fixed_width must be multiples of stride up to 65536",
        ),
        tensor(0, &[3], "unknown dtype"),
        tensor(0, &[0], "scale must be finite and positive"),
        tensor(1, &[2], "constant must be 0 or 1"),
        tensor(4, &[1], "a constant's extents must be absolute"),
        tensor(6, &[0], "extent divisor is zero"),
        tensor(8, &[0], "a constant has an empty extent"),
        tensor(20, &[0; 4], "channels must be 1..=1048576"),
        tensor(32, &far, "data lies outside the data section or is unaligned"),
        tensor(32, &[8], "data lies outside the data section or is unaligned"),
        tensor(36, &far, "name lies outside the strings"),
        second(1, &[14], "activation is unknown"),
        second(2, &[0, 0], "an operator needs an input"),
        second(2, &[2, 0], "inputs lie outside the edge list"),
        second(4, &far, "inputs lie outside the edge list"),
        second(8, &[9, 0], "output is no tensor"),
        second(8, &[2, 0], "input and output must have the same channels"),
        second(12, &far, "name lies outside the strings"),
        second(20 + 44, &nan, "activation parameters must be numbers"),
        (edges + 2, vec![9, 0], LoadError::Op { index: 1, field: "input 0 is no tensor" }),
        (edges, vec![2, 0], LoadError::Op { index: 0, field: "an input is read before it is written" }),
        (
            ops + 8,
            vec![0, 0],
            LoadError::Op { index: 0, field: "output must not be a constant or a network input" },
        ),
    ];
    for (at, value, expected) in cases {
        let mut changed = bytes.clone();
        changed.get_mut()[at..at + value.len()].copy_from_slice(&value);
        let error = Artifact::new_ignoring_checksum(changed.get()).err();
        assert_eq!(error, Some(expected), "byte {at}");
    }
}

/// Rows of 15 inputs take 16 bytes, of which kernels multiply the last one, too.
#[test]
fn rows_of_weights_end_in_zeros() {
    let bytes = ops::cases().into_iter().find(|c| c.op == OpKind::Conv).unwrap().bytes;
    let word = |at: usize| u32::from_le_bytes(*bytes.get()[at..].first_chunk().unwrap()) as usize;
    let op = sections(&bytes).1 + OP_BYTES;
    let weights = word(52) + word(op + 20 + 4 * 4);
    // [2 groups][3 rows][4 groups of inputs][16 outputs][4]
    for at in 0..2 * 3 * 256 {
        let mut changed = bytes.clone();
        let byte = &mut changed.get_mut()[weights + at];
        *byte = byte.wrapping_add(1);
        let error = Artifact::new_ignoring_checksum(changed.get()).err();
        let padding = at % 256 >= 192 && at % 4 == 3;
        let expected = LoadError::Op { index: 1, field: "weights must be padded with zeros" };
        assert_eq!(error, padding.then_some(expected), "byte {at}");
    }
}

/// A network of reshapes between tensors of the frame's size, (input, output).
fn chain(ops: &[(u16, u16)]) -> Option<LoadError> {
    let mut b = Builder::new();
    let full = Extent { mul: 1, div: 1, add: 0 };
    let quant = Quant { scale: 0.0, zero_point: 0 };
    for _ in 0..4 {
        let (dtype, data) = (DType::F32, None);
        b.tensor(&Tensor { name: "", dtype, height: full, width: full, channels: 1, quant, data }).unwrap();
    }
    for (input, output) in ops {
        b.op("", &Op::Reshape, &[*input], *output).unwrap();
    }
    let bytes = b.finish_artifact("", Precision::F32, [0, 1, 2], 1, None, 0).unwrap();
    Artifact::new(Aligned::new(&bytes).get()).err()
}

#[test]
fn tensors_are_written_once_before_they_are_read() {
    let at = |index, field| Some(LoadError::Op { index, field });
    assert_eq!(chain(&[(0, 3), (3, 2)]), None);
    assert_eq!(chain(&[(3, 2), (0, 3)]), at(0, "an input is read before it is written"));
    assert_eq!(chain(&[(0, 2), (2, 2)]), at(1, "output is already written by an earlier operator"));
    assert_eq!(chain(&[(0, 0)]), at(0, "output must not be a constant or a network input"));
    assert_eq!(chain(&[(2, 2)]), at(0, "an input is read before it is written"));
    assert_eq!(chain(&[(0, 3)]), Some(LoadError::Header("fused is written by no operator")));
}

/// Tables so long that comparing all pairs would take hours are refused, not walked.
#[test]
fn hostile_tables_cost_no_time() {
    let mut b = Builder::new();
    let full = Extent { mul: 1, div: 1, add: 0 };
    let quant = Quant { scale: 0.0, zero_point: 0 };
    let plane =
        Tensor { name: "", dtype: DType::F32, height: full, width: full, channels: 1, quant, data: None };
    for _ in 0..9_003 {
        b.tensor(&plane).unwrap();
    }
    for i in 0..9_000 {
        b.op("", &Op::Reshape, &[0], i + 2).unwrap();
    }
    let bytes = Aligned::new(&b.finish_artifact("", Precision::F32, [0, 1, 2], 1, None, 0).unwrap());
    let error = Artifact::new(bytes.get()).err();
    assert_eq!(error, Some(LoadError::Header("op_count * edge_count is too large")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let bytes = Aligned::new(&bytes);
        prop_assert!(Artifact::new(bytes.get()).is_err());
        let _ = Artifact::new_ignoring_checksum(bytes.get());
    }

    /// Behind a right start, with the sections left where they are, the checks of the records are reached.
    #[test]
    fn scrambled_artifacts_never_panic(
        which in 0..64usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let cases = ops::cases();
        let mut bytes = cases[which % cases.len()].bytes.clone();
        for (index, value) in changes {
            let at = index.index(bytes.get().len() - MAGIC.len()) + MAGIC.len();
            bytes.get_mut()[at] = value;
        }
        if let Ok(a) = Artifact::new_ignoring_checksum(bytes.get()) {
            for i in 0..a.op_count() {
                prop_assert!(a.op(i).is_ok());
            }
        }
    }
}
