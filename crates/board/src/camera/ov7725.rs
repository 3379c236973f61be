//! OV7725 register set-up for a parallel port (data sheet version 1.31).
//!
//! QVGA readout of the whole view, scaled to the size asked for. VSYNC and HREF are active high and the pixel clock runs
//! during lines only. RGB565 comes high byte first: use [`swap_bytes`](super::swap_bytes).

use super::{Output, SizeError, Step};

/// SCCB address.
pub const ADDRESS: u8 = 0x21;
/// Largest frame of this set-up, px.
pub const LIMIT: (u16, u16) = (320, 240);

/// The set-up: chip check, reset, and frames of `size` (width, height) px.
///
/// # Errors
/// [`SizeError`] unless both sides are multiples of 4 within [`LIMIT`].
pub fn setup(output: Output, size: (u16, u16)) -> Result<impl Iterator<Item = Step<u8>> + Clone, SizeError> {
    SizeError::check(size, LIMIT, 4)?;
    let check = [
        // PID, VER.
        Step::Expect { register: 0x0a, mask: 0xff, value: 0x77 },
        Step::Expect { register: 0x0b, mask: 0xf0, value: 0x20 },
        // COM7: reset.
        Step::Write(0x12, 0x80),
        Step::Wait(10),
    ];
    let shape = [
        // COM7: QVGA, YUV or RGB565.
        Step::Write(0x12, if matches!(output, Output::Rgb565) { 0x46 } else { 0x40 }),
        // HOutSize in units of 4 px, VOutSize in units of 2 px; EXHCH holds the rest, which is 0.
        Step::Write(0x29, (size.0 / 4) as u8),
        Step::Write(0x2c, (size.1 / 2) as u8),
        Step::Write(0x2a, 0x00),
        // Exposure and white balance settle.
        Step::Wait(300),
    ];
    Ok(check.into_iter().chain(TABLE.iter().map(|&(r, v)| Step::Write(r, v))).chain(shape))
}

#[rustfmt::skip]
const TABLE: [(u8, u8); 77] = [
    // COM3: luma first. COM4: PLL by 4, full window. CLKRC: no division.
    (0x0c, 0x10), (0x0d, 0x41), (0x11, 0x01),
    // Window of QVGA: HSTART, HSIZE, VSTRT, VSIZE, HREF.
    (0x17, 0x3f), (0x18, 0x50), (0x19, 0x03), (0x1a, 0x78), (0x32, 0x00),
    // COM12, TGT_B, FixGain, AWB control.
    (0x3d, 0x03), (0x42, 0x7f), (0x4d, 0x09), (0x63, 0xe0),
    // DSP_Ctrl1: every stage; DSP_Ctrl2: scaling in both directions; DSPAuto: factors by itself.
    (0x64, 0xff), (0x65, 0x2f), (0x66, 0x00), (0x67, 0x00), (0xac, 0xff),
    // COM8 fast automatics off while set up; COM6; COM9: gain up to 4; COM10: pixel clock during lines only.
    (0x13, 0xf0), (0x0f, 0xc5), (0x14, 0x11), (0x15, 0x20),
    // Banding filter, exposure target, AWB.
    (0x22, 0x7f), (0x23, 0x03), (0x24, 0x40), (0x25, 0x30), (0x26, 0xa1), (0x2b, 0x00), (0x6b, 0xaa),
    // COM8: automatic exposure, gain, white balance, banding filter.
    (0x13, 0xff),
    // Sharpness and noise: slope, edges, threshold of noise.
    (0x90, 0x05), (0x91, 0x01), (0x92, 0x03), (0x93, 0x00),
    // Colour matrix.
    (0x94, 0xb0), (0x95, 0x9d), (0x96, 0x13), (0x97, 0x16), (0x98, 0x7b), (0x99, 0x91), (0x9a, 0x1e),
    // Brightness, contrast, saturation.
    (0x9b, 0x08), (0x9c, 0x20), (0x9e, 0x81), (0xa6, 0x06),
    // Gamma.
    (0x7e, 0x0c), (0x7f, 0x16), (0x80, 0x2a), (0x81, 0x4e), (0x82, 0x61), (0x83, 0x6f), (0x84, 0x7b), (0x85, 0x86),
    (0x86, 0x8e), (0x87, 0x97), (0x88, 0xa4), (0x89, 0xaf), (0x8a, 0xc5), (0x8b, 0xd7), (0x8c, 0xe8), (0x8d, 0x20),
    // Dummy lines: none. Banding filter again, after the window.
    (0x33, 0x00), (0x34, 0x00), (0x22, 0x99), (0x23, 0x03),
    // Lens correction: off until it is tuned to a lens.
    (0x46, 0x00), (0x49, 0x10), (0x4a, 0x10), (0x4b, 0x14), (0x4c, 0x17), (0x47, 0x00), (0x48, 0x00), (0x45, 0x05),
    // COM5: frame rate falls to a quarter in the dark.
    (0x0e, 0xd5),
    // Scaling factors, set by DSPAuto.
    (0xa0, 0x00), (0xa1, 0x40), (0xa2, 0x00), (0xa4, 0x00),
];
