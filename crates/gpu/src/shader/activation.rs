//! Float activations as WGSL expressions.

use alloc::format;
use alloc::string::String;

use fusionproxy_format::Activation;

/// A finite number as WGSL.
pub(super) fn float(v: f32) -> String {
    format!("{v:?}f")
}

/// `function` of the vector `x`, a name.
pub(super) fn activated(function: Activation, x: &str) -> String {
    let splat = |v: f32| format!("vec4<f32>({})", float(v));
    let unit = |e: String| format!("clamp({e}, vec4<f32>(0.0), vec4<f32>(1.0))");
    match function {
        Activation::None => x.into(),
        Activation::Clamp { lo, hi } => match (lo.is_finite(), hi.is_finite()) {
            (true, true) => format!("clamp({x}, {}, {})", splat(lo), splat(hi)),
            (true, false) => format!("max({x}, {})", splat(lo)),
            (false, true) => format!("min({x}, {})", splat(hi)),
            (false, false) => x.into(),
        },
        Activation::LeakyRelu { slope } => {
            format!("select({x}, {x} * {}, {x} < vec4<f32>(0.0))", float(slope))
        }
        Activation::HardSwish => format!("{x} * {}", unit(format!("{x} / 6.0 + 0.5"))),
        Activation::HardSigmoid { alpha, beta } => unit(format!("{} * {x} + {}", float(alpha), float(beta))),
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
        Activation::Affine { alpha, beta } => format!("({} * {x} + {})", float(alpha), float(beta)),
    }
}
