//! Refinement of a map by Gauss-Newton steps on the enhanced correlation coefficient.

use crate::level::{Level, Sums};
use crate::map::{HOMOGRAPHY, Map};

/// Steps at most.
const STEPS: usize = 40;
/// Halvings of a step that does not help.
const HALVINGS: usize = 4;
/// A step that moves nothing by more than this has arrived; half the frame is 1.
const ARRIVED: f64 = 2e-5;

/// Moves the first `parameters` of `map` to the nearest maximum. Gives the map and its correlation.
pub(crate) fn refine(level: &Level, map: Map, parameters: usize) -> (Map, f64) {
    let mut at = (map, level.sums(&map, true));
    for _ in 0..STEPS {
        let Some(mut step) = step(&at.1, parameters) else { break };
        let mut moved = false;
        for _ in 0..=HALVINGS {
            let mut to = at.0;
            to.0.iter_mut().zip(&step).for_each(|(p, s)| *p += s);
            let sums = level.sums(&to, true);
            if sums.correlation() > at.1.correlation() {
                at = (to, sums);
                moved = true;
                break;
            }
            step.iter_mut().for_each(|s| *s *= 0.5);
        }
        if !moved || step.iter().all(|s| s.abs() < ARRIVED) {
            break;
        }
    }
    (at.0, at.1.correlation())
}

/// The step that maximises the correlation of the linearised field (Evangelidis and Psarakis, eqs. 18 and 19).
fn step(s: &Sums, parameters: usize) -> Option<[f64; HOMOGRAPHY]> {
    let from_w = solve(&s.gg, &s.gw, parameters)?;
    let from_t = solve(&s.gg, &s.gt, parameters)?;
    let dot =
        |a: &[f64; HOMOGRAPHY], b: &[f64; HOMOGRAPHY]| (0..parameters).map(|i| a[i] * b[i]).sum::<f64>();
    let (ww, tw) = (s.ww - dot(&s.gw, &from_w), s.tw - dot(&s.gt, &from_w));
    // Where the linearised field cannot correlate positively, the visible field alone says where to go.
    let lambda = if tw > 0.0 { ww / tw } else { (s.ww / dot(&s.gt, &from_t).max(f64::MIN_POSITIVE)).sqrt() };
    let mut out = [0.0; HOMOGRAPHY];
    for i in 0..parameters {
        out[i] = lambda * from_t[i] - from_w[i];
    }
    out.iter().all(|v| v.is_finite()).then_some(out)
}

/// Solves the leading `n` equations by Cholesky's method; the lower half of `a` is read, and lightly damped.
fn solve(a: &[[f64; HOMOGRAPHY]; HOMOGRAPHY], b: &[f64; HOMOGRAPHY], n: usize) -> Option<[f64; HOMOGRAPHY]> {
    let damping = 1e-7 * (0..n).map(|i| a[i][i]).sum::<f64>() / n as f64;
    let mut l = [[0.0; HOMOGRAPHY]; HOMOGRAPHY];
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| l[i][k] * l[j][k]).sum();
            if i == j {
                let d = a[i][i] + damping - sum;
                if d.is_nan() || d <= 0.0 {
                    return None;
                }
                l[i][i] = d.sqrt();
            } else {
                l[i][j] = (a[i][j] - sum) / l[j][j];
            }
        }
    }
    let mut x = [0.0; HOMOGRAPHY];
    for i in 0..n {
        x[i] = (b[i] - (0..i).map(|k| l[i][k] * x[k]).sum::<f64>()) / l[i][i];
    }
    for i in (0..n).rev() {
        x[i] = (x[i] - (i + 1..n).map(|k| l[k][i] * x[k]).sum::<f64>()) / l[i][i];
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_solved() {
        let mut a = [[0.0; HOMOGRAPHY]; HOMOGRAPHY];
        a[0][0] = 4.0;
        a[1][0] = 2.0;
        a[1][1] = 5.0;
        a[2][1] = -1.0;
        a[2][2] = 3.0;
        let mut b = [0.0; HOMOGRAPHY];
        // x = 1, -2, 3
        b[..3].copy_from_slice(&[0.0, -11.0, 11.0]);
        let x = solve(&a, &b, 3).unwrap();
        assert!((x[0] - 1.0).abs() < 1e-5 && (x[1] + 2.0).abs() < 1e-5 && (x[2] - 3.0).abs() < 1e-5, "{x:?}");
        a[2][2] = 0.0;
        assert!(solve(&a, &b, 3).is_none());
    }
}
