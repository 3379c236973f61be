//! Strided NHWC views of memory that may be shared within one thread.
//!
//! An arena is lent as `&[Cell<u8>]`, so that the inputs and the output of an operator can overlap (in-place operators) or
//! interleave (channel slices of a concatenation). No reference to an element ever exists: kernels read and write through
//! the views, or through raw pointers that the views hand out.

use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr::NonNull;

use half::f16;

use crate::Shape;

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for half::f16 {}
    impl Sealed for f32 {}
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
    memory: PhantomData<&'m [Cell<T>]>,
}

/// A strided view that can be written.
#[derive(Clone, Copy)]
pub struct Dst<'m, T>(Src<'m, T>);

/// Consecutive elements of one pixel or row of a [`Src`].
#[derive(Clone, Copy)]
pub struct Lane<'m, T> {
    data: NonNull<T>,
    len: usize,
    memory: PhantomData<&'m [Cell<T>]>,
}

impl<'m, T: Element> Lane<'m, T> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The `i`-th element.
    ///
    /// # Panics
    /// If `i` is not below [`Self::len`].
    #[inline(always)]
    pub fn get(&self, i: usize) -> T {
        assert!(i < self.len);
        // SAFETY: a lane covers `len` readable elements (its constructors take them out of a view) and i < len.
        unsafe { self.data.add(i).read() }
    }

    /// The elements in order.
    #[inline(always)]
    pub fn iter(self) -> impl ExactSizeIterator<Item = T> + use<'m, T> {
        // SAFETY: as in `get`: i < len.
        (0..self.len).map(move |i| unsafe { self.data.add(i).read() })
    }
}

impl<'m, T: Element> Src<'m, T> {
    /// A view of constant elements, element (0, 0, 0) first. `None` if the layout does not fit into them.
    pub fn new(elements: &'m [T], layout: Layout) -> Option<Self> {
        (layout.span()? <= elements.len()).then(|| Self {
            data: NonNull::from(elements).cast(),
            layout,
            memory: PhantomData,
        })
    }

    /// A view of arena elements, element (0, 0, 0) first. `None` if the layout does not fit into them.
    pub fn of_cells(cells: &'m [Cell<T>], layout: Layout) -> Option<Self> {
        (layout.span()? <= cells.len()).then(|| Self {
            data: NonNull::from(cells).cast(),
            layout,
            memory: PhantomData,
        })
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
        let l = &self.layout;
        assert!(y < l.shape.height && x < l.shape.width);
        let row = if y < l.ring { y } else { y % l.ring };
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
        Lane { data: unsafe { self.data.add(offset) }, len: self.layout.shape.channels, memory: PhantomData }
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

    /// Writes one element.
    ///
    /// # Panics
    /// If it lies outside the view.
    #[inline(always)]
    pub fn set(&self, y: usize, x: usize, c: usize, value: T) {
        assert!(c < self.0.layout.shape.channels);
        // SAFETY: the pixel is inside the view (`ptr` asserts) and so is channel c; a `Dst` is only made from cells, so
        // the memory may be written, and no reference to it exists.
        unsafe { self.ptr(y, x).add(c).write(value) }
    }

    /// Writes the channels of pixel (y, x) from an iterator, which may read any view of the same arena.
    ///
    /// # Panics
    /// If the pixel lies outside the view.
    #[inline(always)]
    pub fn fill(&self, y: usize, x: usize, values: impl Iterator<Item = T>) {
        let out = self.ptr(y, x);
        for (c, v) in values.take(self.0.layout.shape.channels).enumerate() {
            // SAFETY: as in `set`: c < channels.
            unsafe { out.add(c).write(v) }
        }
    }
}
