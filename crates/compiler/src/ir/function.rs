//! Element-wise functions of one value, and their recognition.
//!
//! Exporters write activations out in many ways (GELU through Erf, SiLU as x * sigmoid(x), hard-swish as
//! x * clip(x + 3, 0, 6) / 6, ...). Instead of one pattern for each, a function is sampled and compared with those that
//! artifacts have: whatever its parts are, it is recognised by what it computes.

use fusionproxy_format::Activation;

/// Element-wise functions of imported graphs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Function {
    /// One that artifacts have.
    Plain(Activation),
    /// Gauss error function.
    Erf,
    /// x ^ p
    Pow(f32),
    /// 1 / x
    Reciprocal,
    /// ln(1 + exp(x))
    Softplus,
    /// ln x
    Log,
    /// x / (1 + |x|)
    Softsign,
    /// x < 0 ? alpha * (exp(x) - 1) : x
    Elu(f32),
}

impl Function {
    /// The function's value, computed in f64.
    pub(crate) fn eval(self, x: f64) -> f64 {
        match self {
            Self::Plain(a) => activation(a, x),
            Self::Erf => erf(x),
            Self::Pow(p) => x.powf(f64::from(p)),
            Self::Reciprocal => 1.0 / x,
            Self::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Self::Log => x.ln(),
            Self::Softsign => x / (1.0 + x.abs()),
            Self::Elu(alpha) => {
                if x < 0.0 {
                    f64::from(alpha) * x.exp_m1()
                } else {
                    x
                }
            }
        }
    }
}

/// An activation's value in f64: the reference that tables are computed from.
pub(crate) fn activation(a: Activation, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match a {
        Activation::None => x,
        Activation::Clamp { lo, hi } => x.max(f64::from(lo)).min(f64::from(hi)),
        Activation::LeakyRelu { slope } => {
            if x < 0.0 {
                f64::from(slope) * x
            } else {
                x
            }
        }
        Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::HardSigmoid { alpha, beta } => (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0),
        Activation::Gelu => x * 0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }
        Activation::Silu => x * sigmoid(x),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::Abs => x.abs(),
        Activation::Exp => x.exp(),
        Activation::Sqrt => x.sqrt(),
        Activation::Affine { alpha, beta } => f64::from(alpha) * x + f64::from(beta),
    }
}

/// erf(x) to about 1e-15: its Maclaurin series near zero, a continued fraction of erfc (Lentz's method) far from it
/// (Abramowitz and Stegun, 7.1.6 and 7.1.14).
pub(crate) fn erf(x: f64) -> f64 {
    let a = x.abs();
    let e = if a < 2.5 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term.abs() > 1e-17 * sum.abs() {
            n += 1.0;
            term *= 2.0 * a * a / (2.0 * n + 1.0);
            sum += term;
        }
        sum * (-a * a).exp() * std::f64::consts::FRAC_2_SQRT_PI
    } else if a < 6.0 {
        let mut f = a;
        for k in (1..=120).rev() {
            f = a + 0.5 * f64::from(k) / f;
        }
        1.0 - (-a * a).exp() / (f * std::f64::consts::PI.sqrt())
    } else {
        1.0
    };
    e.copysign(x)
}

/// Where functions are compared: dense around the kinks and bends, and far out on both sides.
const SAMPLES: [f64; 25] = [
    -40.0, -9.0, -6.1, -5.0, -4.0, -3.1, -2.9, -2.0, -1.5, -1.0, -0.6, -0.3, -0.01, 0.0, 0.02, 0.4, 0.9, 1.4,
    2.2, 2.9, 3.3, 4.1, 5.7, 6.3, 30.0,
];

/// The activation of artifacts that `f` equals on all samples, if any.
pub(crate) fn recognise(f: impl Fn(f64) -> f64) -> Option<Activation> {
    let y = SAMPLES.map(&f);
    // Exporters round the constants of decompositions to f32, some to fewer digits.
    let same = |a: Activation| {
        SAMPLES.iter().zip(&y).all(|(x, y)| {
            let want = activation(a, *x);
            if want.is_nan() {
                return y.is_nan();
            }
            (want - y).abs() <= 2e-6 * (1.0 + want.abs() + x.abs())
        })
    };
    let fixed = [
        Activation::Clamp { lo: 0.0, hi: f32::INFINITY },
        Activation::Clamp { lo: 0.0, hi: 6.0 },
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
        Activation::HardSwish,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Abs,
        Activation::Exp,
        Activation::Sqrt,
    ];
    if let Some(a) = fixed.into_iter().find(|a| same(*a)) {
        return Some(a);
    }
    // One with parameters: read them off, then compare.
    let beta = f(0.0);
    let slope = f(0.5) - beta;
    let infinite =
        |y: f64, x: f64| if (y - x).abs() <= 1e-9 * x.abs() { x.signum() * f64::INFINITY } else { y };
    [
        Activation::Affine { alpha: (2.0 * slope) as f32, beta: beta as f32 },
        Activation::LeakyRelu { slope: -f(-1.0) as f32 },
        Activation::HardSigmoid { alpha: (2.0 * slope) as f32, beta: beta as f32 },
        Activation::Clamp { lo: infinite(f(-1e6), -1e6) as f32, hi: infinite(f(1e6), 1e6) as f32 },
    ]
    .into_iter()
    .find(|a| {
        let sane = match a {
            Activation::Clamp { lo, hi } => lo < hi,
            Activation::Affine { alpha, beta } => alpha.is_finite() && beta.is_finite(),
            Activation::LeakyRelu { slope } => slope.is_finite(),
            Activation::HardSigmoid { alpha, .. } => *alpha > 0.0,
            _ => true,
        };
        sane && same(*a)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_has_its_tabulated_values() {
        // Abramowitz and Stegun, table 7.1.
        for (x, want) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (2.6, 0.999_763_965_583_470_6),
            (-3.0, -0.999_977_909_503_001_4),
        ] {
            assert!((erf(x) - want).abs() < 1e-14, "erf({x}) = {}", erf(x));
        }
    }

    #[test]
    fn decompositions_are_recognised() {
        let e = |x: f64| f64::from((x / f64::from(2f32.sqrt())) as f32);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let cases: [(&dyn Fn(f64) -> f64, Activation); 10] = [
            (&|x| x * (1.0 + erf(e(x))) * 0.5, Activation::Gelu),
            (&|x| 0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x.powi(3))).tanh()), Activation::GeluTanh),
            (&|x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0, Activation::HardSwish),
            (&|x| x * (x * 0.166_666_67 + 0.5).clamp(0.0, 1.0), Activation::HardSwish),
            (&|x| x * sigmoid(x), Activation::Silu),
            (&|x| x.clamp(0.0, 6.0), Activation::Clamp { lo: 0.0, hi: 6.0 }),
            (&|x| x.max(0.0), Activation::Clamp { lo: 0.0, hi: f32::INFINITY }),
            (&|x| x.clamp(-1.0, 1.0), Activation::Clamp { lo: -1.0, hi: 1.0 }),
            (&|x| x.max(0.1 * x), Activation::LeakyRelu { slope: 0.1 }),
            (&|x| (0.2 * x + 0.5).clamp(0.0, 1.0), Activation::HardSigmoid { alpha: 0.2, beta: 0.5 }),
        ];
        for (f, want) in cases {
            let got = recognise(f).unwrap_or_else(|| panic!("{want:?} was not recognised"));
            assert_eq!(got.name(), want.name());
        }
        assert!(recognise(|x| x * x).is_none());
        assert!(recognise(|x| x * (x.exp().ln_1p()).tanh()).is_none());
    }
}
