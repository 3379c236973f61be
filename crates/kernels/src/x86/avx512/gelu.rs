//! GELU of 16 numbers in a register.

use core::arch::x86_64::*;

/// Widths of the intervals; the last one ends behind [`END`].
const WIDTH: f32 = 0.390_625;

/// Beyond it the tail is below 4e-9.
const END: f32 = 6.0;

/// Added to a number, rounds it to the nearest integer, which is then in the low bits of the sum.
const MAGIC: f32 = 12_582_912.0;

/// -m Phi(-m) for m around i * [`WIDTH`], by the powers of the distance: entry i of each table. Our own least maximum fits.
const TAIL: [[f32; 16]; 5] = [
    [
        3.221_977_4e-9,
        -0.135_952_03,
        -0.169_787_3,
        -0.141_355_83,
        -0.092_320_52,
        -0.049_614_05,
        -0.022_372_216,
        -0.008_544_755,
        -0.002_778_202_5,
        -0.000_771_188,
        -0.000_183_085_56,
        -3.721_617e-5,
        -6.482_069_2e-6,
        -9.678_728e-7,
        -1.239_362_5e-7,
        -1.361_331_05e-8,
    ],
    [
        -0.500_000_8,
        -0.203_656_44,
        0.012_363_744,
        0.114_652_12,
        0.124_818_42,
        0.090_289_91,
        0.050_435_84,
        0.022_829_643,
        0.008_555_328,
        0.002_684_652_8,
        0.000_710_188_8,
        0.000_159_059_29,
        3.024_857_1e-5,
        4.894_425e-6,
        6.748_381_3e-7,
        7.937_549_6e-8,
    ],
    [
        0.398_971_17,
        0.341_43,
        0.204_294_34,
        0.062_920_876,
        -0.025_971_174,
        -0.053_744_458,
        -0.044_698_797,
        -0.025_993_75,
        -0.011_735_429,
        -0.004_279_168_3,
        -0.001_285_041_7,
        -0.000_321_381_46,
        -6.741_047e-5,
        -1.191_514_1e-5,
        -1.780_731_2e-6,
        -2.255_803_8e-7,
    ],
    [
        -0.000_363_274_33,
        -0.091_655_955,
        -0.128_709_05,
        -0.102_555_68,
        -0.047_979_303,
        -0.004_002_989_3,
        0.014_634_724,
        0.014_952_701,
        0.009_097_284,
        0.004_086_573,
        0.001_446_027_8,
        0.000_414_972_63,
        9.813_237_6e-5,
        1.931_167e-5,
        3.183_354e-6,
        4.415_839_2e-7,
    ],
    [
        -0.064_910_39,
        -0.045_153_167,
        -0.001_425_379_1,
        0.030_726_986,
        0.034_683_567,
        0.020_119_872,
        0.004_690_083,
        -0.002_892_476_5,
        -0.003_872_572_7,
        -0.002_422_057_3,
        -0.001_060_780_7,
        -0.000_357_321_4,
        -9.622_899e-5,
        -2.114_498_2e-5,
        -3.837_900_3e-6,
        -5.800_659_4e-7,
    ],
];

/// x Phi(x), Phi being the distribution function of the normal distribution, to an absolute error of 5e-7: max(x, 0) - m Phi(-m)
/// with m = |x|, the second term a polynomial of the fourth degree for each of 16 intervals, whose coefficients are one
/// permutation away.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn gelu(x: __m512) -> __m512 {
    // NaN stays NaN: of two operands that cannot be compared, the second one is taken.
    let m = _mm512_min_ps(_mm512_set1_ps(END), _mm512_abs_ps(x));
    let shifted = _mm512_fmadd_ps(m, _mm512_set1_ps(1.0 / WIDTH), _mm512_set1_ps(MAGIC));
    let n = _mm512_sub_ps(shifted, _mm512_set1_ps(MAGIC));
    let d = _mm512_fnmadd_ps(n, _mm512_set1_ps(WIDTH), m);
    // SAFETY: a table is a register.
    let at = |power: usize| unsafe {
        _mm512_permutexvar_ps(_mm512_castps_si512(shifted), _mm512_loadu_ps(TAIL[power].as_ptr()))
    };
    let p = _mm512_fmadd_ps(at(4), d, at(3));
    let p = _mm512_fmadd_ps(p, d, at(2));
    let p = _mm512_fmadd_ps(p, d, at(1));
    let p = _mm512_fmadd_ps(p, d, at(0));
    // max(x, 0); the formula is not a number at minus infinity, and neither is this.
    _mm512_fmadd_ps(_mm512_set1_ps(0.5), _mm512_add_ps(x, _mm512_abs_ps(x)), p)
}
