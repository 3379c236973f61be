//! Resampling and pooling. Coordinates are the CPU's exact fractions.

use alloc::format;
use alloc::string::String;

use fusionproxy_format::{DType, Pool, PoolKind, Resize, ResizeMode, TensorId, Window};

use super::Writer;
use crate::ProgramError;

/// The map of one axis: source coordinate = (position * scale + offset) / divisor.
struct Axis {
    scale: i64,
    offset: i64,
    divisor: i64,
    last: usize,
}

impl Axis {
    fn new(mode: ResizeMode, input: usize, output: usize) -> Self {
        let (i, o) = (input as i64, output as i64);
        let (scale, offset, divisor) = match mode {
            ResizeMode::NearestFloor | ResizeMode::BilinearAsymmetric => (i, 0, o),
            ResizeMode::BilinearHalfPixel => (2 * i, i - o, 2 * o),
            ResizeMode::NearestHalfPixel => (2 * i, i - 2 * o, 2 * o),
            ResizeMode::BilinearAlignCorners => (i - 1, 0, (o - 1).max(1)),
        };
        Self { scale, offset, divisor, last: input - 1 }
    }

    fn at(&self, o: &str) -> String {
        format!("({o} * {} + {})", self.scale, self.offset)
    }

    /// The nearest element.
    fn nearest(&self, mode: ResizeMode, o: &str) -> String {
        let (at, divisor) = (self.at(o), self.divisor);
        if mode == ResizeMode::NearestFloor {
            if self.divisor % self.scale == 0 {
                return format!("{o} / {}", self.divisor / self.scale);
            }
            return format!("min({at} / {divisor}, {})", self.last);
        }
        format!("clamp(-divided(-{at}, {divisor}), 0, {})", self.last)
    }

    /// Statements that define both neighbours `{o}0`, `{o}1` and what is left over, `{o}r`.
    fn neighbours(&self, o: &str) -> String {
        let (at, d, last) = (self.at(o), self.divisor, self.last);
        format!(
            "let {o}l = divided({at}, {d});\nlet {o}r = u32({at} - {o}l * {d});\n\
             let {o}0 = clamp({o}l, 0, {last});\nlet {o}1 = clamp({o}l + 1, 0, {last});\n"
        )
    }
}

impl Writer<'_, '_> {
    pub(super) fn resize(
        &mut self,
        op: &Resize,
        input: TensorId,
        id: TensorId,
    ) -> Result<String, ProgramError> {
        let f = self.words(input)?;
        let (i, o) = (self.graph.tensor(input).shape, self.graph.tensor(id).shape);
        let (v, h) = (Axis::new(op.mode, i.height, o.height), Axis::new(op.mode, i.width, o.width));
        if !crate::fuse::interpolates(op) {
            let (y, x) = (v.nearest(op.mode, "y"), h.nearest(op.mode, "x"));
            return Ok(format!("return {f}({y}, {x}, c);"));
        }
        let mut body = v.neighbours("y") + &h.neighbours("x");
        if self.graph.tensor(id).dtype == DType::U8 {
            for (o, axis) in [("y", &v), ("x", &h)] {
                let d = axis.divisor;
                body.push_str(&format!("let {o}f = (4096u * {o}r + {d}u) / {}u;\n", 2 * d));
            }
            let row = |y: &str| {
                let at = |x: &str| format!("vec4<u32>(octets({f}({y}, {x}, c)))");
                format!("{} * (2048u - xf) + {} * xf", at("x0"), at("x1"))
            };
            body.push_str(&format!(
                "let upper = {};\nlet lower = {};\n\
                 return pack(vec4<i32>((upper * (2048u - yf) + lower * yf + 2097152u) >> vec4<u32>(22u)));",
                row("y0"),
                row("y1")
            ));
            return Ok(body);
        }
        let row = |y: &str| format!("mix({f}({y}, x0, c), {f}({y}, x1, c), f32(xr) / {}.0)", h.divisor);
        body.push_str(&format!("return mix({}, {}, f32(yr) / {}.0);", row("y0"), row("y1"), v.divisor));
        Ok(body)
    }

    pub(super) fn pool(&mut self, op: usize, pool: &Pool) -> Result<String, ProgramError> {
        let entry = self.graph.ops[op];
        let input = entry.inputs[0].get();
        let f = self.words(input)?;
        let node = *self.graph.tensor(input);
        let eight_bit = node.dtype == DType::U8;
        let value = if eight_bit { format!("octets({f}(sy, sx, c))") } else { format!("{f}(sy, sx, c)") };
        let all = pool.window.kernel.iter().map(|k| u32::from(*k)).product::<u32>();
        let (start, step, end) = match (pool.kind, eight_bit) {
            (PoolKind::Max, true) => ("vec4<i32>()", "max(all, v)", String::from("return pack(all);")),
            (PoolKind::Max, false) => ("vec4<f32>(-3.4e38)", "max(all, v)", String::from("return all;")),
            (PoolKind::Average, true) => {
                let at = self.push([[u32::from(node.quant.zero_point), 0, 0, 0]]);
                let pad = format!("all += bitcast<i32>(P[{at}u].x) * ({all} - n);\nn = {all};\n");
                let pad = if pool.count_include_pad { pad } else { String::new() };
                ("vec4<i32>()", "all + v", format!("{pad}return pack((2 * all + n) / (2 * n));"))
            }
            (PoolKind::Average, false) => {
                let n = if pool.count_include_pad { format!("{all}.0") } else { "f32(n)".into() };
                ("vec4<f32>()", "all + v", format!("return all / {n};"))
            }
        };
        let (rows, columns) =
            (tap_loop(&pool.window, 0, node.shape.height), tap_loop(&pool.window, 1, node.shape.width));
        Ok(format!(
            "var all = {start};\nvar n = 0;\n{rows}{columns}n++;\nlet v = {value};\nall = {step};\n}}\n}}\n{end}"
        ))
    }
}

/// The head of a loop over the taps of one axis that lie in the image.
fn tap_loop(w: &Window, axis: usize, extent: usize) -> String {
    let (k, s, o) = [("ky", "sy", "y"), ("kx", "sx", "x")][axis];
    let (kernel, stride, dilation, pad) = (w.kernel[axis], w.stride[axis], w.dilation[axis], w.pad[axis]);
    format!(
        "for (var {k} = 0; {k} < {kernel}; {k}++) {{\nlet {s} = {o} * {stride} + {k} * {dilation} - {pad};\n\
         if (u32({s}) >= {extent}u) {{ continue; }}\n"
    )
}
