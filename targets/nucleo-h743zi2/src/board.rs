//! The board's clocks and pins, and the types that follow from them.

use embassy_stm32::gpio::{AnyPin, Level, Output, Speed};
use embassy_stm32::i2c::{self, I2c, Master as I2cMaster};
use embassy_stm32::mode::{Async, Blocking};
use embassy_stm32::peripherals::{self, USB_OTG_FS};
use embassy_stm32::spi::mode::Master;
use embassy_stm32::spi::{self, Spi};
use embassy_stm32::time::Hertz;
use embassy_stm32::{Config, Peri, bind_interrupts, dma, usb};
use embassy_time::Delay;
use embedded_hal_bus::spi::ExclusiveDevice;
use fusionproxy_board::camera::Output as PixelOutput;
use fusionproxy_board::camera::arducam::{self, ArduCam};
use fusionproxy_stm32h7::VISIBLE;
use fusionproxy_stm32h7::dma::{Cache, DmaMemory};
use fusionproxy_stm32h7::thermal::{self, DMA_WORDS};
use fusionproxy_stm32h7::wire::{self, Wire};

bind_interrupts!(struct Interrupts {
    DMA1_STREAM0 => dma::InterruptHandler<peripherals::DMA1_CH0>;
    DMA1_STREAM1 => dma::InterruptHandler<peripherals::DMA1_CH1>;
    OTG_FS => usb::InterruptHandler<peripherals::USB_OTG_FS>;
});

type VospiBus = ExclusiveDevice<Spi<'static, Async, Master>, Output<'static>, Delay>;
type ControlBus = Wire<I2c<'static, Blocking, I2cMaster>>;
/// The thermal camera.
pub(crate) type Thermal = thermal::Thermal<VospiBus, ControlBus>;
/// The visible camera.
pub(crate) type Visible =
    ArduCam<ExclusiveDevice<Spi<'static, Blocking, Master>, Output<'static>, Delay>, ControlBus>;
/// The USB port's driver.
pub(crate) type UsbDriver = usb::Driver<'static, USB_OTG_FS>;

/// What is connected.
pub(crate) struct Board {
    pub(crate) thermal: Thermal,
    pub(crate) visible: Visible,
    pub(crate) usb: UsbDriver,
    /// Lights while pictures are made.
    pub(crate) led: Output<'static>,
}

/// 480 MHz from the 8 MHz that the debugger supplies, which takes silicon of revision V (every NUCLEO-H743ZI2).
fn clocks() -> Config {
    use embassy_stm32::rcc::{
        AHBPrescaler, APBPrescaler, Hse, HseMode, Hsi48Config, Pll, PllDiv, PllMul, PllPreDiv, PllSource,
        Sysclk, VoltageScale, mux,
    };
    let mut config = Config::default();
    let rcc = &mut config.rcc;
    rcc.hse = Some(Hse { freq: Hertz(8_000_000), mode: HseMode::Bypass });
    rcc.hsi48 = Some(Hsi48Config { sync_from_usb: true });
    rcc.pll1 = Some(Pll {
        source: PllSource::HSE,
        prediv: PllPreDiv::DIV1,
        mul: PllMul::MUL120,
        fracn: None,
        divp: Some(PllDiv::DIV2),
        divq: Some(PllDiv::DIV8),
        divr: None,
    });
    rcc.sys = Sysclk::PLL1_P;
    rcc.ahb_pre = AHBPrescaler::DIV2;
    rcc.apb1_pre = APBPrescaler::DIV2;
    rcc.apb2_pre = APBPrescaler::DIV2;
    rcc.apb3_pre = APBPrescaler::DIV2;
    rcc.apb4_pre = APBPrescaler::DIV2;
    rcc.voltage_scale = VoltageScale::Scale0;
    rcc.mux.usbsel = mux::Usbsel::HSI48;
    config
}

impl Board {
    /// Sets the clocks and takes the pins of the README's wiring.
    pub(crate) fn new(
        cache: &'static Cache,
        dma: &'static mut DmaMemory<DMA_WORDS>,
        endpoint: &'static mut [u8; 256],
    ) -> Self {
        let p = embassy_stm32::init(clocks());
        let high = |pin: Peri<'static, AnyPin>| Output::new(pin, Level::High, Speed::VeryHigh);

        let mut vospi = spi::Config::default();
        vospi.mode = spi::MODE_3;
        vospi.frequency = Hertz(20_000_000);
        let spi = Spi::new(p.SPI1, p.PA5, p.PB5, p.PA6, p.DMA1_CH0, p.DMA1_CH1, Interrupts, vospi);
        let Ok(device) = ExclusiveDevice::new(spi, high(p.PD14.into()), Delay);
        let control = |frequency| {
            let mut config = i2c::Config::default();
            config.frequency = frequency;
            config.timeout = wire::TIMEOUT;
            config
        };
        let (fast, slow) = (Hertz(400_000), Hertz(100_000));
        let cci = Wire::new(I2c::new_blocking(p.I2C2, p.PF1, p.PF0, control(fast)), fast);
        let thermal = thermal::driver(device, cci, dma, cache);

        let mut fifo = spi::Config::default();
        fifo.mode = spi::MODE_0;
        fifo.frequency = Hertz(8_000_000);
        let spi = Spi::new_blocking(p.SPI4, p.PE12, p.PE14, p.PE13, fifo);
        let Ok(device) = ExclusiveDevice::new(spi, high(p.PE11.into()), Delay);
        let sccb = Wire::new(I2c::new_blocking(p.I2C1, p.PB8, p.PB9, control(slow)), slow);
        let size = (VISIBLE.0 as u16, VISIBLE.1 as u16);
        let settings = arducam::Settings { size, output: PixelOutput::Rgb565, leading_bytes: 1 };
        // 160 x 120 px is a size that the camera has.
        let visible = ArduCam::new(device, sccb, settings).expect("a size that the camera has");

        let mut config = usb::Config::default();
        config.vbus_detection = false;
        let usb = usb::Driver::new_fs(p.USB_OTG_FS, Interrupts, p.PA12, p.PA11, endpoint, config);
        Self { thermal, visible, usb, led: Output::new(p.PB0, Level::Low, Speed::Low) }
    }
}
