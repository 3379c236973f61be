//! Strided NHWC views of memory that may be shared within one thread.
//!
//! An arena is lent as `&[Cell<u8>]`, so that the inputs and the output of an operator can overlap (in-place operators) or
//! interleave (channel slices of a concatenation). No reference to an element ever exists: kernels read and write through
//! the views, or through raw pointers that the views hand out.

use core::cell::Cell;
use core::marker::PhantomData;
use core::ops::Range;
use core::ptr::NonNull;

use half::f16;

use crate::Shape;
use crate::lane::{Lane, LaneMut};

mod sealed {
    use super::Src;
    use crate::AnySrc;

    /// What a view of unknown element type holds if it holds `Self`.
    pub trait Sealed: Sized {
        fn of<'m>(any: &AnySrc<'m>) -> Option<Src<'m, Self>>;
    }
    impl Sealed for u8 {
        fn of<'m>(any: &AnySrc<'m>) -> Option<Src<'m, Self>> {
            if let AnySrc::U8(v) = any { Some(*v) } else { None }
        }
    }
    impl Sealed for half::f16 {
        fn of<'m>(any: &AnySrc<'m>) -> Option<Src<'m, Self>> {
            if let AnySrc::F16(v) = any { Some(*v) } else { None }
        }
    }
    impl Sealed for f32 {
        fn of<'m>(any: &AnySrc<'m>) -> Option<Src<'m, Self>> {
            if let AnySrc::F32(v) = any { Some(*v) } else { None }
        }
    }
}

/// Element types of tensors: plain numbers for which every bit pattern is valid.
pub trait Element: sealed::Sealed + Copy + Default + PartialEq + core::fmt::Debug + 'static {}
impl Element for u8 {}
impl Element for f16 {}
impl Element for f32 {}

/// Reinterprets arena bytes as elements. `None` if the bytes are not aligned for `T`; a rest shorter than `T` is left out.
pub fn cells_of<T: Element>(bytes: &[Cell<u8>]) -> Option<&[Cell<T>]> {
    if !bytes.as_ptr().addr().is_multiple_of(align_of::<T>()) {
        return None;
    }
    // SAFETY: the pointer is aligned for T (just checked) and covers len / size_of::<T>() elements; `Cell<T>` has the
    // layout of T, every bit pattern is a valid T (`Element` is sealed to u8, f16 and f32), and shared mutation through
    // cells of either type is allowed within the one thread that can hold them.
    Some(unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) })
}

/// Copies bytes into cells, as many as both have. By [`Cell::set`] it would be byte by byte wherever the compiler cannot tell
/// that they do not overlap.
pub fn set_cells(to: &[Cell<u8>], from: &[u8]) {
    let n = to.len().min(from.len());
    // SAFETY: n bytes of each, which may be written through cells; overlapping or not, `copy` moves them.
    unsafe { core::ptr::copy(from.as_ptr(), to.as_ptr().cast_mut().cast(), n) }
}

/// Copies cells into bytes, as many as both have; see [`set_cells`].
pub fn get_cells(from: &[Cell<u8>], to: &mut [u8]) {
    let n = to.len().min(from.len());
    // SAFETY: as there; a cell has the layout of its byte.
    unsafe { core::ptr::copy(from.as_ptr().cast(), to.as_mut_ptr(), n) }
}

/// Shape and strides of a view, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Height, width, channels.
    pub shape: Shape,
    /// Distance between horizontally neighbouring pixels, at least `channels`.
    pub pixel: usize,
    /// Distance between rows.
    pub row: usize,
    /// Rows that are stored: row `y` lies at `y % ring`. Equal to the height for a whole tensor, less for a line buffer.
    pub ring: usize,
}

impl Layout {
    /// Rows behind one another, pixels without gaps.
    pub const fn dense(shape: Shape) -> Self {
        let pixel = shape.channels;
        Self { shape, pixel, row: pixel * shape.width, ring: shape.height }
    }

    /// Elements from the first to the last one inclusive, or `None` if the layout is not valid or overflows.
    pub fn span(&self) -> Option<usize> {
        let Shape { height, width, channels } = self.shape;
        if height == 0 || width == 0 || channels == 0 || self.ring == 0 || self.pixel < channels {
            return None;
        }
        let in_row = (width - 1).checked_mul(self.pixel)?.checked_add(channels)?;
        if self.row < in_row {
            return None;
        }
        (height.min(self.ring) - 1).checked_mul(self.row)?.checked_add(in_row)
    }
}

/// A read-only strided view.
#[derive(Clone, Copy)]
pub struct Src<'m, T> {
    data: NonNull<T>,
    layout: Layout,
    window: Window,
    memory: PhantomData<&'m [Cell<T>]>,
}

/// The rows of a view that may be touched.
#[derive(Clone, Copy)]
struct Window {
    first: usize,
    end: usize,
    /// The last row at or above `first` that lies at the start of the memory: from it to a row it is a subtraction, not a
    /// division, to the row's place.
    base: usize,
}

impl Window {
    fn of(layout: &Layout, rows: Range<usize>) -> Self {
        // The layout of a view has a span, and so a ring of at least one row.
        Self { first: rows.start, end: rows.end, base: rows.start - rows.start % layout.ring }
    }
}

/// A strided view that can be written.
#[derive(Clone, Copy)]
pub struct Dst<'m, T>(pub(crate) Src<'m, T>);

impl<'m, T: Element> Src<'m, T> {
    /// A view of constant elements, element (0, 0, 0) first. `None` if the layout does not fit into them.
    pub fn new(elements: &'m [T], layout: Layout) -> Option<Self> {
        (layout.span()? <= elements.len()).then(|| Self {
            data: NonNull::from(elements).cast(),
            layout,
            window: Window::of(&layout, 0..layout.shape.height),
            memory: PhantomData,
        })
    }

    /// A view of arena elements, element (0, 0, 0) first. `None` if the layout does not fit into them.
    pub fn of_cells(cells: &'m [Cell<T>], layout: Layout) -> Option<Self> {
        (layout.span()? <= cells.len()).then(|| Self {
            data: NonNull::from(cells).cast(),
            layout,
            window: Window::of(&layout, 0..layout.shape.height),
            memory: PhantomData,
        })
    }

    /// The same view, of which nothing but `rows` may be touched.
    #[must_use]
    pub fn window(self, rows: Range<usize>) -> Self {
        let (first, end) = (rows.start.max(self.window.first), rows.end.min(self.window.end));
        Self { window: Window::of(&self.layout, first..end), ..self }
    }

    /// A view of part of an allocation that is also lent to others, which touches nothing but `rows`. `None` if the layout
    /// is not valid, does not fit into `bytes` from `data` on, or `data` is not aligned.
    ///
    /// # Safety
    /// For `'m`, `data` is valid for reads of `bytes` and nobody writes what belongs to `rows` but through views of the
    /// same thread.
    pub(crate) unsafe fn of_rows(
        data: NonNull<u8>,
        bytes: usize,
        layout: Layout,
        rows: Range<usize>,
    ) -> Option<Self> {
        let data = data.cast::<T>();
        let fits = layout.span()?.checked_mul(size_of::<T>())? <= bytes && data.is_aligned();
        let rows = rows.start..rows.end.min(layout.shape.height);
        fits.then(|| Self { data, layout, window: Window::of(&layout, rows), memory: PhantomData })
    }

    /// Shape and strides.
    #[inline(always)]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Height, width, channels.
    #[inline(always)]
    pub fn shape(&self) -> Shape {
        self.layout.shape
    }

    /// Address of the memory, row 0 of which may lie outside of the window.
    pub(crate) fn start(&self) -> usize {
        self.data.addr().get()
    }

    /// For kernels that take the address of the first of several rows alone.
    ///
    /// # Panics
    /// If one of `rows` lies outside of the view.
    #[inline(always)]
    pub(crate) fn expect_rows(&self, rows: &Range<usize>) {
        let w = &self.window;
        assert!(w.first <= rows.start && rows.start <= rows.end && rows.end <= w.end);
    }

    /// Whether pixels follow one another without gaps.
    pub fn packed_pixels(&self) -> bool {
        self.layout.pixel == self.layout.shape.channels
    }

    /// Element offset of pixel (y, x).
    ///
    /// # Panics
    /// If the pixel lies outside the view.
    #[inline(always)]
    fn offset(&self, y: usize, x: usize) -> usize {
        let (l, w) = (&self.layout, &self.window);
        assert!(y >= w.first && y < w.end && x < l.shape.width);
        let mut row = y - w.base;
        if row >= l.ring {
            row -= l.ring;
            // Only where the window has more rows than the ring.
            if row >= l.ring {
                row %= l.ring;
            }
        }
        row * l.row + x * l.pixel
    }

    /// Address of pixel (y, x), from which `channels` elements, and as many pixels as follow in the row at distance
    /// `layout().pixel`, may be read.
    ///
    /// # Panics
    /// If the pixel lies outside the view.
    #[inline(always)]
    pub fn ptr(&self, y: usize, x: usize) -> *const T {
        let offset = self.offset(y, x);
        // SAFETY: the offset of a pixel inside the view lies inside the memory that the constructor measured.
        unsafe { self.data.add(offset) }.as_ptr()
    }

    /// The channels of pixel (y, x).
    ///
    /// # Panics
    /// If the pixel lies outside the view.
    #[inline(always)]
    pub fn pixel(&self, y: usize, x: usize) -> Lane<'m, T> {
        let offset = self.offset(y, x);
        // SAFETY: see `ptr`; the channels of the pixel follow it inside the measured memory.
        unsafe { Lane::new(self.data.add(offset), self.layout.shape.channels) }
    }

    /// All elements of row `y`, pixel by pixel, if pixels follow one another without gaps.
    ///
    /// # Panics
    /// If the row lies outside the view.
    #[inline(always)]
    pub fn row(&self, y: usize) -> Option<Lane<'m, T>> {
        let offset = self.offset(y, 0);
        let Shape { width, channels, .. } = self.layout.shape;
        // SAFETY: see `ptr`; without gaps, the row's width * channels elements follow its first one, and all of them are
        // part of the measured memory.
        self.packed_pixels().then(|| unsafe { Lane::new(self.data.add(offset), width * channels) })
    }

    /// Channel `c` of every pixel of row `y`, from left to right.
    ///
    /// # Panics
    /// If the row or the channel lies outside the view.
    #[inline(always)]
    pub fn across(&self, y: usize, c: usize) -> impl ExactSizeIterator<Item = T> + use<'m, T> {
        assert!(c < self.layout.shape.channels);
        let (data, pixel) = (self.data, self.layout.pixel);
        let offset = self.offset(y, 0) + c;
        // SAFETY: element (y, x, c) lies in the measured memory for each x below the width.
        (0..self.layout.shape.width).map(move |x| unsafe { data.add(offset + x * pixel).read() })
    }

    /// One element.
    ///
    /// # Panics
    /// If it lies outside the view.
    #[inline(always)]
    pub fn get(&self, y: usize, x: usize, c: usize) -> T {
        self.pixel(y, x).get(c)
    }
}

impl<'m, T: Element> Dst<'m, T> {
    /// A view of arena elements, element (0, 0, 0) first. `None` if the layout does not fit into them.
    pub fn new(cells: &'m [Cell<T>], layout: Layout) -> Option<Self> {
        Src::of_cells(cells, layout).map(Self)
    }

    /// The same memory, for reading.
    #[inline(always)]
    pub fn as_src(&self) -> Src<'m, T> {
        self.0
    }

    /// Shape and strides.
    #[inline(always)]
    pub fn layout(&self) -> &Layout {
        &self.0.layout
    }

    /// Height, width, channels.
    #[inline(always)]
    pub fn shape(&self) -> Shape {
        self.0.layout.shape
    }

    /// Address of pixel (y, x); see [`Src::ptr`].
    ///
    /// # Panics
    /// If the pixel lies outside the view.
    #[inline(always)]
    pub fn ptr(&self, y: usize, x: usize) -> *mut T {
        self.0.ptr(y, x).cast_mut()
    }

    /// The channels of pixel (y, x).
    ///
    /// # Panics
    /// If the pixel lies outside the view.
    #[inline(always)]
    pub fn pixel(&self, y: usize, x: usize) -> LaneMut<'m, T> {
        // SAFETY: a `Dst` is only made from cells, so that its memory may be written.
        unsafe { LaneMut::new(self.0.pixel(y, x)) }
    }

    /// All elements of row `y`, pixel by pixel, if pixels follow one another without gaps.
    ///
    /// # Panics
    /// If the row lies outside the view.
    #[inline(always)]
    pub fn row(&self, y: usize) -> Option<LaneMut<'m, T>> {
        // SAFETY: as in `pixel`.
        self.0.row(y).map(|lane| unsafe { LaneMut::new(lane) })
    }

    /// Writes one element.
    ///
    /// # Panics
    /// If it lies outside the view.
    #[inline(always)]
    pub fn set(&self, y: usize, x: usize, c: usize, value: T) {
        self.pixel(y, x).set(c, value);
    }
}
