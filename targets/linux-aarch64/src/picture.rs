//! Fused frames on their way to the outputs.
//!
//! The fusion publishes a picture and goes on; whoever wants it takes the newest one when ready. A slow taker misses
//! pictures and holds up nobody.

use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use fusionproxy_core::health::StatusWord;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageError};

/// A fused frame.
pub(crate) struct Picture {
    /// Counts the frames of this run from 1.
    pub(crate) number: u64,
    /// Width and height, px.
    pub(crate) size: (usize, usize),
    /// Red, green, blue; rows without padding.
    pub(crate) rgb: Vec<u8>,
    /// What was known about the sensors.
    pub(crate) status: StatusWord,
    /// Of the JPEG.
    quality: u8,
    /// As JPEG, once somebody has asked for it.
    jpeg: OnceLock<Vec<u8>>,
}

impl Picture {
    fn new(size: (usize, usize), quality: u8) -> Self {
        let rgb = vec![0; size.0 * size.1 * 3];
        Self { number: 0, size, rgb, status: StatusWord(0), quality, jpeg: OnceLock::new() }
    }

    /// The picture as JPEG: the first who asks encodes it, everyone else gets the same bytes.
    pub(crate) fn jpeg(&self) -> Result<&[u8], ImageError> {
        if let Some(jpeg) = self.jpeg.get() {
            return Ok(jpeg);
        }
        let mut jpeg = Vec::with_capacity(self.rgb.len() / 8);
        let (width, height) = (self.size.0 as u32, self.size.1 as u32);
        JpegEncoder::new_with_quality(&mut jpeg, self.quality).write_image(
            &self.rgb,
            width,
            height,
            ExtendedColorType::Rgb8,
        )?;
        Ok(self.jpeg.get_or_init(|| jpeg))
    }
}

/// The newest picture.
#[derive(Default)]
pub(crate) struct Hub {
    newest: Mutex<Option<Arc<Picture>>>,
    published: Condvar,
}

impl Hub {
    fn publish(&self, picture: Arc<Picture>) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(picture);
        self.published.notify_all();
    }

    /// The newest picture, if there is one with a number above `seen`, now or within a time.
    pub(crate) fn newer(&self, seen: u64, within: Duration) -> Option<Arc<Picture>> {
        let is_new = |p: &Option<Arc<Picture>>| p.as_ref().is_some_and(|p| p.number > seen);
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let (newest, _) = self
            .published
            .wait_timeout_while(newest, within, |p| !is_new(p))
            .unwrap_or_else(PoisonError::into_inner);
        newest.as_ref().filter(|p| p.number > seen).cloned()
    }
}

/// The pictures that circulate: when all takers have let go of one, it is filled again.
pub(crate) struct Press {
    size: (usize, usize),
    quality: u8,
    pictures: Vec<Arc<Picture>>,
    published: u64,
}

impl Press {
    /// For pictures of `size` (width, height; px), with the quality of their JPEGs.
    pub(crate) fn new(size: (usize, usize), quality: u8) -> Self {
        Self { size, quality, pictures: Vec::new(), published: 0 }
    }

    /// Fills a picture that nobody holds and publishes it, unless `fill` fails.
    pub(crate) fn print<E>(
        &mut self,
        hub: &Hub,
        status: StatusWord,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let free = match self.pictures.iter_mut().position(|p| Arc::get_mut(p).is_some()) {
            Some(free) => free,
            None => {
                self.pictures.push(Arc::new(Picture::new(self.size, self.quality)));
                self.pictures.len() - 1
            }
        };
        let shared = &mut self.pictures[free];
        if let Some(picture) = Arc::get_mut(shared) {
            picture.jpeg.take();
            fill(&mut picture.rgb)?;
            picture.number = self.published + 1;
            picture.status = status;
            self.published += 1;
            hub.publish(Arc::clone(shared));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(press: &mut Press, hub: &Hub, value: u8) {
        let fill = |rgb: &mut [u8]| {
            rgb.fill(value);
            Ok::<_, ()>(())
        };
        press.print(hub, StatusWord(0), fill).expect("filled");
    }

    #[test]
    fn pictures_are_reused_unless_somebody_holds_them() {
        let (hub, mut press) = (Hub::default(), Press::new((4, 2), 90));
        for value in 0..10 {
            print(&mut press, &hub, value);
        }
        assert_eq!(press.pictures.len(), 2);
        let held = hub.newer(0, Duration::ZERO).expect("there");
        for value in 10..20 {
            print(&mut press, &hub, value);
        }
        assert_eq!(press.pictures.len(), 3);
        assert_eq!((held.number, held.rgb[0]), (10, 9));
        assert_eq!(hub.newer(10, Duration::ZERO).map(|p| p.number), Some(20));
        assert!(hub.newer(20, Duration::from_millis(1)).is_none());
    }

    #[test]
    fn a_picture_is_encoded_anew_when_it_is_filled_anew() {
        let (hub, mut press) = (Hub::default(), Press::new((16, 16), 90));
        let mean = |jpeg: &[u8]| {
            let picture = image::load_from_memory(jpeg).expect("decodes").into_luma8();
            picture.iter().map(|&v| u32::from(v)).sum::<u32>() / 256
        };
        for value in [40, 80, 120, 160] {
            print(&mut press, &hub, value);
            let picture = hub.newer(0, Duration::ZERO).expect("there");
            let jpeg = picture.jpeg().expect("encodes");
            assert!(mean(jpeg).abs_diff(u32::from(value)) <= 2);
            assert!(std::ptr::eq(jpeg, picture.jpeg().expect("encoded")));
        }
    }

    #[test]
    fn a_failed_fill_publishes_nothing() {
        let (hub, mut press) = (Hub::default(), Press::new((4, 2), 90));
        assert_eq!(press.print(&hub, StatusWord(0), |_| Err(5)), Err(5));
        assert!(hub.newer(0, Duration::ZERO).is_none());
    }
}
