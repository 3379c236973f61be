//! Consecutive elements of a view: what the inner loops of the kernels run over.
//!
//! Bounds are checked when a lane is made or cut, so that loops over it have none and the compiler can vectorise them.

use core::marker::PhantomData;
use core::ptr::NonNull;

use crate::Element;

/// Consecutive elements of one pixel or row of a [`crate::Src`].
#[derive(Clone, Copy)]
pub struct Lane<'m, T> {
    data: NonNull<T>,
    len: usize,
    memory: PhantomData<&'m [core::cell::Cell<T>]>,
}

/// Consecutive elements of one pixel or row of a [`crate::Dst`].
#[derive(Clone, Copy)]
pub struct LaneMut<'m, T>(Lane<'m, T>);

/// Elements that [`LaneMut::map`] holds in registers between reading and writing: a vector of bytes, or, on the small
/// processors that have no vectors, enough to hide the loop.
const STEP: usize = if cfg!(any(target_arch = "arm", target_arch = "riscv32")) { 4 } else { 16 };

impl<'m, T: Element> Lane<'m, T> {
    /// # Safety
    /// `len` elements at `data` must be valid for reads throughout `'m`, and no mutable reference to them may exist.
    #[inline(always)]
    pub(crate) unsafe fn new(data: NonNull<T>, len: usize) -> Self {
        Self { data, len, memory: PhantomData }
    }

    /// Number of elements.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline(always)]
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
        // SAFETY: a lane covers `len` readable elements and i < len.
        unsafe { self.data.add(i).read() }
    }

    /// The `len` elements from `start` on.
    ///
    /// # Panics
    /// If they end outside the lane.
    #[inline(always)]
    pub fn slice(self, start: usize, len: usize) -> Self {
        assert!(start <= self.len && len <= self.len - start);
        // SAFETY: start is at most the lane's length.
        Self { data: unsafe { self.data.add(start) }, len, memory: PhantomData }
    }

    /// The `N` elements from `start` on.
    ///
    /// # Panics
    /// If they end outside the lane.
    #[inline(always)]
    pub fn array<const N: usize>(self, start: usize) -> [T; N] {
        assert!(start <= self.len && N <= self.len - start);
        // SAFETY: elements start..start + N are readable, and an array has the alignment of its elements.
        unsafe { self.data.add(start).cast::<[T; N]>().read() }
    }

    /// The elements in order.
    #[inline(always)]
    pub fn iter(self) -> impl ExactSizeIterator<Item = T> + use<'m, T> {
        // SAFETY: as in `get`: i < len.
        (0..self.len).map(move |i| unsafe { self.data.add(i).read() })
    }

    /// The elements in groups of `N`; a rest shorter than `N` is left out.
    #[inline(always)]
    pub fn arrays<const N: usize>(self) -> impl ExactSizeIterator<Item = [T; N]> + use<'m, T, N> {
        // SAFETY: i * N + N <= len, as in `array`.
        (0..self.len / N).map(move |i| unsafe { self.data.add(i * N).cast::<[T; N]>().read() })
    }

    /// Every `step`-th element from `start` on, to the end of the lane.
    ///
    /// # Panics
    /// If `step` is 0.
    #[inline(always)]
    pub fn step_by(self, start: usize, step: usize) -> impl ExactSizeIterator<Item = T> + use<'m, T> {
        let count = self.len.saturating_sub(start).div_ceil(step);
        // SAFETY: start + i * step < len for each i < count.
        (0..count).map(move |i| unsafe { self.data.add(start + i * step).read() })
    }
}

impl<'m, T: Element> LaneMut<'m, T> {
    /// # Safety
    /// The elements must be valid for writes throughout `'m`, and no reference to them may exist.
    #[inline(always)]
    pub(crate) unsafe fn new(lane: Lane<'m, T>) -> Self {
        Self(lane)
    }

    /// The same elements, for reading.
    #[inline(always)]
    pub fn as_lane(self) -> Lane<'m, T> {
        self.0
    }

    /// Number of elements.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there are none.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// The `len` elements from `start` on.
    ///
    /// # Panics
    /// If they end outside the lane.
    #[inline(always)]
    pub fn slice(self, start: usize, len: usize) -> Self {
        Self(self.0.slice(start, len))
    }

    /// Writes the `i`-th element.
    ///
    /// # Panics
    /// If `i` is not below [`Self::len`].
    #[inline(always)]
    pub fn set(self, i: usize, value: T) {
        assert!(i < self.0.len);
        // SAFETY: a lane covers `len` writable elements, i < len, and no reference to them exists.
        unsafe { self.0.data.add(i).write(value) }
    }

    /// Writes elements in order until the lane or `values` ends. `values` may read the same arena.
    #[inline(always)]
    pub fn fill(self, values: impl Iterator<Item = T>) {
        for (i, v) in (0..self.0.len).zip(values) {
            // SAFETY: as in `set`: i < len.
            unsafe { self.0.data.add(i).write(v) }
        }
    }

    /// Writes the first elements of `values`, as many as the lane has. Whole blocks are one store.
    #[inline(always)]
    pub fn fill_array<const N: usize>(self, values: [T; N]) {
        if self.0.len == N {
            // SAFETY: the lane covers N writable elements, and an array has the alignment of its elements.
            unsafe { self.0.data.cast::<[T; N]>().write(values) }
        } else {
            self.fill(values.into_iter());
        }
    }

    /// Copies `from`, which may overlap, up to the shorter length.
    #[inline(always)]
    pub fn copy(self, from: Lane<'_, T>) {
        let len = self.0.len.min(from.len);
        // SAFETY: both lanes cover `len` elements; overlap is allowed by `copy_to`.
        unsafe { from.data.copy_to(self.0.data, len) }
    }

    /// Writes `f` of each element of `a`, up to the shorter length. `a` may be the same elements; elements are read in
    /// groups before they are written, so that this vectorises without a proof that the memory is apart.
    #[inline(always)]
    pub fn map<A: Element>(self, a: Lane<'_, A>, f: impl Fn(A) -> T) {
        let len = self.0.len.min(a.len);
        let mut i = 0;
        while i + STEP <= len {
            let out = a.array::<STEP>(i).map(&f);
            // SAFETY: i + STEP <= len, as in `set`.
            unsafe { self.0.data.add(i).cast::<[T; STEP]>().write(out) }
            i += STEP;
        }
        self.slice(i, len - i).fill(a.slice(i, len - i).iter().map(f));
    }

    /// As [`Self::map`], of each pair of elements of `a` and `b`.
    #[inline(always)]
    pub fn map2<A: Element, B: Element>(self, a: Lane<'_, A>, b: Lane<'_, B>, f: impl Fn(A, B) -> T) {
        let len = self.0.len.min(a.len).min(b.len);
        let mut i = 0;
        while i + STEP <= len {
            let (x, y) = (a.array::<STEP>(i), b.array::<STEP>(i));
            let mut out = [T::default(); STEP];
            for ((o, x), y) in out.iter_mut().zip(x).zip(y) {
                *o = f(x, y);
            }
            // SAFETY: i + STEP <= len, as in `set`.
            unsafe { self.0.data.add(i).cast::<[T; STEP]>().write(out) }
            i += STEP;
        }
        let rest = len - i;
        let pairs = a.slice(i, rest).iter().zip(b.slice(i, rest).iter());
        self.slice(i, rest).fill(pairs.map(|(x, y)| f(x, y)));
    }
}
