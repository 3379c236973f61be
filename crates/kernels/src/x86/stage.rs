//! Copies of input rows with their border, and the scratch they lie in.
//!
//! A window that leaves the image reads the zero point. Instead of testing each tap, the rows under the window are
//! copied once into a ring of rows that have the border written out. The copy also packs pixels of a channel slice,
//! splits columns by their phase for strided depthwise windows, and may be read some bytes past its end.

use core::ops::Range;

use fusionproxy_format::Window;

use super::isa::Isa;
use crate::{Element, Shape, Src};

/// Bytes that may be read past the end of a staged row.
pub(super) const SLACK: usize = 512;

/// Hands out parts of a worker's scratch, each aligned to 64 bytes.
pub(super) struct Arena<'s>(&'s mut [u8]);

impl<'s> Arena<'s> {
    /// Over the whole scratch.
    pub(super) fn new(scratch: &'s mut [u8]) -> Self {
        let skip = scratch.as_ptr().align_offset(64);
        Self(scratch.get_mut(skip..).unwrap_or_default())
    }

    /// What [`Self::take`] of `bytes` uses up.
    pub(super) const fn size(bytes: usize) -> usize {
        bytes.next_multiple_of(64)
    }

    /// The next `bytes`.
    ///
    /// # Panics
    /// If the scratch is smaller than the backend asked for, which is a broken contract of the caller.
    pub(super) fn take(&mut self, bytes: usize) -> &'s mut [u8] {
        let (part, rest) = core::mem::take(&mut self.0).split_at_mut(Self::size(bytes));
        self.0 = rest;
        part
    }
}

/// Copies `pixels` pixels of `len` bytes each from a row with `from_pitch` bytes between pixels to one with `to_pitch`.
///
/// # Safety
/// All pixels of both rows lie in live memory, the target may be written, and the rows do not overlap.
#[inline]
pub(super) unsafe fn copy_pixels(
    from: *const u8,
    from_pitch: usize,
    to: *mut u8,
    to_pitch: usize,
    pixels: usize,
    len: usize,
) {
    #[inline(always)]
    unsafe fn fixed<const N: usize>(
        mut from: *const u8,
        from_pitch: usize,
        mut to: *mut u8,
        to_pitch: usize,
        n: usize,
    ) {
        for _ in 0..n {
            // SAFETY: one pixel of each row, as `copy_pixels` demands.
            unsafe { core::ptr::copy_nonoverlapping(from, to, N) };
            from = from.wrapping_add(from_pitch);
            to = to.wrapping_add(to_pitch);
        }
    }
    // SAFETY: the caller's promise is that of `fixed`, and of the copies inside each pixel.
    unsafe {
        if from_pitch == len && to_pitch == len {
            core::ptr::copy_nonoverlapping(from, to, pixels * len);
            return;
        }
        match len {
            1 => fixed::<1>(from, from_pitch, to, to_pitch, pixels),
            2 => fixed::<2>(from, from_pitch, to, to_pitch, pixels),
            3 => fixed::<3>(from, from_pitch, to, to_pitch, pixels),
            4 => fixed::<4>(from, from_pitch, to, to_pitch, pixels),
            8 => fixed::<8>(from, from_pitch, to, to_pitch, pixels),
            16 => fixed::<16>(from, from_pitch, to, to_pitch, pixels),
            24 => fixed::<24>(from, from_pitch, to, to_pitch, pixels),
            32 => fixed::<32>(from, from_pitch, to, to_pitch, pixels),
            40 => fixed::<40>(from, from_pitch, to, to_pitch, pixels),
            48 => fixed::<48>(from, from_pitch, to, to_pitch, pixels),
            64 => fixed::<64>(from, from_pitch, to, to_pitch, pixels),
            _ => {
                let (mut from, mut to) = (from, to);
                for _ in 0..pixels {
                    let mut at = 0;
                    while at + 16 <= len {
                        core::ptr::copy_nonoverlapping(from.add(at), to.add(at), 16);
                        at += 16;
                    }
                    if len >= 16 {
                        // The last 16 bytes again: shorter than a loop over the rest.
                        core::ptr::copy_nonoverlapping(from.add(len - 16), to.add(len - 16), 16);
                    } else {
                        for i in 0..len {
                            to.add(i).write(from.add(i).read());
                        }
                    }
                    from = from.wrapping_add(from_pitch);
                    to = to.wrapping_add(to_pitch);
                }
            }
        }
    }
}

/// [`copy_pixels`] of `len` numbers of `BYTES` bytes a pixel.
///
/// # Safety
/// That of [`copy_pixels`].
pub(super) unsafe fn copy_numbers<const BYTES: usize>(
    from: *const u8,
    from_pitch: usize,
    to: *mut u8,
    to_pitch: usize,
    pixels: usize,
    len: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { copy_pixels(from, from_pitch, to, to_pitch, pixels, len * BYTES) }
}

/// Copies pixels: source, its pitch, target, its pitch, pixels, elements of a pixel; pitches in bytes. The safety
/// contract is that of [`copy_pixels`].
pub(super) type CopyPixels = unsafe fn(*const u8, usize, *mut u8, usize, usize, usize);

/// Geometry of staged rows.
#[derive(Clone, Copy)]
pub(super) struct StagePlan {
    /// Rows in the ring: the reach of the window.
    ring: usize,
    /// Columns are stored by `column % phases`, each phase contiguous.
    phases: usize,
    /// Columns in one phase.
    columns: usize,
    /// Bytes between neighbouring columns of one phase.
    pitch: usize,
    /// Channels are stored in planes of `pitch` each; the last one may have fewer, and half the pitch.
    planes: usize,
    /// Pitch of the last plane.
    last_pitch: usize,
    /// Bytes of a row.
    row: usize,
    /// Bytes by which a row is moved before it is interleaved with itself, 4 bytes each in turn; 0 if it is not. The
    /// interleaved row lies behind the plain one.
    pair: usize,
}

impl StagePlan {
    /// Rows for `window` over an input that gives `output`; `pitch` bytes a pixel; columns split by the stride's phase if
    /// `split`.
    pub(super) fn new(window: &Window, output: Shape, pitch: usize, split: bool) -> Self {
        Self::sized(window, output, pitch, split, 1, pitch)
    }

    /// Rows in planes of 16 channels, one behind the other; a last plane of at most 8 has a pitch of 8.
    pub(super) fn planes(window: &Window, output: Shape, channels: usize) -> Self {
        let rest = channels % 16;
        let last = if rest == 0 || rest > 8 { 16 } else { 8 };
        Self::sized(window, output, 16, false, channels.div_ceil(16), last)
    }

    fn sized(
        window: &Window,
        output: Shape,
        pitch: usize,
        split: bool,
        planes: usize,
        last_pitch: usize,
    ) -> Self {
        let reach =
            |axis: usize| (usize::from(window.kernel[axis]) - 1) * usize::from(window.dilation[axis]) + 1;
        let stride = usize::from(window.stride[1]);
        let width = (output.width - 1) * stride + reach(1);
        let phases = if split { stride } else { 1 };
        let columns = width.div_ceil(phases);
        let row = ((planes - 1) * pitch + last_pitch) * phases * columns + SLACK;
        Self {
            ring: reach(0),
            phases,
            columns,
            pitch,
            planes,
            last_pitch,
            row: row.next_multiple_of(64),
            pair: 0,
        }
    }

    /// With rows that are interleaved with themselves, moved by `bytes`, a multiple of 4. Rows are then only read
    /// interleaved.
    pub(super) fn paired(self, bytes: usize) -> Self {
        // With an odd number of pixels the last one has no partner: its run must be followed by a whole move of slack.
        let row = (self.row + bytes.saturating_sub(SLACK)).next_multiple_of(64);
        Self { pair: bytes, row: row * 3, ..self }
    }

    /// Bytes of scratch: the ring and a row of border.
    pub(super) fn bytes(&self) -> usize {
        (self.ring + 1) * self.row
    }

    /// Byte offset of column `x`, counted from the left border.
    pub(super) fn column(&self, x: usize) -> usize {
        ((x % self.phases) * self.columns + x / self.phases) * self.pitch
    }

    /// Byte offset and pitch of plane `i`.
    pub(super) fn plane(&self, i: usize) -> (usize, usize) {
        let pitch = if i + 1 == self.planes { self.last_pitch } else { self.pitch };
        (i * self.phases * self.columns * self.pitch, pitch)
    }
}

/// Some channels of a view.
#[derive(Clone, Copy)]
pub(super) struct Channels<'m, T> {
    /// The view.
    pub(super) source: Src<'m, T>,
    /// First channel.
    pub(super) first: usize,
    /// How many.
    pub(super) count: usize,
}

/// A ring of staged rows of one input.
pub(super) struct Stage<'m, T> {
    plan: StagePlan,
    memory: *mut u8,
    channels: Channels<'m, T>,
    left: usize,
    border: u8,
    copy: CopyPixels,
    /// Interleaves two runs (see [`super::isa::Isa::pair`]).
    pair: unsafe fn(*const u8, *const u8, *mut u8, usize),
    /// Input rows that have been staged: from the first one asked for, since another thread may be writing those above,
    /// to the last one.
    staged: Range<usize>,
}

impl<'m, T: Element> Stage<'m, T> {
    /// Stages `channels` in `memory`, with `left` columns of border, every byte of which is `border`. `copy` moves (and
    /// converts) the channels of some pixels.
    ///
    /// # Safety
    /// The CPU has the instructions of `I`; `channels` are inside their view; what `copy` writes for a pixel is at most the
    /// plan's pitch.
    ///
    /// # Panics
    /// If `memory` is smaller than [`StagePlan::bytes`].
    pub(super) unsafe fn new<I: Isa>(
        plan: StagePlan,
        memory: &mut [u8],
        channels: Channels<'m, T>,
        left: u8,
        border: u8,
        copy: CopyPixels,
    ) -> Self {
        // The border row is the last one.
        memory[plan.ring * plan.row..plan.bytes()].fill(border);
        Self {
            plan,
            memory: memory.as_mut_ptr(),
            channels,
            left: usize::from(left),
            border,
            copy,
            pair: I::pair,
            staged: 0..0,
        }
    }

    /// Address of input row `y`, left border first, staging it and those between it and the last one asked for.
    /// Rows must be asked for in an order in which no row precedes one asked for earlier by the window's reach.
    pub(super) fn row(&mut self, y: isize) -> *const u8 {
        let height = self.channels.source.shape().height;
        // Of a paired row, the part behind the plain one.
        let skip = if self.plan.pair > 0 { self.plan.row / 3 } else { 0 };
        let border = self.slot(self.plan.ring).wrapping_add(skip);
        let Ok(y) = usize::try_from(y) else { return border };
        if y >= height {
            return border;
        }
        if self.staged.is_empty() {
            self.staged = y..y;
        }
        let Range { start, end } = self.staged;
        // A dilated window may ask for a row above the first one only in its next place.
        for row in (y..start).chain(end.max((y + 1).saturating_sub(self.plan.ring))..y + 1) {
            self.fill(row);
            if self.plan.pair > 0 {
                self.interleave(row);
            }
        }
        self.staged = start.min(y)..end.max(y + 1);
        self.slot(y % self.plan.ring).wrapping_add(skip)
    }

    fn slot(&self, slot: usize) -> *mut u8 {
        debug_assert!(slot <= self.plan.ring);
        // SAFETY: `new` took ring + 1 rows of memory, and slot <= ring.
        unsafe { self.memory.add(slot * self.plan.row) }
    }

    fn fill(&self, y: usize) {
        let StagePlan { phases, columns, planes, .. } = self.plan;
        let Channels { source, first: first_channel, count } = self.channels;
        let layout = source.layout();
        let width = layout.shape.width;
        for part in 0..phases * planes {
            let (phase, plane) = (part % phases, part / phases);
            let (offset, pitch) = self.plan.plane(plane);
            let to = self.slot(y % self.plan.ring).wrapping_add(offset + phase * columns * pitch);
            // With several planes, each but the last has as many channels as bytes.
            let (skip, len) =
                if planes == 1 { (0, count) } else { (plane * 16, (count - plane * 16).min(16)) };
            // Column j of this phase is image column j * phases + phase - left.
            let first = self.left.saturating_sub(phase).div_ceil(phases).min(columns);
            let end = (width + self.left).saturating_sub(phase).div_ceil(phases).clamp(first, columns);
            // SAFETY: columns 0..columns of a phase of a slot lie in the staged memory; columns first..end are image
            // columns, because j >= first gives j * phases + phase >= left and j < end gives
            // j * phases + phase < width + left. The channels are inside the pixel and the copy inside the
            // pitch by the contract of `new`. The scratch is exclusively ours, so it does not overlap the source.
            unsafe {
                core::ptr::write_bytes(to, self.border, first * pitch);
                core::ptr::write_bytes(to.add(end * pitch), self.border, (columns - end) * pitch);
                if first < end {
                    let from = source.ptr(y, first * phases + phase - self.left).add(first_channel + skip);
                    let from_pitch = phases * layout.pixel * size_of::<T>();
                    (self.copy)(from.cast(), from_pitch, to.add(first * pitch), pitch, end - first, len);
                }
            }
        }
    }

    /// Writes the interleaved form of a staged row.
    fn interleave(&self, y: usize) {
        let plain = self.plan.row / 3;
        let slot = self.slot(y % self.plan.ring);
        // What is read past the row and its slack is not needed: it would pair with columns past the last one.
        let len = plain - self.plan.pair.min(plain);
        // SAFETY: a slot has three times `plain` bytes; the moved row ends where the plain one does.
        unsafe { (self.pair)(slot, slot.add(self.plan.pair), slot.add(plain), len / 16) };
    }
}
