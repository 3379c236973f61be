//! The board's clocks and pins (user manual UM2411, 7 and appendix A), and the types that follow from them.

use core::mem::MaybeUninit;

use embassy_embedded_hal::shared_bus::asynch::i2c::I2cDevice;
use embassy_futures::yield_now;
use embassy_stm32::dcmi::{self, Dcmi};
use embassy_stm32::gpio::{Level, Output, Speed};
use embassy_stm32::i2c::{self, I2c, Master as I2cMaster};
use embassy_stm32::mode::{Async, Blocking};
use embassy_stm32::peripherals::{self, DCMI, USB_OTG_HS};
use embassy_stm32::spi::mode::Master;
use embassy_stm32::spi::{self, Spi};
use embassy_stm32::time::Hertz;
use embassy_stm32::{Config, SharedData, bind_interrupts, dma, usb};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::mutex::Mutex;
use embassy_time::{Delay, Timer};
use embedded_hal_bus::spi::ExclusiveDevice;
use fusionproxy_board::camera::{self, Output as PixelOutput, ov5640};
use fusionproxy_stm32h7::VISIBLE;
use fusionproxy_stm32h7::dma::{Cache, DmaMemory};
use fusionproxy_stm32h7::sensor::{self, CameraError};
use fusionproxy_stm32h7::thermal::{self, DMA_WORDS};
use fusionproxy_stm32h7::wire::{self, Wire};
use static_cell::StaticCell;

bind_interrupts!(struct Interrupts {
    DCMI => dcmi::InterruptHandler<peripherals::DCMI>;
    DMA1_STREAM0 => dma::InterruptHandler<peripherals::DMA1_CH0>;
    DMA1_STREAM1 => dma::InterruptHandler<peripherals::DMA1_CH1>;
    DMA2_STREAM3 => dma::InterruptHandler<peripherals::DMA2_CH3>;
    OTG_HS => usb::InterruptHandler<peripherals::USB_OTG_HS>;
});

type VospiBus = ExclusiveDevice<Spi<'static, Async, Master>, Output<'static>, Delay>;
/// The Lepton and the camera share this bus, a transfer at a time.
type ControlBus = Mutex<CriticalSectionRawMutex, Wire<I2c<'static, Blocking, I2cMaster>>>;
/// The thermal camera.
pub(crate) type Thermal = thermal::Thermal<
    VospiBus,
    I2cDevice<'static, CriticalSectionRawMutex, Wire<I2c<'static, Blocking, I2cMaster>>>,
>;
/// The camera on its connector.
pub(crate) struct Port {
    dcmi: Dcmi<'static, DCMI>,
    control: &'static ControlBus,
    /// Low keeps the camera awake.
    power_down: Output<'static>,
}

impl sensor::Port for Port {
    type Bus = i2c::Error;

    async fn setup(&mut self) -> Result<(), CameraError<i2c::Error>> {
        self.power_down.set_high();
        Timer::after_millis(100).await;
        self.power_down.set_low();
        Timer::after_millis(20).await;
        let size = (VISIBLE.0 as u16, VISIBLE.1 as u16);
        let steps = ov5640::setup(PixelOutput::Rgb565, size).expect("a size that the camera has");
        for step in steps {
            let done = camera::perform(&mut *self.control.lock().await, ov5640::ADDRESS, step);
            match done.map_err(CameraError::Setup)? {
                // The whole set-up takes longer than the Lepton can go without being read.
                0 => yield_now().await,
                ms => Timer::after_millis(ms.into()).await,
            }
        }
        Ok(())
    }

    async fn capture(&mut self, frame: &mut [u32]) -> Result<(), CameraError<i2c::Error>> {
        self.dcmi.capture(frame).await.map_err(|error| match error {
            dcmi::Error::Overrun => CameraError::Overrun,
            _ => CameraError::Damaged,
        })
    }
}

/// The USB port's driver.
pub(crate) type UsbDriver = usb::Driver<'static, USB_OTG_HS>;

/// What is connected.
pub(crate) struct Board {
    pub(crate) thermal: Thermal,
    pub(crate) camera: Port,
    pub(crate) usb: UsbDriver,
    /// Lights while pictures are made.
    pub(crate) led: Output<'static>,
}

/// 400 MHz from the 25 MHz crystal, the most that the board's step-down supply allows.
fn clocks() -> Config {
    use embassy_stm32::rcc::{
        AHBPrescaler, APBPrescaler, Hse, HseMode, Pll, PllDiv, PllMul, PllPreDiv, PllSource, SupplyConfig,
        Sysclk, VoltageScale,
    };
    let mut config = Config::default();
    let rcc = &mut config.rcc;
    rcc.supply_config = SupplyConfig::DirectSMPS;
    rcc.hse = Some(Hse { freq: Hertz(25_000_000), mode: HseMode::Oscillator });
    rcc.pll1 = Some(Pll {
        source: PllSource::HSE,
        prediv: PllPreDiv::DIV5,
        mul: PllMul::MUL160,
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
    rcc.voltage_scale = VoltageScale::Scale1;
    config
}

impl Board {
    /// Sets the clocks and takes the pins of the README's wiring.
    pub(crate) fn new(
        cache: &'static Cache,
        dma: &'static mut DmaMemory<DMA_WORDS>,
        endpoint: &'static mut [u8; 1024],
    ) -> Self {
        // The other core does not run: nobody else reads this.
        static SHARED: MaybeUninit<SharedData> = MaybeUninit::uninit();
        static CONTROL: StaticCell<ControlBus> = StaticCell::new();
        let p = embassy_stm32::init_primary(clocks(), &SHARED);

        let frequency = Hertz(100_000);
        let mut config = i2c::Config::default();
        config.frequency = frequency;
        config.timeout = wire::TIMEOUT;
        let control = Wire::new(I2c::new_blocking(p.I2C4, p.PD12, p.PD13, config), frequency);
        let control: &'static ControlBus = CONTROL.init(Mutex::new(control));
        let dcmi = Dcmi::new_8bit(
            p.DCMI,
            p.DMA2_CH3,
            Interrupts,
            p.PC6,
            p.PC7,
            p.PG10,
            p.PC9,
            p.PC11,
            p.PD3,
            p.PB8,
            p.PB9,
            p.PB7,
            p.PA4,
            p.PA6,
            dcmi::Config::default(),
        );
        let power_down = Output::new(p.PJ14, Level::High, Speed::Low);
        let camera = Port { dcmi, control, power_down };

        let mut vospi = spi::Config::default();
        vospi.mode = spi::MODE_3;
        // The HAL takes the nearest divider of 100 MHz, for 20 MHz one that gives 25 MHz: too much for the Lepton.
        vospi.frequency = Hertz(12_500_000);
        let spi = Spi::new(p.SPI5, p.PK0, p.PJ10, p.PJ11, p.DMA1_CH0, p.DMA1_CH1, Interrupts, vospi);
        let Ok(device) = ExclusiveDevice::new(spi, Output::new(p.PK1, Level::High, Speed::VeryHigh), Delay);
        let thermal = thermal::driver(device, I2cDevice::new(control), dma, cache);

        let usb = usb::Driver::new_hs_ulpi(
            p.USB_OTG_HS,
            Interrupts,
            p.PA5,
            p.PI11,
            p.PH4,
            p.PC0,
            p.PA3,
            p.PB0,
            p.PB1,
            p.PB10,
            p.PB11,
            p.PB12,
            p.PB13,
            p.PB5,
            endpoint,
            usb::Config::default(),
        );
        let led = Output::new(p.PI12, Level::High, Speed::Low);
        Self { thermal, camera, usb, led }
    }
}
