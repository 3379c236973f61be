//! Errors that a log need not repeat.
//!
//! A sensor that is not there fails many times a second, each time with the same words, or with the same words around another
//! number. [`Repeats`] lets through what differs in kind from the last error, and a sign of life every [`AGAIN_US`].

use core::mem::discriminant;

use embedded_hal::{i2c, spi};

use crate::camera::{SetupError, arducam};
use crate::source::ShortBuffer;
use crate::{amg8833, lepton, mlx90640};

/// An error that lasts is told again after so long, µs.
pub const AGAIN_US: u64 = 10_000_000;

/// An error that can be compared with another without its numbers.
pub trait SameKind {
    /// Whether somebody who has been told of `other` learns nothing new.
    fn same_kind(&self, other: &Self) -> bool;
}

impl SameKind for ShortBuffer {
    fn same_kind(&self, _: &Self) -> bool {
        true
    }
}

impl<S: spi::Error, I: i2c::Error> SameKind for lepton::Error<S, I> {
    fn same_kind(&self, other: &Self) -> bool {
        use lepton::Error;
        match (self, other) {
            (Error::Spi(a), Error::Spi(b)) => a.kind() == b.kind(),
            (Error::I2c(a), Error::I2c(b)) => a.kind() == b.kind(),
            (Error::Camera(a), Error::Camera(b)) => a == b,
            _ => discriminant(self) == discriminant(other),
        }
    }
}

impl<S: spi::Error, I: i2c::Error> SameKind for arducam::Error<S, I> {
    fn same_kind(&self, other: &Self) -> bool {
        use arducam::Error;
        match (self, other) {
            (Error::Spi(a), Error::Spi(b)) => a.kind() == b.kind(),
            (Error::Setup(a), Error::Setup(b)) => a.same_kind(b),
            _ => discriminant(self) == discriminant(other),
        }
    }
}

impl<I: i2c::Error> SameKind for SetupError<I> {
    fn same_kind(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bus(a), Self::Bus(b)) => a.kind() == b.kind(),
            _ => discriminant(self) == discriminant(other),
        }
    }
}

impl<I: i2c::Error> SameKind for mlx90640::Error<I> {
    fn same_kind(&self, other: &Self) -> bool {
        use mlx90640::Error;
        match (self, other) {
            (Error::I2c(a), Error::I2c(b)) => a.kind() == b.kind(),
            (Error::Sensor(a), Error::Sensor(b)) => discriminant(a) == discriminant(b),
            _ => discriminant(self) == discriminant(other),
        }
    }
}

impl<I: i2c::Error> SameKind for amg8833::Error<I> {
    fn same_kind(&self, other: &Self) -> bool {
        use amg8833::Error;
        match (self, other) {
            (Error::I2c(a), Error::I2c(b)) => a.kind() == b.kind(),
            _ => discriminant(self) == discriminant(other),
        }
    }
}

/// The last error of a sensor that was told.
#[derive(Debug, Clone)]
pub struct Repeats<E> {
    told: Option<(E, u64)>,
    count: u32,
}

impl<E: SameKind> Repeats<E> {
    /// Nothing was told yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { told: None, count: 0 }
    }

    /// Counts an error at `now_us`. When it is to be told, `Some` with the number of errors so far, told or not.
    pub fn note(&mut self, error: E, now_us: u64) -> Option<(&E, u32)> {
        self.count = self.count.saturating_add(1);
        let known =
            |(last, told_us): &(E, u64)| error.same_kind(last) && now_us.saturating_sub(*told_us) < AGAIN_US;
        if self.told.as_ref().is_some_and(known) {
            return None;
        }
        Some((&self.told.insert((error, now_us)).0, self.count))
    }
}

impl<E: SameKind> Default for Repeats<E> {
    fn default() -> Self {
        Self::new()
    }
}
