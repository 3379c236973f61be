//! The thermal camera of these boards: a FLIR Lepton 2.x, read by DMA in a task of its own.

use embedded_hal_async::spi::SpiDevice;
use fusionproxy_board::lepton::{AsyncLepton, Model, Settings};
use fusionproxy_core::frame::InfraredFormat;

use crate::dma::{Cache, DmaMemory, DmaReader};
use crate::relay::Relayed;

/// Raw counts of 80 x 60 px. The six frames in memory of a Lepton 3.x would not fit the AXI SRAM.
const SETTINGS: Settings = Settings::new(Model::Lepton2);
/// Width and height of the frames, px.
pub const INFRARED: (usize, usize) = {
    let layout = SETTINGS.layout();
    (layout.width, layout.height)
};
/// Bytes of a frame: 14 bits in 2 bytes a px.
pub const INFRARED_BYTES: usize = INFRARED.0 * INFRARED.1 * 2;
/// Packets in one transfer.
const PACKETS: usize = 20;
/// Words of a transfer: packets of 164 bytes, in whole cache lines.
pub const DMA_WORDS: usize = (PACKETS * 164).next_multiple_of(32) / 4;

/// The camera's driver on an SPI device in mode 3 and the I²C bus.
pub type Thermal<S, I> = AsyncLepton<DmaReader<'static, S, DMA_WORDS>, I, PACKETS>;
/// Its frames as the rig sees them.
pub type Infrared = Relayed<'static, InfraredFormat, INFRARED_BYTES>;

/// The driver; packets go through `memory`.
pub fn driver<S: SpiDevice, I>(
    device: S,
    i2c: I,
    memory: &'static mut DmaMemory<DMA_WORDS>,
    cache: &'static Cache,
) -> Thermal<S, I> {
    AsyncLepton::new(DmaReader::new(device, memory, cache), i2c, SETTINGS)
}
