//! Fusion on a STM32H747I-DISCO: an OV5640 on the camera connector, a FLIR Lepton 2.x on the Arduino
//! connector, pictures on the USB port.
//!
//! Not tried on hardware.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

mod board;

use {defmt_rtt as _, panic_probe as _};

#[rtic::app(device = embassy_stm32::pac, peripherals = false, dispatchers = [UART7, UART8])]
mod app {
    use embassy_stm32::gpio::Output;
    use fusionproxy_board::rig::Rig;
    use fusionproxy_board::source::Layout;
    use fusionproxy_core::frame::VisibleFormat;
    use fusionproxy_stm32h7::dma::{Cache, DmaMemory};
    use fusionproxy_stm32h7::fusion::{self, Arena, BUFFER_BYTES, Memory, POLICY, Tables};
    use fusionproxy_stm32h7::relay::{FrameSender, Relay, Relayed, Slot};
    use fusionproxy_stm32h7::thermal::{DMA_WORDS, INFRARED_BYTES, Infrared};
    use fusionproxy_stm32h7::usb::{Picture, PictureReceiver, PictureSender, Pictures, Port};
    use fusionproxy_stm32h7::{VISIBLE as SIZE, VISIBLE_BYTES, sensor, usb};
    use static_cell::{ConstStaticCell, StaticCell};

    use crate::board::{Board, Port as CameraPort, Thermal, UsbDriver};

    type Visible = Relayed<'static, VisibleFormat, VISIBLE_BYTES>;

    /// Words of a visible frame.
    const CAPTURE_WORDS: usize = VISIBLE_BYTES / 4;

    #[shared]
    struct Shared {}

    #[local]
    struct Local {
        thermal: Thermal,
        frames: FrameSender<'static, INFRARED_BYTES>,
        spare: &'static mut Slot<INFRARED_BYTES>,
        camera: CameraPort,
        captured: FrameSender<'static, VISIBLE_BYTES>,
        capture: &'static mut DmaMemory<CAPTURE_WORDS>,
        cache: &'static Cache,
        usb: Option<UsbDriver>,
        received: PictureReceiver<'static>,
        pictures: PictureSender<'static>,
        rig: Rig<'static, Visible, Infrared>,
        led: Output<'static>,
    }

    #[init]
    fn init(cx: init::Context) -> (Shared, Local) {
        static CACHE: StaticCell<Cache> = StaticCell::new();
        static DMA: ConstStaticCell<DmaMemory<DMA_WORDS>> = ConstStaticCell::new(DmaMemory::new());
        static ENDPOINT: ConstStaticCell<[u8; 1024]> = ConstStaticCell::new([0; 1024]);
        static SLOTS: ConstStaticCell<[Slot<INFRARED_BYTES>; 2]> =
            ConstStaticCell::new([const { Slot::new() }; 2]);
        static SPARE: ConstStaticCell<Slot<INFRARED_BYTES>> = ConstStaticCell::new(Slot::new());
        static RELAY: StaticCell<Relay<'static, INFRARED_BYTES>> = StaticCell::new();
        static CAPTURE: ConstStaticCell<DmaMemory<CAPTURE_WORDS>> = ConstStaticCell::new(DmaMemory::new());
        static CAPTURED: ConstStaticCell<[Slot<VISIBLE_BYTES>; 1]> =
            ConstStaticCell::new([const { Slot::new() }; 1]);
        static CAMERA: StaticCell<Relay<'static, VISIBLE_BYTES>> = StaticCell::new();
        static PICTURES: ConstStaticCell<[Picture; 1]> = ConstStaticCell::new([const { Picture::new() }; 1]);
        static OUTPUT: StaticCell<Pictures<'static>> = StaticCell::new();
        static VISIBLE: ConstStaticCell<[u8; 3 * VISIBLE_BYTES]> =
            ConstStaticCell::new([0; 3 * VISIBLE_BYTES]);
        static THERMAL: ConstStaticCell<[u8; 3 * INFRARED_BYTES]> =
            ConstStaticCell::new([0; 3 * INFRARED_BYTES]);

        let mut core = cx.core;
        let cache = CACHE.init(Cache::on(core.SCB, &mut core.CPUID));
        let board = Board::new(cache, DMA.take(), ENDPOINT.take());
        let (frames, infrared) = RELAY.init(Relay::new(SLOTS.take())).split();
        let (captured, visible) = CAMERA.init(Relay::new(CAPTURED.take())).split();
        let (pictures, received) = OUTPUT.init(Pictures::new(PICTURES.take())).split();
        let layout = board.thermal.layout();
        // The memory was sized for these layouts by the constants above.
        let infrared = Relayed::new(layout, infrared).expect("slots of the camera's size");
        let shape = Layout { format: VisibleFormat::Rgb565, width: SIZE.0, height: SIZE.1 };
        let visible = Relayed::new(shape, visible).expect("slots of the camera's size");
        let rig = Rig::new(visible, infrared, VISIBLE.take(), THERMAL.take(), POLICY)
            .expect("memory of the cameras' sizes");
        defmt::info!("started: {} thermal px, visible {} bytes a frame", INFRARED_BYTES / 2, VISIBLE_BYTES);
        lepton::spawn().ok();
        camera::spawn().ok();
        serve::spawn().ok();
        let led = board.led;
        let usb = Some(board.usb);
        let local = Local {
            camera: board.camera,
            captured,
            capture: CAPTURE.take(),
            cache,
            thermal: board.thermal,
            frames,
            spare: SPARE.take(),
            usb,
            received,
            pictures,
            rig,
            led,
        };
        (Shared {}, local)
    }

    /// Serves the thermal camera, before everything else.
    #[task(priority = 2, local = [thermal, frames, spare])]
    async fn lepton(cx: lepton::Context) {
        sensor::lepton(cx.local.thermal, cx.local.frames, cx.local.spare).await;
    }

    /// Sets the visible camera up and serves its port.
    #[task(priority = 2, local = [camera, captured, capture, cache])]
    async fn camera(cx: camera::Context) {
        let camera::LocalResources { camera, captured, capture, cache, .. } = cx.local;
        sensor::camera(camera, capture, cache, captured).await;
    }

    /// Sends pictures.
    #[task(priority = 1, local = [usb, received])]
    async fn serve(cx: serve::Context) {
        static PORT: StaticCell<Port> = StaticCell::new();
        if let Some(driver) = cx.local.usb.take() {
            let memory = PORT.init(Port::new());
            usb::serve(driver, 512, memory, "fusionproxy STM32H747I-DISCO", cx.local.received).await;
        }
    }

    /// Pairs and fuses, in the time that is left.
    #[idle(local = [rig, pictures, led])]
    fn idle(cx: idle::Context) -> ! {
        static ARENA: ConstStaticCell<Arena> = ConstStaticCell::new(Arena::new());
        static TABLES: StaticCell<Tables> = StaticCell::new();
        let idle::LocalResources { rig, pictures, led, .. } = cx.local;
        // On the stack, in the tightly coupled memory: nothing but the processor uses it.
        let mut buffer = [0; BUFFER_BYTES];
        let memory = Memory { arena: ARENA.take(), buffer: &mut buffer, tables: TABLES.init(Tables::new()) };
        let started = fusion::run(rig, pictures, memory, include_str!("../calibration.txt"), || led.toggle());
        // Without fusion there is nothing to show: the log says why, and the light stays off.
        let Err(error) = started;
        defmt::error!("cannot fuse: {}", defmt::Display2Format(&error));
        loop {
            cortex_m::asm::wfi();
        }
    }
}
