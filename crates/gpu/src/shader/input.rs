//! The frames, as the network's inputs: padded by repeating the last row and column, luma where the network takes luma.

use alloc::format;
use alloc::string::String;

use fusionproxy_format::{DType, TensorId};

use super::{Bound, Writer};
use crate::{Role, Source};

/// Full-range BT.601 luma in 16-bit fixed point, as on the CPU.
pub(crate) const LUMA: &str = "\
fn luma(p: u32) -> u32 {
  return (19595u * (p & 255u) + 38470u * ((p >> 8u) & 255u) + 7471u * ((p >> 16u) & 255u) + 32768u) >> 16u;
}
";

impl Writer<'_, '_> {
    /// Body of the function of an input.
    pub(super) fn frame(&mut self, id: TensorId) -> String {
        let role = if id == self.graph.visible { Role::Visible } else { Role::Infrared };
        let node = *self.graph.tensor(id);
        let pixel = self.pixels(role);
        let grey = match role {
            Role::Visible => self.options.visible,
            _ => self.options.infrared,
        } == Source::Grey;
        let value = match (grey, node.shape.channels) {
            (true, 1) => format!("{pixel}(y, x)"),
            (true, _) => format!("{pixel}(y, x) * 0x010101u"),
            (false, 1) => {
                self.luma();
                format!("luma({pixel}(y, x))")
            }
            (false, _) => format!("{pixel}(y, x) & 0xffffffu"),
        };
        match node.dtype {
            DType::U8 if is_byte(node.quant) => format!("return {value};"),
            DType::U8 => {
                let table: [u8; 256] = core::array::from_fn(|v| {
                    to_byte(v as f32 / 255.0 / node.quant.scale + f32::from(node.quant.zero_point))
                });
                let at = self.push_bytes(&table);
                format!("return pack(look_up(octets({value}), {at}u));")
            }
            DType::F16 | DType::F32 => format!("return vec4<f32>(octets({value})) / 255.0;"),
        }
    }

    /// Defines `luma`, once.
    pub(super) fn luma(&mut self) {
        if !self.functions.contains("fn luma(") {
            self.functions.push_str(LUMA);
        }
    }

    /// Name of the function `(y: i32, x: i32) -> u32` that gives a pixel: a byte, or R, G, B from the low bits up.
    pub(super) fn pixels(&mut self, role: Role) -> String {
        let name = String::from(role.name());
        if self.functions.contains(&format!("fn {name}(")) {
            return name;
        }
        let (source, b) = match role {
            Role::Visible => (self.options.visible, self.bind(Bound::Frame(role))),
            _ => (self.options.infrared, self.bind(Bound::Frame(role))),
        };
        let (last_row, last_column) = (self.options.height - 1, self.options.width - 1);
        let at = format!("let p = min(vec2<i32>(x, y), vec2<i32>({last_column}, {last_row}));\n");
        let index = format!("let i = u32(p.y * {} + p.x);\n", self.options.width);
        let body = match source {
            Source::Grey => format!("{at}{index}return ({b}[i >> 2u] >> ((i & 3u) * 8u)) & 255u;"),
            Source::Rgba => format!("{at}{index}return {b}[i];"),
            Source::Texture => format!("{at}return pack4x8unorm(textureLoad({b}, p, 0));"),
        };
        self.functions.push_str(&format!("fn {name}(y: i32, x: i32) -> u32 {{\n{body}\n}}\n"));
        name
    }
}

/// Whether a quantised value is the byte of the image itself.
pub(super) fn is_byte(quant: fusionproxy_format::Quant) -> bool {
    quant.zero_point == 0 && (quant.scale * 255.0 - 1.0).abs() < 1e-6
}

/// Clamps to 0…255 and rounds to nearest, ties to even.
pub(super) fn to_byte(v: f32) -> u8 {
    // Adding 2^23 leaves a number without fraction bits: its low bits are the rounded value.
    (v.clamp(0.0, 255.0) + 8_388_608.0).to_bits() as u8
}
