//! Several pictures side by side under captions.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::{MonoTextStyle, ascii::FONT_10X20};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::text::Text;
use embedded_graphics::{Drawable, Pixel};
use image::{GenericImage, Rgb, RgbImage};

/// Height of the caption's band, px.
const BAND: u32 = 32;
/// Distance between pictures, px.
const GAP: u32 = 8;

/// The pictures from left to right, each under its caption. Their heights may differ.
pub(crate) fn side_by_side(pictures: &[(&str, &RgbImage)]) -> RgbImage {
    let gaps = GAP * (pictures.len() as u32).saturating_sub(1);
    let width = pictures.iter().map(|(_, p)| p.width()).sum::<u32>() + gaps;
    let height = pictures.iter().map(|(_, p)| p.height()).max().unwrap_or(0) + BAND;
    let mut sheet = RgbImage::from_pixel(width, height, Rgb([24, 24, 28]));
    let mut x = 0;
    for (caption, picture) in pictures {
        // The sheet was sized to hold every picture.
        let _ = sheet.copy_from(*picture, x, BAND);
        let style = MonoTextStyle::new(&FONT_10X20, Rgb888::WHITE);
        // Drawing into memory cannot fail.
        let _ = Text::new(caption, Point::new(x.cast_signed() + 8, 22), style).draw(&mut Canvas(&mut sheet));
        x += picture.width() + GAP;
    }
    sheet
}

/// An image that text can be drawn on.
struct Canvas<'a>(&'a mut RgbImage);

impl OriginDimensions for Canvas<'_> {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Canvas<'_> {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Self::Error> {
        for Pixel(at, colour) in pixels {
            if let (Ok(x), Ok(y)) = (u32::try_from(at.x), u32::try_from(at.y))
                && let Some(pixel) = self.0.get_pixel_mut_checked(x, y)
            {
                *pixel = Rgb([colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}
