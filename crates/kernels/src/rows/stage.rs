//! Copies of input rows with their border, and the scratch they lie in.
//!
//! A window that leaves the image reads the zero point. Instead of testing each tap, the rows under the window are copied
//! once into a ring of rows that have the border written out. The copy also packs pixels of a channel slice, splits
//! columns by their phase for strided depthwise windows, and may be read some bytes past its end.

use core::ops::Range;

use fusionproxy_format::Window;

use crate::{Element, Shape, Src};

/// Bytes that may be read past the end of a staged row: a vector.
const SLACK: usize = 16;

/// Hands out parts of a worker's scratch, each aligned to 64 bytes as the scratch itself is ([`crate::Call::expect_units`]).
pub(crate) struct Parts<'s>(&'s mut [u8]);

impl<'s> Parts<'s> {
    pub(crate) fn new(scratch: &'s mut [u8]) -> Self {
        Self(scratch)
    }

    /// What [`Self::take`] of `bytes` uses up.
    pub(crate) const fn size(bytes: usize) -> usize {
        bytes.next_multiple_of(64)
    }

    /// The next `bytes`.
    ///
    /// # Panics
    /// If the scratch is smaller than the backend asked for, which is a broken contract of the caller.
    pub(crate) fn take(&mut self, bytes: usize) -> &'s mut [u8] {
        let (part, rest) = core::mem::take(&mut self.0).split_at_mut(Self::size(bytes));
        self.0 = rest;
        part
    }
}

/// Copies the `len` bytes of each of `pixels` pixels between rows with these distances between pixels.
///
/// # Safety
/// All pixels of both rows lie in live memory, the target may be written, and the rows do not overlap.
pub(crate) unsafe fn copy_pixels(
    (from, from_pitch): (*const u8, usize),
    (to, to_pitch): (*mut u8, usize),
    pixels: usize,
    len: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if from_pitch == len && to_pitch == len {
            copy_run(from, to, pixels * len);
            return;
        }
        // Lengths of the students' features get copies of constant size, which need no loop.
        match len {
            1 => fixed::<1>((from, from_pitch), (to, to_pitch), pixels),
            8 => fixed::<8>((from, from_pitch), (to, to_pitch), pixels),
            16 => fixed::<16>((from, from_pitch), (to, to_pitch), pixels),
            24 => fixed::<24>((from, from_pitch), (to, to_pitch), pixels),
            32 => fixed::<32>((from, from_pitch), (to, to_pitch), pixels),
            40 => fixed::<40>((from, from_pitch), (to, to_pitch), pixels),
            48 => fixed::<48>((from, from_pitch), (to, to_pitch), pixels),
            _ => {
                for i in 0..pixels {
                    core::ptr::copy_nonoverlapping(from.add(i * from_pitch), to.add(i * to_pitch), len);
                }
            }
        }
    }
}

/// Copies `n` bytes. On a microcontroller, `memcpy` is the compiler's own, which takes an instruction a byte.
///
/// # Safety
/// They can be read and written, and do not overlap.
pub(super) unsafe fn copy_run(from: *const u8, to: *mut u8, n: usize) {
    // SAFETY: the caller's promise; the instructions are those of the CPU that `helium` names.
    unsafe {
        #[cfg(all(target_arch = "arm", helium))]
        crate::arm::copy(from, to, n);
        #[cfg(not(all(target_arch = "arm", helium)))]
        core::ptr::copy_nonoverlapping(from, to, n);
    }
}

/// # Safety
/// As [`copy_pixels`].
#[inline]
unsafe fn fixed<const N: usize>(
    (from, from_pitch): (*const u8, usize),
    (to, to_pitch): (*mut u8, usize),
    pixels: usize,
) {
    for i in 0..pixels {
        // SAFETY: one pixel of each row, as the caller promises.
        unsafe { core::ptr::copy_nonoverlapping(from.add(i * from_pitch), to.add(i * to_pitch), N) };
    }
}

/// Geometry of staged rows.
#[derive(Clone, Copy)]
pub(crate) struct StagePlan {
    /// Rows in the ring: the reach of the window.
    ring: usize,
    /// Columns are stored by `column % phases`, each phase contiguous.
    phases: usize,
    /// Columns in one phase.
    columns: usize,
    /// Bytes between neighbouring columns of one phase.
    pitch: usize,
    /// Bytes of a row.
    row: usize,
}

impl StagePlan {
    /// Rows for `window` over an input that gives `output`; `pitch` bytes a pixel; columns split by the stride's phase if
    /// `split`.
    pub(crate) fn new(window: &Window, output: Shape, pitch: usize, split: bool) -> Self {
        let reach =
            |axis: usize| (usize::from(window.kernel[axis]) - 1) * usize::from(window.dilation[axis]) + 1;
        let stride = usize::from(window.stride[1]);
        let width = (output.width - 1) * stride + reach(1);
        let phases = if split { stride } else { 1 };
        let columns = width.div_ceil(phases);
        Self {
            ring: reach(0),
            phases,
            columns,
            pitch,
            row: (phases * columns * pitch + SLACK).next_multiple_of(64),
        }
    }

    /// Bytes of scratch: the ring and a row of border.
    pub(crate) fn bytes(&self) -> usize {
        (self.ring + 1) * self.row
    }

    /// Byte offset of column `x`, counted from the left border.
    pub(crate) fn column(&self, x: usize) -> usize {
        ((x % self.phases) * self.columns + x / self.phases) * self.pitch
    }
}

/// A ring of staged rows of some channels of one input.
pub(crate) struct Stage<'m, 's, T> {
    plan: StagePlan,
    memory: &'s mut [u8],
    source: Src<'m, T>,
    first: usize,
    count: usize,
    left: usize,
    border: u8,
    /// Input rows that have been staged: from the first one asked for, since another thread may be writing those above,
    /// to the last one.
    staged: Range<usize>,
}

impl<'m, 's, T: Element> Stage<'m, 's, T> {
    /// Stages the `channels.1` channels from `channels.0` on in `memory`, with `left` columns of border, every byte of
    /// which is `border`.
    ///
    /// # Panics
    /// If `memory` is smaller than [`StagePlan::bytes`], or the channels are not the source's or exceed the pitch.
    pub(crate) fn new(
        plan: StagePlan,
        memory: &'s mut [u8],
        source: Src<'m, T>,
        channels: (usize, usize),
        left: u8,
        border: u8,
    ) -> Self {
        let (first, count) = channels;
        assert!(
            memory.len() >= plan.bytes()
                && first + count <= source.shape().channels
                && count * size_of::<T>() <= plan.pitch
        );
        // The border row is the last one.
        memory[plan.ring * plan.row..plan.bytes()].fill(border);
        Self { plan, memory, source, first, count, left: usize::from(left), border, staged: 0..0 }
    }

    /// Address of input row `y`, left border first, staging it and those between it and the last one asked for. Rows
    /// must be asked for in an order in which no row precedes one asked for earlier by the window's reach.
    pub(crate) fn row(&mut self, y: isize) -> *const u8 {
        let height = self.source.shape().height;
        let slot = match usize::try_from(y) {
            Ok(y) if y < height => {
                if self.staged.is_empty() {
                    self.staged = y..y;
                }
                let Range { start, end } = self.staged;
                // A dilated window may ask for a row above the first one only in its next place.
                for row in (y..start).chain(end.max((y + 1).saturating_sub(self.plan.ring))..y + 1) {
                    self.fill(row);
                }
                self.staged = start.min(y)..end.max(y + 1);
                y % self.plan.ring
            }
            _ => self.plan.ring,
        };
        self.memory.as_ptr().wrapping_add(slot * self.plan.row)
    }

    fn fill(&mut self, y: usize) {
        let StagePlan { phases, columns, pitch, ring, row } = self.plan;
        let slot = &mut self.memory[y % ring * row..][..row];
        let width = self.source.shape().width;
        for (phase, to) in slot.chunks_exact_mut(columns * pitch).take(phases).enumerate() {
            // Column j of this phase is image column j * phases + phase - left.
            let first = self.left.saturating_sub(phase).div_ceil(phases).min(columns);
            let end = (width + self.left).saturating_sub(phase).div_ceil(phases).clamp(first, columns);
            to[..first * pitch].fill(self.border);
            to[end * pitch..].fill(self.border);
            if first < end {
                let from = self.source.ptr(y, first * phases + phase - self.left);
                let to = to[first * pitch..end * pitch].as_mut_ptr();
                let from_pitch = phases * self.source.layout().pixel * size_of::<T>();
                // SAFETY: columns first..end are image columns, because j >= first gives j * phases + phase >= left and
                // j < end gives j * phases + phase < width + left. `new` has checked that the channels are the
                // source's and fit the pitch. The scratch is exclusively ours and does not overlap the source.
                unsafe {
                    let from = from.add(self.first).cast();
                    copy_pixels((from, from_pitch), (to, pitch), end - first, self.count * size_of::<T>());
                }
            }
        }
    }
}
