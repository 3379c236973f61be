//! Depth-first execution: a chain of operators runs strip by strip, and each worker takes a band of strips.
//!
//! A tensor that lives only inside the chain is a ring of rows in the worker's own memory. A tensor that outlives it is
//! shared: each worker writes the rows of its band, and reads those that nobody is writing. At the border of two bands
//! both workers compute the few rows of their own tensors that the windows reach across it; rows of shared tensors are
//! written once, by the lower band's worker, before the upper one comes to them ([`Phase`]).
//!
//! None of that has to be believed: [`Bands`] proves that the bands of different workers are apart, and a view that a
//! [`Granted`] gives out touches no other row than those that were asked for and granted.

mod granted;
#[cfg(test)]
mod tests;

use core::cell::Cell;
use core::ops::Range;
use core::ptr::NonNull;

use crate::Workers;

pub use granted::{Access, Granted, Place};

/// The rows of a tensor that each strip computes: strip `k` brings a tensor to row `(k + 1) * step + lead`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Rows a strip.
    pub step: u32,
    /// Rows that it runs ahead of the strip, because windows reach down.
    pub lead: i32,
    /// First row that a band needs, counted from its first strip; mostly negative, because windows reach up.
    pub back: i32,
}

impl Rows {
    /// Row `strip * step + offset`, moved into 0..=height.
    fn at(&self, strip: isize, offset: i32, height: usize) -> usize {
        let row = strip * self.step as isize + offset as isize;
        usize::try_from(row).unwrap_or(0).min(height)
    }

    /// What strip `k` of a band that begins at strip `first` computes of a tensor of `height`.
    pub fn of_strip(&self, k: isize, first: usize, height: usize) -> Range<usize> {
        let floor = if first == 0 { 0 } else { self.at(first as isize, self.back, height) };
        let start = self.at(k, self.lead, height).max(floor);
        start..self.at(k + 1, self.lead, height).max(start)
    }

    /// First row of the band that begins at strip `first`.
    pub fn of_band(&self, first: usize, height: usize) -> usize {
        self.at(first as isize, self.back, height)
    }
}

/// A shared tensor, or several side by side, that a chain writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// First byte.
    pub offset: usize,
    /// Bytes from row to row.
    pub row_bytes: usize,
    /// Rows.
    pub height: usize,
    /// Which rows the strips compute.
    pub rows: Rows,
}

/// Which part of a chain runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Everything: no worker reads shared rows of another's band.
    All,
    /// The strips before a band's first: they compute what a band needs to begin, and with it all shared rows that the band
    /// above needs to end.
    Begin,
    /// The strips of the band.
    End,
}

/// How the strips of a chain are divided among workers.
#[derive(Clone, Copy, Debug)]
pub struct Bands<'b> {
    /// Strips of the frame.
    pub strips: usize,
    /// Workers that take part.
    pub workers: usize,
    /// What the chain writes into shared memory.
    pub written: &'b [Written],
    /// Bytes of the output image in each strip.
    pub output_strip: usize,
}

/// The memory of a chain.
pub struct Lent<'m> {
    /// What all workers share.
    pub shared: &'m mut [u8],
    /// Of each worker in turn its rings, then its scratch.
    pub private: &'m mut [u8],
    /// Bytes of one worker's rings and scratch.
    pub per_worker: usize,
    /// Bytes of one worker's rings.
    pub rings: usize,
    /// The output image.
    pub output: &'m mut [u8],
}

impl Bands<'_> {
    /// The strips of a worker.
    pub fn strips_of(&self, worker: usize) -> Range<usize> {
        let cut = |worker: usize| self.strips * worker / self.workers.max(1);
        cut(worker)..cut(worker + 1)
    }

    /// The rows of a shared tensor that a worker may write.
    fn rows_of(&self, w: &Written, worker: usize, phase: Phase) -> Range<usize> {
        let Range { start: first, end } = self.strips_of(worker);
        let begin = w.rows.of_band(first, w.height);
        let begun = w.rows.at(first as isize, w.rows.lead, w.height);
        let done = if worker + 1 == self.workers { w.height } else { w.rows.of_band(end, w.height) };
        match phase {
            Phase::All => (if worker == 0 { 0 } else { begin })..done,
            Phase::Begin => (if worker == 0 { 0 } else { begin })..begun,
            Phase::End => begun..done,
        }
    }

    fn bytes_of(&self, w: &Written, worker: usize, phase: Phase) -> Range<usize> {
        let rows = self.rows_of(w, worker, phase);
        w.offset + rows.start * w.row_bytes..w.offset + rows.end.max(rows.start) * w.row_bytes
    }

    /// Whether no worker writes what another does, in memory of `bytes`.
    fn apart(&self, phase: Phase, bytes: usize) -> bool {
        let whole = |w: &Written| {
            let end = w.height.checked_mul(w.row_bytes).and_then(|n| n.checked_add(w.offset));
            end.filter(|end| *end <= bytes).map(|end| w.offset..end)
        };
        let tensors = self.written.iter().enumerate().all(|(i, a)| {
            let others = self.written.iter().take(i);
            whole(a).is_some_and(|a| others.filter_map(whole).all(|b| a.end <= b.start || b.end <= a.start))
        });
        let bands = |w: &Written| {
            (1..self.workers).all(|worker| {
                self.bytes_of(w, worker - 1, phase).end <= self.bytes_of(w, worker, phase).start
            })
        };
        self.workers <= 1 || tensors && self.written.iter().all(bands)
    }

    /// The band of one worker, alone.
    ///
    /// `None` if the private memory is too small.
    pub fn band<'m>(&'m self, worker: usize, phase: Phase, lent: &'m mut Lent<'_>) -> Option<Band<'m>> {
        let (rings, scratch) = lent.private.split_at_mut_checked(lent.rings)?;
        let own = self.output_of(worker, lent.output.len());
        let output = lent.output.get_mut(own)?;
        let memory = (NonNull::from(&mut *lent.shared).cast(), lent.shared.len());
        let rings = Cell::from_mut(rings).as_slice_of_cells();
        Some(Band { granted: Granted { bands: self, worker, phase, memory, rings }, scratch, output })
    }

    /// The bytes of the output image in a worker's band.
    fn output_of(&self, worker: usize, len: usize) -> Range<usize> {
        let strips = self.strips_of(worker);
        let cut = |strip: usize| strip.saturating_mul(self.output_strip).min(len);
        cut(strips.start)..if worker + 1 == self.workers { len } else { cut(strips.end) }
    }

    /// Runs `task` on each worker with its band. `false`, without having run anything, if the bands are not apart or the
    /// memory does not suffice.
    pub fn scatter<W: Workers + ?Sized>(
        &self,
        workers: &W,
        phase: Phase,
        lent: &mut Lent<'_>,
        task: &(dyn Fn(&mut Band<'_>) + Sync),
    ) -> bool {
        let Lent { per_worker, rings, .. } = *lent;
        let enough = self.workers.checked_mul(per_worker).is_some_and(|n| n <= lent.private.len());
        let counted = (1..=workers.count()).contains(&self.workers)
            && self.strips.checked_mul(self.workers).is_some()
            && rings <= per_worker;
        if !enough || !counted || !self.apart(phase, lent.shared.len()) {
            return false;
        }
        let len = lent.output.len();
        let common = Common {
            memory: NonNull::from(&mut *lent.shared),
            private: NonNull::from(&mut *lent.private).cast(),
            output: NonNull::from(&mut *lent.output).cast(),
        };
        let common = &common;
        workers.scatter(&move |worker| {
            if worker >= self.workers {
                return;
            }
            let own = self.output_of(worker, len);
            // SAFETY: `scatter` runs each worker number once at a time, `self.workers` parts of `per_worker` bytes lie in
            // `private`, and the worker's bytes of the output end where the next one's begin: both slices are this
            // call's alone.
            let (private, output) = unsafe {
                let private = common.private.add(worker * per_worker).as_ptr();
                let output = common.output.add(own.start).as_ptr();
                (
                    core::slice::from_raw_parts_mut(private, per_worker),
                    core::slice::from_raw_parts_mut(output, own.len()),
                )
            };
            let (rings, scratch) = private.split_at_mut(rings);
            let memory = (common.memory.cast(), common.memory.len());
            let rings = Cell::from_mut(rings).as_slice_of_cells();
            task(&mut Band {
                granted: Granted { bands: self, worker, phase, memory, rings },
                scratch,
                output,
            });
        });
        true
    }
}

/// What `scatter` lends to all workers at once.
struct Common {
    memory: NonNull<[u8]>,
    private: NonNull<u8>,
    output: NonNull<u8>,
}

// SAFETY: each worker takes its own parts of the private memory and of the output. The shared memory it reaches through a
// `Granted`, which gives out rows that no other worker writes for reading, and rows that are its own for writing.
unsafe impl Sync for Common {}

/// One worker's part of a chain: its memory.
pub struct Band<'m> {
    /// What it may read and write.
    pub granted: Granted<'m>,
    /// Its scratch.
    pub scratch: &'m mut [u8],
    /// Its part of the output image.
    pub output: &'m mut [u8],
}
