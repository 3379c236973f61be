//! Buffers for the stored tensors: tensors that are not alive at the same time share one.

use alloc::vec::Vec;

/// A tensor's memory: when it is written, when it is last read, and how large it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    /// Dispatch that writes it.
    pub first: usize,
    /// Last dispatch that reads it.
    pub last: usize,
    /// Bytes.
    pub bytes: usize,
}

/// Sizes of the buffers, and the number of each tensor's. `lives` are in order of `first`.
pub(crate) fn share(lives: &[Life]) -> (Vec<usize>, Vec<usize>) {
    let (mut sizes, mut free_from) = (Vec::<usize>::new(), Vec::<usize>::new());
    let mut places = Vec::with_capacity(lives.len());
    for life in lives {
        // Of the free ones, the smallest that is large enough, else the largest, which grows.
        let fit = |&b: &usize| {
            let size = sizes[b];
            if size >= life.bytes { (0, size - life.bytes) } else { (1, life.bytes - size) }
        };
        let free = (0..sizes.len()).filter(|b| free_from[*b] < life.first).min_by_key(fit);
        let place = free.unwrap_or_else(|| {
            sizes.push(0);
            free_from.push(0);
            sizes.len() - 1
        });
        sizes[place] = sizes[place].max(life.bytes);
        free_from[place] = life.last.max(life.first);
        places.push(place);
    }
    (sizes, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_share_a_buffer_only_when_the_first_is_read_before_the_second_is_written() {
        let life = |first, last, bytes| Life { first, last, bytes };
        let lives = [life(0, 2, 10), life(1, 3, 20), life(3, 4, 5), life(4, 5, 30), life(6, 6, 8)];
        let (sizes, places) = share(&lives);
        assert_eq!(places, [0, 1, 0, 1, 0]);
        assert_eq!(sizes, [10, 30]);
    }
}
