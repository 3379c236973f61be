//! The ArduCAM driver against the simulated camera, and the register tables.

use std::collections::HashSet;

use embedded_hal::delay::DelayNs;
use fusionproxy_board::camera::arducam::{ArduCam, Counters, Error, Settings};
use fusionproxy_board::camera::{Output, SetupError, Step, apply, ov2640, ov5640, ov7725};
use fusionproxy_board::sim::{
    ArduCamFault, ArduCamI2c, ArduCamSim, ArduCamSpi, BusError, VirtualClock, VisibleScene, warm_body_visible,
};
use fusionproxy_board::source::FrameSource;
use fusionproxy_core::frame::FrameInfo;

type Driver<'s, 'c, S> = ArduCam<ArduCamSpi<'s, 'c, S>, ArduCamI2c<'s, 'c, S>>;
type Failure = Error<BusError, BusError>;

fn run<S: VisibleScene>(
    driver: &mut Driver<'_, '_, S>,
    clock: &VirtualClock,
    for_us: u64,
) -> (Vec<(FrameInfo, Vec<u8>)>, Vec<Failure>) {
    let mut buffer = vec![0; driver.layout().bytes()];
    let end = clock.now_us() + for_us;
    let (mut frames, mut errors) = (Vec::new(), Vec::new());
    while clock.now_us() < end {
        match driver.poll(&mut buffer, clock.now_us()) {
            Ok(None) => {}
            Ok(Some(info)) => frames.push((info, buffer.clone())),
            Err(e) => errors.push(e),
        }
        clock.advance_us(1000);
    }
    (frames, errors)
}

fn settings(output: Output) -> Settings {
    Settings { output, size: (160, 120), leading_bytes: 0 }
}

#[test]
fn both_formats_show_the_scene() {
    for output in [Output::Rgb565, Output::Yuyv] {
        for leading_bytes in [0, 1] {
            let clock = VirtualClock::new();
            let sim = ArduCamSim::new(&clock, warm_body_visible, leading_bytes, 5);
            let settings = Settings { leading_bytes, ..settings(output) };
            let mut driver = Driver::new(sim.spi(), sim.i2c(), settings).unwrap();
            let (frames, errors) = run(&mut driver, &clock, 4_000_000);
            assert_eq!(errors, [], "{output:?}");
            let (info, bytes) = frames.last().unwrap();
            for y in 0..120 {
                for x in 0..160 {
                    let [r, g, b] = sim.truth(x, y, info.timestamp_us).map(i32::from);
                    let at = (y * 160 + x) * 2;
                    if output == Output::Rgb565 {
                        let word = i32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
                        let found = [word >> 11 << 3, (word >> 5 & 63) << 2, (word & 31) << 3];
                        for (f, t) in found.into_iter().zip([r, g, b]) {
                            assert!((f - t).abs() <= 12, "{x},{y}: {found:?}, not {:?}", [r, g, b]);
                        }
                    } else {
                        let luma = (77 * r + 150 * g + 29 * b) >> 8;
                        assert!((i32::from(bytes[at]) - luma).abs() <= 6, "{x},{y}");
                        let chroma = if x % 2 == 0 { (b - luma) * 144 / 256 } else { (r - luma) * 183 / 256 };
                        assert!((i32::from(bytes[at + 1]) - 128 - chroma).abs() <= 8, "{x},{y}");
                    }
                }
            }
        }
    }
}

#[test]
fn recovers_from_every_fault_within_two_seconds() {
    for (fault, lasts_us) in [
        (ArduCamFault::Nack(1), 0),
        (ArduCamFault::Nack(20), 0),
        (ArduCamFault::HeldBus { us: 400_000, timeout_us: 10_000 }, 400_000),
        (ArduCamFault::SpiErrors(1), 0),
        (ArduCamFault::SpiErrors(12), 0),
        (ArduCamFault::ShortCaptures(1), 0),
        (ArduCamFault::ShortCaptures(3), 0),
        (ArduCamFault::Late(1_000_000), 1_000_000),
        (ArduCamFault::Hang(300_000), 300_000),
        (ArduCamFault::Reboot, 0),
    ] {
        let clock = VirtualClock::new();
        let sim = ArduCamSim::new(&clock, warm_body_visible, 0, 5);
        let mut driver = Driver::new(sim.spi(), sim.i2c(), settings(Output::Rgb565)).unwrap();
        run(&mut driver, &clock, 3_000_000);
        let healthy = run(&mut driver, &clock, 2_000_000).0.len();
        assert!(healthy >= 9, "{healthy} frames in 2 s");
        let before = driver.counters();
        sim.inject(fault);
        run(&mut driver, &clock, lasts_us + 2_000_000);
        let after = driver.counters();
        let (frames, errors) = run(&mut driver, &clock, 2_000_000);
        assert!(frames.len() + 1 >= healthy, "{fault:?}: {} frames, not {healthy}", frames.len());
        assert_eq!(errors, [], "{fault:?}");
        let rose = |get: fn(Counters) -> u32| get(after) > get(before);
        assert!(
            match fault {
                ArduCamFault::Nack(_) | ArduCamFault::HeldBus { .. } => rose(|c| c.i2c_errors),
                ArduCamFault::SpiErrors(_) => rose(|c| c.spi_errors),
                ArduCamFault::ShortCaptures(_) => rose(|c| c.wrong_lengths),
                ArduCamFault::Hang(_) => rose(|c| c.timeouts),
                ArduCamFault::Reboot => rose(|c| c.restarts + c.timeouts + c.wrong_lengths),
                ArduCamFault::Late(_) | ArduCamFault::Stuck(_) => true,
            },
            "{fault:?}: {before:?} {after:?}"
        );
    }
}

#[test]
fn absent_parts_are_named() {
    struct Open(u8);
    impl embedded_hal::spi::ErrorType for Open {
        type Error = BusError;
    }
    impl embedded_hal::spi::SpiDevice for Open {
        fn transaction(&mut self, ops: &mut [embedded_hal::spi::Operation<'_, u8>]) -> Result<(), BusError> {
            for op in ops {
                if let embedded_hal::spi::Operation::Read(out) = op {
                    out.fill(self.0);
                }
            }
            Ok(())
        }
    }
    let clock = VirtualClock::new();
    let sim = ArduCamSim::new(&clock, warm_body_visible, 0, 5);
    let mut buffer = vec![0; 160 * 120 * 2];
    let mut driver = ArduCam::new(Open(0xff), sim.i2c(), settings(Output::Yuyv)).unwrap();
    let error = (0..1000).find_map(|ms| driver.poll(&mut buffer, ms * 1000).err()).unwrap();
    assert_eq!(error, Error::NoBridge { found: 0xff });
    assert!(error.to_string().contains("SPI"));

    sim.inject(ArduCamFault::Nack(u16::MAX));
    let mut driver = ArduCam::new(sim.spi(), sim.i2c(), settings(Output::Yuyv)).unwrap();
    let error = (0..1000).find_map(|ms| driver.poll(&mut buffer, ms * 1000).err()).unwrap();
    assert_eq!(error, Error::Setup(SetupError::Bus(BusError::Nack)));
}

#[test]
fn sizes_that_do_not_work_are_refused() {
    let clock = VirtualClock::new();
    let sim = ArduCamSim::new(&clock, warm_body_visible, 0, 5);
    for size in [(0, 120), (162, 120), (804, 600), (640, 480)] {
        let refused = ArduCam::new(sim.spi(), sim.i2c(), Settings { size, ..settings(Output::Yuyv) });
        assert!(refused.is_err(), "{size:?}");
    }
    assert!(ov5640::setup(Output::Rgb565, (1284, 960)).is_err());
    assert!(ov7725::setup(Output::Rgb565, (640, 480)).is_err());
}

/// An I²C device that keeps 16-bit addressed registers.
struct Registers(std::collections::HashMap<u16, u8>, u16, u8);

impl embedded_hal::i2c::ErrorType for Registers {
    type Error = BusError;
}

impl embedded_hal::i2c::I2c for Registers {
    fn transaction(
        &mut self,
        address: u8,
        ops: &mut [embedded_hal::i2c::Operation<'_>],
    ) -> Result<(), BusError> {
        assert_eq!(address, self.2);
        for op in ops {
            match op {
                embedded_hal::i2c::Operation::Write([r]) => self.1 = u16::from(*r),
                embedded_hal::i2c::Operation::Write([h, l]) if self.2 == ov5640::ADDRESS => {
                    self.1 = u16::from_be_bytes([*h, *l]);
                }
                embedded_hal::i2c::Operation::Write([r, v]) => _ = self.0.insert(u16::from(*r), *v),
                embedded_hal::i2c::Operation::Write([h, l, v]) => {
                    self.0.insert(u16::from_be_bytes([*h, *l]), *v);
                }
                embedded_hal::i2c::Operation::Write(_) => return Err(BusError::Unsupported),
                embedded_hal::i2c::Operation::Read(out) => {
                    out.fill(self.0.get(&self.1).copied().unwrap_or(0));
                }
            }
        }
        Ok(())
    }
}

struct Delay(u64);

impl DelayNs for Delay {
    fn delay_ns(&mut self, ns: u32) {
        self.0 += u64::from(ns);
    }
}

#[test]
fn parallel_cameras_are_set_up_and_told_apart() {
    let mut delay = Delay(0);
    let mut camera = Registers([(0x300a, 0x56), (0x300b, 0x40)].into(), 0, ov5640::ADDRESS);
    let steps = ov5640::setup(Output::Rgb565, (320, 240)).unwrap();
    apply(&mut camera, &mut delay, ov5640::ADDRESS, steps.clone()).unwrap();
    let word = |high: u16| u16::from(camera.0[&high]) << 8 | u16::from(camera.0[&(high + 1)]);
    assert_eq!((word(0x3808), word(0x380a)), (320, 240));
    assert_eq!((camera.0[&0x4300], camera.0[&0x501f], camera.0[&0x3008]), (0x6f, 1, 0x02));
    assert!(delay.0 >= 300_000_000);
    let written: HashSet<u16> =
        steps.filter_map(|s| if let Step::Write(r, _) = s { Some(r) } else { None }).collect();
    assert!(written.len() > 150);

    let mut camera = Registers([(0x0a, 0x77), (0x0b, 0x21)].into(), 0, ov7725::ADDRESS);
    let steps = ov7725::setup(Output::Yuyv, (160, 120)).unwrap();
    apply(&mut camera, &mut delay, ov7725::ADDRESS, steps).unwrap();
    assert_eq!((camera.0[&0x29], camera.0[&0x2c], camera.0[&0x12]), (40, 60, 0x40));

    let mut other = Registers([(0x300a, 0x36), (0x300b, 0x60)].into(), 0, ov5640::ADDRESS);
    let steps = ov5640::setup(Output::Yuyv, (320, 240)).unwrap();
    let error = apply(&mut other, &mut delay, ov5640::ADDRESS, steps).unwrap_err();
    assert_eq!(error, SetupError::WrongChip { register: 0x300a, found: 0x36, expected: 0x56 });

    // The same registers behind the FIFO board.
    for (output, mode) in [(Output::Rgb565, 0x08), (Output::Yuyv, 0x00)] {
        let steps = ov2640::setup(output, (160, 120)).unwrap();
        assert!(steps.clone().count() > 190);
        // High byte first: the last value that each register of the order gets.
        let last =
            |register| steps.clone().filter(|s| matches!(s, Step::Write(r, _) if *r == register)).last();
        assert_eq!(last(ov2640::IMAGE_MODE), Some(Step::Write(ov2640::IMAGE_MODE, mode)));
        assert_eq!(last(0xd7), Some(Step::Write(0xd7, 0x03)));
    }
}
