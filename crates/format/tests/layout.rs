//! Holds the tables of `docs/format.md` against the records and against what the builder writes.

mod ops;

use core::mem::offset_of;

use fusionproxy_format::{
    Activation, Artifact, BinaryOp, DType, Header, LoadError, MAGIC, OP_BYTES, OpKind, OpRecord, PoolKind,
    Precision, ReduceKind, TENSOR_BYTES, TensorRecord, VERSION,
};
use zerocopy::{FromBytes, IntoBytes};

use ops::{Aligned, Case, Expected};

/// A table of the document: the cells of its rows, without backquotes.
fn table(title: &str) -> Vec<Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/format.md");
    let document = std::fs::read_to_string(path).expect(path);
    let section = document
        .lines()
        .skip_while(|l| l.trim_start_matches('#').trim() != title || !l.starts_with('#'))
        .skip(1)
        .take_while(|l| !l.starts_with('#'));
    let rows = section.filter(|l| l.starts_with('|')).skip(2);
    rows.map(|l| {
        let l = l.replace("\\|", "¦");
        l.trim_matches('|').split('|').map(|c| c.trim().trim_matches('`').to_owned()).collect()
    })
    .collect()
}

/// (offset, bytes, name) of each field in a table.
fn fields(title: &str) -> Vec<(usize, usize, String)> {
    let number = |s: &str| s.parse().unwrap_or_else(|_| panic!("{title}: {s} is no number"));
    table(title).into_iter().map(|r| (number(&r[0]), number(&r[1]), r[3].clone())).collect()
}

macro_rules! record {
    ($record:ty: $($field:ident),+) => {{
        let offsets = [$(offset_of!($record, $field)),+];
        let ends = offsets.into_iter().skip(1).chain([size_of::<$record>()]);
        let names = [$(stringify!($field)),+];
        let rows = offsets.into_iter().zip(ends).zip(names);
        rows.map(|((start, end), name)| (start, end - start, name.to_owned())).collect::<Vec<_>>()
    }};
}

#[test]
fn records_have_the_documented_fields() {
    let header = record!(Header: magic, version, precision, reserved, crc32, file_bytes, tensors, tensor_count, ops,
        op_count, edges, edge_count, strings, string_bytes, data, data_bytes, visible, infrared, fused, stride,
        fixed_height, fixed_width, params, name, name_bytes);
    assert_eq!(fields("Header"), header);
    let tensor = record!(TensorRecord: dtype, constant, reserved, height_mul, height_div, height_add, width_mul,
        width_div, width_add, channels, scale, zero_point, data, name, name_bytes);
    assert_eq!(fields("Tensor record"), tensor);
    let op =
        record!(OpRecord: kind, activation, inputs, first_edge, output, reserved, name, name_bytes, params);
    assert_eq!(fields("Operator record"), op);
    for (title, bytes) in
        [("Header", size_of::<Header>()), ("Tensor record", TENSOR_BYTES), ("Operator record", OP_BYTES)]
    {
        assert_eq!(fields(title).last().map(|(start, len, _)| start + len), Some(bytes));
    }
}

/// The meaning of a field.
fn meaning(title: &str, field: &str) -> String {
    table(title).into_iter().find(|r| r[3] == field).unwrap_or_else(|| panic!("{title}: {field}"))[4].clone()
}

/// `0 name, 1 name…` as a meaning lists it.
fn listed(names: impl IntoIterator<Item = &'static str>) -> String {
    names.into_iter().enumerate().map(|(i, n)| format!("{i} {n}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn enumerations_have_the_documented_values() {
    let magic: Vec<_> = MAGIC.iter().map(|b| format!("{b:02x}")).collect();
    assert!(meaning("Header", "magic").starts_with(&magic.join(" ")));
    assert_eq!(meaning("Header", "version"), VERSION.to_string());
    let precisions = listed((0..4).map(|v| Precision::from_u8(v).unwrap().name()));
    assert!(meaning("Header", "precision").contains(&precisions) && Precision::from_u8(4).is_none());
    let dtypes: Vec<_> = (0..3).map(|v| DType::from_u8(v).unwrap().name()).collect();
    assert_eq!(meaning("Tensor record", "dtype").replace(" (quantised)", ""), listed(dtypes));
    assert_eq!(meaning("2 binary", "op"), listed(BinaryOp::ALL.iter().map(|v| v.name())));
    assert_eq!(meaning("5 pool", "kind"), listed(PoolKind::ALL.iter().map(|v| v.name())));
    assert_eq!(meaning("6 reduce", "kind"), listed(ReduceKind::ALL.iter().map(|v| v.name())));
}

#[test]
fn activations_have_the_documented_values() {
    let documented: Vec<_> = table("Activations").into_iter().map(|r| (r[0].clone(), r[1].clone())).collect();
    let known: Vec<_> = ops::activations()
        .iter()
        .map(|a| {
            // The one record of an activation operator tells its discriminant.
            let bytes = ops::activation(*a).bytes;
            let (_, op) = raw(&bytes);
            (op.activation.to_string(), Activation::name(*a).to_owned())
        })
        .collect();
    assert_eq!(documented, known);
}

/// Header and last operator record of an artifact.
fn raw(bytes: &Aligned) -> (Header, OpRecord) {
    let artifact = Artifact::new(bytes.get()).unwrap_or_else(|e| panic!("{e}"));
    let header = *artifact.header();
    let last = header.ops.get() as usize + (header.op_count.get() as usize - 1) * OP_BYTES;
    let record = OpRecord::read_from_bytes(&bytes.get()[last..last + OP_BYTES]).unwrap();
    (header, record)
}

/// Every documented parameter is where the document says, holds what the operator holds, and is listed at all.
#[test]
fn parameters_lie_where_documented() {
    let mut seen = Vec::new();
    for Case { op, bytes, expected, .. } in ops::cases() {
        let (header, record) = raw(&bytes);
        assert_eq!(record.kind, op as u8);
        seen.push(op);
        let documented = if op == OpKind::ConvTranspose { OpKind::Conv } else { op };
        let title = format!("{} {}", documented as u8, documented.name());
        let rows = fields(&title);
        let data = &bytes.get()[header.data.get() as usize..];
        let params = record.params.as_bytes();
        let mut rest = params.to_vec();
        rest[36..40].fill(0);
        for (start, len, name) in &rows {
            let stored = &params[*start..start + len];
            rest[*start..start + len].fill(0);
            let Some((_, value)) = expected.iter().find(|(n, _)| n == name) else {
                panic!("{title}: no value is known for {name}");
            };
            match value {
                Expected::Value(v) => assert_eq!(stored, v.as_slice(), "{title}: {name}"),
                Expected::Data(v) => {
                    let at = u32::from_le_bytes(stored.try_into().unwrap()) as usize;
                    assert!(at.is_multiple_of(64), "{title}: {name}");
                    assert_eq!(&data[at..at + v.len()], v.as_slice(), "{title}: {name}");
                }
                Expected::Any => {}
            }
        }
        assert!(rest.iter().all(|b| *b == 0), "{title}: the record holds more than is documented: {rest:?}");
        for (name, _) in &expected {
            assert!(rows.iter().any(|(_, _, n)| n == name), "{title}: {name} is not documented");
        }
    }
    for kind in OpKind::ALL {
        assert!(seen.contains(kind), "no case for {}", kind.name());
    }
}

#[test]
fn unknown_kinds_are_refused() {
    assert!(OpKind::from_u8(OpKind::ALL.len() as u8).is_none());
    let mut bytes = ops::activation(Activation::Abs).bytes;
    let (header, _) = raw(&bytes);
    let at = header.ops.get() as usize;
    bytes.get_mut()[at] = OpKind::ALL.len() as u8;
    let refused = Artifact::new_ignoring_checksum(bytes.get()).err();
    assert_eq!(refused, Some(LoadError::Op { index: 0, field: "kind is unknown" }));
}
