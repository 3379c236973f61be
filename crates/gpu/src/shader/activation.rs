//! Float activations as WGSL expressions.

use alloc::format;
use alloc::string::String;

use fusionproxy_format::Activation;

use super::Writer;

impl Writer<'_, '_> {
    /// A finite number: a parameter, but for those that are structure rather than data.
    pub(super) fn number(&mut self, v: f32) -> String {
        if v == 0.0 {
            return String::from("0.0");
        }
        let at = self.push([[v.to_bits(), 0, 0, 0]]);
        format!("bitcast<f32>(P[{at}u].x)")
    }

    /// `function` of the vector `x`, a name.
    pub(super) fn activated(&mut self, function: Activation, x: &str) -> String {
        let unit = |e: String| format!("clamp({e}, vec4<f32>(0.0), vec4<f32>(1.0))");
        match function {
            Activation::None => x.into(),
            Activation::Clamp { lo, hi } => match (lo.is_finite(), hi.is_finite()) {
                (true, true) => {
                    let (lo, hi) = (self.number(lo), self.number(hi));
                    format!("clamp({x}, vec4<f32>({lo}), vec4<f32>({hi}))")
                }
                (true, false) => format!("max({x}, vec4<f32>({}))", self.number(lo)),
                (false, true) => format!("min({x}, vec4<f32>({}))", self.number(hi)),
                (false, false) => x.into(),
            },
            Activation::LeakyRelu { slope } => {
                format!("select({x}, {x} * {}, {x} < vec4<f32>(0.0))", self.number(slope))
            }
            Activation::HardSwish => format!("{x} * {}", unit(format!("{x} / 6.0 + 0.5"))),
            Activation::HardSigmoid { alpha, beta } => {
                unit(format!("{} * {x} + {}", self.number(alpha), self.number(beta)))
            }
            Activation::Gelu => format!("0.5 * {x} * (1.0 + erf4({x} * 0.70710677))"),
            Activation::GeluTanh => {
                format!("0.5 * {x} * (1.0 + tanh4(0.7978846 * ({x} + 0.044715 * {x} * {x} * {x})))")
            }
            Activation::Silu => format!("{x} * sigmoid4({x})"),
            Activation::Sigmoid => format!("sigmoid4({x})"),
            Activation::Tanh => format!("tanh4({x})"),
            Activation::Abs => format!("abs({x})"),
            Activation::Exp => format!("exp({x})"),
            Activation::Sqrt => format!("sqrt({x})"),
            Activation::Affine { alpha, beta } => {
                format!("({} * {x} + {})", self.number(alpha), self.number(beta))
            }
        }
    }
}
