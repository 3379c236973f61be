//! The last dispatch of a frame: the network's image with the visible frame's colours.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use fusionproxy_format::{Blend, DType, Op, TensorId};

use super::input::{is_byte, to_byte};
use super::pixel::{Body, groups, main};
use super::{Bound, Shader, Writer};
use crate::graph::{Graph, LANES};
use crate::{Options, ProgramError, Role, Source, Target};

/// The chroma of pixel `p` under the luma `f`, as on the CPU: the same difference to all three channels, drawn towards
/// grey by the largest factor (16-bit fixed point, rounded down) that keeps them in 0…255.
const SHADE: &str = "\
fn shade(p: u32, f: i32) -> vec4<i32> {
  let d = octets(p).xyz - i32(luma(p));
  let m = abs(d);
  let room = select(vec3<i32>(f), vec3<i32>(255 - f), d > vec3<i32>(0));
  var s = 65536;
  if (m.x > room.x) { s = min(s, (room.x << 16u) / m.x); }
  if (m.y > room.y) { s = min(s, (room.y << 16u) / m.y); }
  if (m.z > room.z) { s = min(s, (room.z << 16u) / m.z); }
  return vec4<i32>(f + ((d * s + 32768) >> vec3<u32>(16u)), 255);
}
";

/// The dispatch that computes the network's output and writes the fused frame.
pub(crate) fn output(graph: &Graph<'_>, stored: &[bool], options: &Options) -> Result<Shader, ProgramError> {
    let root = graph.fused;
    let mut writer = Writer::new(graph, stored, options, root, Bound::Frame(Role::Fused));
    writer.present();
    let entry = graph.producer(root).copied();
    if let (Some(entry), Some(op)) = (entry, graph.tensor(root).producer)
        && let Op::Blend(blend) = entry.op
    {
        writer.operators.insert(op);
        let logits = entry.inputs[2].get();
        let shape = graph.tensor(logits).shape;
        let mut body = Body::new(writer, 0, 1);
        blended(&mut body, &blend, [0, 1, 2].map(|i| entry.inputs[i].get()))?;
        let main = main((shape.height, shape.width), &body.text);
        return Ok(body.writer.finish(&main, groups((shape.height, shape.width), 1)));
    }
    let shape = graph.tensor(root).shape;
    let mut body = Body::new(writer, 1, 1);
    let value = body.value(root, 0)?;
    let image = if graph.tensor(root).dtype == DType::U8 {
        format!("octets({value})")
    } else {
        format!("image({value})")
    };
    body.text.push_str(&format!("present(y, x, {image});\n"));
    let main = main((shape.height, shape.width), &body.text);
    Ok(body.writer.finish(&main, groups((shape.height, shape.width), 1)))
}

/// The pixels under one pixel of the logits.
fn blended(body: &mut Body<'_, '_>, blend: &Blend<'_>, inputs: [TensorId; 3]) -> Result<(), ProgramError> {
    let [visible, infrared, logits] = inputs;
    let node = *body.writer.graph.tensor(logits);
    let (visible, infrared) = (body.writer.words(visible)?, body.writer.words(infrared)?);
    let values = (0..node.words()).map(|k| body.value(logits, k)).collect::<Result<Vec<_>, _>>()?;
    let (block, area) = (blend.block, blend.block * blend.block);
    let residual = blend.gain != 0.0;
    let eight_bit = node.dtype == DType::U8;
    let tables = [blend.weight, blend.residual]
        .map(|t| t.filter(|_| eight_bit).map_or(0, |table| body.writer.push_ints(&table[..])));
    let gain = if eight_bit { String::new() } else { body.writer.number(blend.gain) };
    for (k, value) in values.iter().enumerate() {
        body.text.push_str(&if eight_bit {
            format!("let l{k} = octets({value});\n")
        } else {
            format!("let w{k} = sigmoid4({value});\nlet r{k} = {gain} * tanh4({value});\n")
        });
    }
    let lane = |prefix: &str, channel: usize| {
        format!("{prefix}{}.{}", channel / LANES, ["x", "y", "z", "w"][channel % LANES])
    };
    for i in 0..area {
        let (y, x) = (format!("y * {block} + {}", i / block), format!("x * {block} + {}", i % block));
        let (weight, offset) = if eight_bit {
            let at =
                |channel: usize, table: usize| format!("int_at({}, {}u)", lane("l", channel), tables[table]);
            (at(i, 0), if residual { at(area + i, 1) } else { String::from("0") })
        } else {
            (lane("w", i), if residual { lane("r", area + i) } else { String::from("0.0") })
        };
        body.text.push_str(&format!("compose({y}, {x}, {weight}, {offset});\n"));
    }
    let (v, i) = (format!("{visible}(y, x, 0)"), format!("{infrared}(y, x, 0)"));
    body.writer.functions.push_str(&if eight_bit {
        format!(
            "fn compose(y: i32, x: i32, weight: i32, residual: i32) {{\n\
             let v = octets({v});\nlet i = octets({i}).x;\n\
             let q = (v * 32768 + (i - v) * weight + residual + 16384) >> vec4<u32>(15u);\n\
             present(y, x, clamp(q, vec4<i32>(0), vec4<i32>(255)));\n}}\n"
        )
    } else {
        format!(
            "fn compose(y: i32, x: i32, weight: f32, residual: f32) {{\n\
             let v = {v};\nlet i = {i}.x;\npresent(y, x, image(v + (i - v) * weight + residual));\n}}\n"
        )
    });
    Ok(())
}

impl Writer<'_, '_> {
    /// Defines `present(y, x, value)`, which writes a pixel of the fused frame from the network's (one channel or three),
    /// and `image`, which rounds a float image to bytes.
    fn present(&mut self) {
        let node = *self.graph.tensor(self.graph.fused);
        let target = self.bind(Bound::Frame(Role::Fused));
        let value = if node.dtype == DType::U8 && !is_byte(node.quant) {
            let zero = f32::from(node.quant.zero_point);
            let table: [u8; 256] =
                core::array::from_fn(|q| to_byte((q as f32 - zero) * node.quant.scale * 255.0));
            let at = self.push_bytes(&table);
            format!("look_up(value, {at}u)")
        } else {
            String::from("value")
        };
        let colour = match (node.shape.channels, self.options.visible) {
            (3, _) => String::from("vec4<i32>(q.xyz, 255)"),
            (_, Source::Grey) => String::from("vec4<i32>(q.xxx, 255)"),
            _ => {
                self.luma();
                let visible = self.pixels(Role::Visible);
                self.functions.push_str(SHADE);
                format!("shade({visible}(y, x), q.x)")
            }
        };
        let (height, width) = (self.options.height, self.options.width);
        let write = match self.options.fused {
            Target::Rgba => format!("{target}[y * {width} + x] = rgba;"),
            Target::Texture => format!("textureStore({target}, vec2<i32>(x, y), unpack4x8unorm(rgba));"),
        };
        self.functions.push_str(&format!(
            "fn present(y: i32, x: i32, value: vec4<i32>) {{\n\
             if (y >= {height} || x >= {width}) {{ return; }}\nlet q = {value};\n\
             let rgba = pack({colour});\n{write}\n}}\n\
             fn image(v: vec4<f32>) -> vec4<i32> {{\n\
             return vec4<i32>(round(clamp(v, vec4<f32>(0.0), vec4<f32>(1.0)) * 255.0));\n}}\n"
        ));
    }
}
