//! Which input element a tap of a window reads.

use fusionproxy_format::Window;

/// The input row (`axis` 0) or column (`axis` 1) that tap `k` of the window at output position `o` reads, or `None` if it
/// lies outside of the `extent` input elements.
#[inline(always)]
pub(crate) fn forward(w: &Window, axis: usize, o: usize, k: usize, extent: usize) -> Option<usize> {
    let at = o * usize::from(w.stride[axis]) + k * usize::from(w.dilation[axis]);
    at.checked_sub(usize::from(w.pad[axis])).filter(|i| *i < extent)
}

/// As [`forward`] for a transposed convolution: the input element whose window has output position `o` under tap `k`.
#[inline(always)]
pub(crate) fn transposed(w: &Window, axis: usize, o: usize, k: usize, extent: usize) -> Option<usize> {
    let at = (o + usize::from(w.pad[axis])).checked_sub(k * usize::from(w.dilation[axis]))?;
    let stride = usize::from(w.stride[axis]);
    at.is_multiple_of(stride).then_some(at / stride).filter(|i| *i < extent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposed_inverts_forward() {
        let w = Window { kernel: [3, 3], stride: [2, 3], dilation: [1, 2], pad: [1, 2, 1, 2] };
        for axis in 0..2 {
            let (small, large) = (5, 12);
            for i in 0..small {
                for k in 0..3 {
                    if let Some(o) = forward(&w, axis, i, k, large) {
                        assert_eq!(transposed(&w, axis, o, k, small), Some(i));
                    }
                }
            }
        }
        assert_eq!(forward(&w, 0, 0, 0, 9), None);
        assert_eq!(forward(&w, 0, 0, 1, 9), Some(0));
        assert_eq!(transposed(&w, 0, 0, 0, 9), None);
        assert_eq!(transposed(&w, 0, 0, 1, 9), Some(0));
    }
}
