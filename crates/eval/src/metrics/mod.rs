//! Quality of a fused picture, on luma of 8 bits.
//!
//! | short | function | says | paper |
//! |---|---|---|---|
//! | EN | [`entropy`] | information in the grey levels, bit | Roberts et al., J. Appl. Remote Sens. 2, 2008 |
//! | MI | [`mutual_information`] | information shared with both sources, bit | Qu et al., Electron. Lett. 38, 2002 |
//! | SD | [`standard_deviation`] | contrast | Rao, Meas. Sci. Technol. 8, 1997 |
//! | SF | [`spatial_frequency`] | activity of neighbouring pixels | Eskicioglu & Fisher, IEEE Trans. Commun. 43, 1995 |
//! | AG | [`average_gradient`] | sharpness | Cui et al., Opt. Commun. 341, 2015 |
//! | SCD | [`scd`] | what each source alone explains | Aslantas & Bendes, AEÜ 69, 2015 |
//! | VIF | [`fusion_vif`] | natural-scene information kept from both sources | Sheikh & Bovik, IEEE TIP 15, 2006 |
//! | Qabf | [`qabf`] | edges kept from both sources | Xydeas & Petrović, Electron. Lett. 36, 2000 |
//! | SSIM | [`ssim`] | structural similarity of two pictures | Wang et al., IEEE TIP 13, 2004 |
//! | MS-SSIM | [`ms_ssim`] | the same over five scales | Wang et al., Asilomar 2003 |
//! | PSNR | [`psnr`] | distance of two pictures, dB | – |
//!
//! Higher is better in all of them, by their authors' reading. Luma is full-range BT.601. Conventions that the papers
//! leave open (borders, normalisation) are written at each function.

mod average_gradient;
mod entropy;
mod filter;
mod ms_ssim;
mod mutual_information;
mod psnr;
mod qabf;
mod scd;
mod spatial_frequency;
mod ssim;
mod standard_deviation;
mod vif;

pub use average_gradient::average_gradient;
pub use entropy::entropy;
pub use ms_ssim::{MS_SSIM_SIDE, ms_ssim};
pub use mutual_information::{mutual_information, normalised_mutual_information};
pub use psnr::psnr;
pub use qabf::qabf;
pub use scd::scd;
pub use spatial_frequency::spatial_frequency;
pub use ssim::ssim;
pub use standard_deviation::standard_deviation;
pub use vif::{VIF_SIDE, fusion_vif, vif};

/// A grey picture: `height × width` bytes, rows packed from top to bottom, 0 black … 255 white.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
}

impl<'a> Image<'a> {
    /// Views `data` as `width × height` pixels.
    ///
    /// # Errors
    /// [`MetricError::Shape`] when a side is zero or `data` has another length than `width·height`.
    pub fn new(data: &'a [u8], width: usize, height: usize) -> Result<Self, MetricError> {
        if width == 0 || height == 0 || width.checked_mul(height) != Some(data.len()) {
            return Err(MetricError::Shape { width, height, bytes: data.len() });
        }
        Ok(Self { data, width, height })
    }

    /// The pixels, row by row.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Width, px.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Height, px.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    fn same_size(&self, other: &Image<'_>) -> Result<(), MetricError> {
        if (self.width, self.height) == (other.width, other.height) {
            Ok(())
        } else {
            Err(MetricError::Mismatch { a: [self.width, self.height], b: [other.width, other.height] })
        }
    }

    fn at_least(&self, metric: &'static str, side: usize) -> Result<(), MetricError> {
        if self.width >= side && self.height >= side {
            Ok(())
        } else {
            Err(MetricError::TooSmall { metric, side, width: self.width, height: self.height })
        }
    }

    fn mean(&self) -> f64 {
        self.data.iter().map(|&v| u64::from(v)).sum::<u64>() as f64 / self.data.len() as f64
    }

    fn histogram(&self) -> [u64; 256] {
        let mut bins = [0; 256];
        for &v in self.data {
            bins[usize::from(v)] += 1;
        }
        bins
    }
}

/// Why a metric has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// The buffer is not a picture of the stated size.
    #[error(
        "a grey picture of {width}x{height} px needs width*height bytes and no empty side: {bytes} bytes given"
    )]
    Shape {
        /// Width stated, px.
        width: usize,
        /// Height stated, px.
        height: usize,
        /// Length of the buffer.
        bytes: usize,
    },
    /// Two pictures that are compared pixel by pixel differ in size.
    #[error("pictures of {}x{} and {}x{} px cannot be compared: bring them to one size first", a[0], a[1], b[0], b[1])]
    Mismatch {
        /// Width and height of the one, px.
        a: [usize; 2],
        /// Width and height of the other, px.
        b: [usize; 2],
    },
    /// The picture is smaller than the metric's window.
    #[error("{metric} needs at least {side}x{side} px: the picture has {width}x{height}")]
    TooSmall {
        /// Name of the metric.
        metric: &'static str,
        /// Smallest side, px.
        side: usize,
        /// Width given, px.
        width: usize,
        /// Height given, px.
        height: usize,
    },
}

/// Every fusion metric of one picture against its two sources.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FusionScores {
    /// [`entropy`], bit.
    pub en: f64,
    /// [`mutual_information`], bit.
    pub mi: f64,
    /// [`spatial_frequency`].
    pub sf: f64,
    /// [`average_gradient`].
    pub ag: f64,
    /// [`standard_deviation`].
    pub sd: f64,
    /// [`scd`].
    pub scd: f64,
    /// [`fusion_vif`].
    pub vif: f64,
    /// [`qabf`].
    pub qabf: f64,
    /// [`ssim`] to the visible picture.
    pub ssim_vis: f64,
    /// [`ssim`] to the infrared picture.
    pub ssim_ir: f64,
}

impl FusionScores {
    /// Scores `fused` against its sources.
    ///
    /// # Errors
    /// [`MetricError`] when the sizes differ, or a side is below [`VIF_SIDE`].
    pub fn of(visible: Image<'_>, infrared: Image<'_>, fused: Image<'_>) -> Result<Self, MetricError> {
        Ok(Self {
            en: entropy(fused),
            mi: mutual_information(visible, infrared, fused)?,
            sf: spatial_frequency(fused),
            ag: average_gradient(fused),
            sd: standard_deviation(fused),
            scd: scd(visible, infrared, fused)?,
            vif: fusion_vif(visible, infrared, fused)?,
            qabf: qabf(visible, infrared, fused)?,
            ssim_vis: ssim(visible, fused)?,
            ssim_ir: ssim(infrared, fused)?,
        })
    }
}
