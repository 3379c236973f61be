//! The MLX90640 driver against the simulated sensor.

use fusionproxy_board::mlx90640::{CalibrationError, Error, Fault, Mlx90640, PIXELS, Rate, Settings, WIDTH};
use fusionproxy_board::sim::{
    BusError, Mlx90640Fault, Mlx90640I2c, Mlx90640Sim, ThermalScene, VirtualClock, warm_body,
};
use fusionproxy_board::source::FrameSource;
use fusionproxy_core::frame::FrameInfo;

type Failure = Error<BusError>;

fn run<S: ThermalScene>(
    driver: &mut Mlx90640<Mlx90640I2c<'_, '_, S>>,
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
        clock.advance_us(500);
    }
    (frames, errors)
}

#[test]
fn temperatures_are_those_of_the_scene() {
    let clock = VirtualClock::new();
    let sim = Mlx90640Sim::new(&clock, warm_body, 11);
    let mut driver = Mlx90640::new(sim.i2c(), Settings::default());
    let (frames, errors) = run(&mut driver, &clock, 6_000_000);
    assert_eq!(errors, []);
    assert!(frames.len() >= 18, "4 frames a second: {}", frames.len());
    let (info, bytes) = frames.last().unwrap();
    let bad = sim.bad_pixels();
    for (pixel, &millikelvin) in driver.temperatures_mk().iter().enumerate() {
        let times = (0..40).map(|i| info.timestamp_us + 200_000 - i * 10_000);
        let near = times.map(|t| (millikelvin - sim.truth(pixel, t)).abs()).min().unwrap();
        // Noise of 0.1 K, words of about 0.05 K, and the data sheet's approximation, which is off most where cold.
        if !bad.contains(&pixel) {
            assert!(near < 1_000, "pixel {pixel} is {millikelvin} mK, off by {near}");
        }
        let word = u16::from_le_bytes([bytes[2 * pixel], bytes[2 * pixel + 1]]);
        assert_eq!(i32::from(word), millikelvin / 10);
    }
    assert!((driver.ambient_mk() - (39_184 + 273_150)).abs() < 5);
    for pair in frames.windows(2) {
        assert_eq!(pair[1].0.sequence, pair[0].0.sequence + 1);
        let step = pair[1].0.timestamp_us - pair[0].0.timestamp_us;
        assert!((230_000..270_000).contains(&step), "{step}");
    }
}

#[test]
fn bad_pixels_are_repaired() {
    for seed in 0..20 {
        let clock = VirtualClock::new();
        let flat = |_: usize, _: usize, _: (usize, usize), _: u64| 300_000;
        let sim = Mlx90640Sim::new(&clock, flat, seed);
        let mut driver = Mlx90640::new(sim.i2c(), Settings::default());
        run(&mut driver, &clock, 1_500_000);
        for pixel in sim.bad_pixels() {
            assert!(driver.calibration().unwrap().is_bad(pixel));
            let found = driver.temperatures_mk()[pixel];
            assert!(
                (found - 300_000).abs() < 400,
                "seed {seed} pixel {},{}: {found}",
                pixel % WIDTH,
                pixel / WIDTH
            );
        }
    }
}

#[test]
fn every_rate_is_delivered_as_far_as_the_bus_allows() {
    // 16 subpages a second leave 62 ms for a reading of 41 ms: once, not twice.
    for (rate, verify, frames_in_8_s) in [
        (Rate::Hz1, true, 3),
        (Rate::Hz2, true, 7),
        (Rate::Hz4, true, 15),
        (Rate::Hz8, true, 31),
        (Rate::Hz16, false, 62),
    ] {
        let clock = VirtualClock::new();
        let sim = Mlx90640Sim::new(&clock, warm_body, 2);
        let mut driver = Mlx90640::new(sim.i2c(), Settings { rate, verify, ..Settings::default() });
        run(&mut driver, &clock, 4_500_000);
        let (frames, errors) = run(&mut driver, &clock, 8_000_000);
        assert_eq!(errors, [], "{rate:?}");
        assert!(frames.len() >= frames_in_8_s, "{rate:?}: {}", frames.len());
    }
}

#[test]
fn too_fast_a_rate_gives_torn_subpages_and_no_wrong_frame() {
    let clock = VirtualClock::new();
    let sim = Mlx90640Sim::new(&clock, warm_body, 2);
    let settings = Settings { rate: Rate::Hz32, verify: true, ..Settings::default() };
    let mut driver = Mlx90640::new(sim.i2c(), settings);
    let (frames, errors) = run(&mut driver, &clock, 4_000_000);
    assert!(frames.is_empty() && driver.counters().torn > 20, "{:?}", driver.counters());
    assert!(errors.len() >= 2 && errors.iter().all(|e| *e == Error::Sensor(Fault::BusTooSlow)), "{errors:?}");
}

#[test]
fn recovers_from_every_fault_within_two_seconds() {
    for (fault, lasts_us) in [
        (Mlx90640Fault::Nack(1), 0),
        (Mlx90640Fault::Nack(20), 0),
        (Mlx90640Fault::BitErrors(1), 0),
        (Mlx90640Fault::BitErrors(30), 0),
        (Mlx90640Fault::Late(300_000), 300_000),
        (Mlx90640Fault::Late(1_500_000), 1_500_000),
        (Mlx90640Fault::Reboot, 80_000),
    ] {
        let clock = VirtualClock::new();
        let sim = Mlx90640Sim::new(&clock, warm_body, 4);
        let mut driver = Mlx90640::new(sim.i2c(), Settings::default());
        run(&mut driver, &clock, 2_000_000);
        let before = driver.counters();
        sim.inject(fault);
        run(&mut driver, &clock, lasts_us + 2_000_000);
        let after = driver.counters();
        let (frames, errors) = run(&mut driver, &clock, 4_000_000);
        assert!(frames.len() >= 15, "{fault:?}: {} frames in 4 s", frames.len());
        assert_eq!(errors, [], "{fault:?}");
        let seen = match fault {
            Mlx90640Fault::Nack(n) => after.bus_errors == before.bus_errors + u32::from(n),
            // A wrong bit in the status or control register shows in other ways.
            Mlx90640Fault::BitErrors(_) => {
                let sum =
                    |c: fusionproxy_board::mlx90640::Counters| c.corrupt + c.torn + c.restarts + c.unpaired;
                sum(after) > sum(before)
            }
            Mlx90640Fault::Late(us) => us < 500_000 || after.stalls > before.stalls,
            Mlx90640Fault::Reboot => after.restarts + after.stalls > before.restarts + before.stalls,
            Mlx90640Fault::Stuck(_) => true,
        };
        assert!(seen, "{fault:?}: {before:?} {after:?}");
    }
}

/// Whatever a damaged bus does, no frame shows anything but the scene.
#[test]
fn damaged_data_never_reach_a_frame() {
    let clock = VirtualClock::new();
    let flat = |_: usize, _: usize, _: (usize, usize), _: u64| 300_000;
    let sim = Mlx90640Sim::new(&clock, flat, 8);
    let mut driver = Mlx90640::new(sim.i2c(), Settings::default());
    let mut delivered = 0;
    for round in 0..120 {
        sim.inject(Mlx90640Fault::BitErrors(1 + round % 3));
        let (frames, _) = run(&mut driver, &clock, 500_000);
        for (_, bytes) in frames {
            delivered += 1;
            for (pixel, word) in bytes.chunks_exact(2).enumerate() {
                let centikelvin = i32::from(u16::from_le_bytes([word[0], word[1]]));
                assert!((centikelvin - 30_000).abs() < 60, "round {round} pixel {pixel}: {centikelvin}");
            }
        }
    }
    let c = driver.counters();
    assert!(delivered > 60 && c.corrupt > 60, "{delivered} {c:?}");
}

#[test]
fn an_absent_or_wrong_sensor_is_named() {
    let clock = VirtualClock::new();
    let sim = Mlx90640Sim::new(&clock, warm_body, 4);
    let mut driver = Mlx90640::new(sim.i2c(), Settings { address: 0x40, ..Settings::default() });
    let (frames, errors) = run(&mut driver, &clock, 1_000_000);
    assert!(frames.is_empty() && !errors.is_empty());
    assert!(errors.iter().all(|e| *e == Error::I2c(BusError::Nack)));

    /// A bus on which nobody pulls a line low after the acknowledge.
    struct Stuck(u8);
    impl embedded_hal::i2c::ErrorType for Stuck {
        type Error = BusError;
    }
    impl embedded_hal::i2c::I2c for Stuck {
        fn transaction(
            &mut self,
            _: u8,
            ops: &mut [embedded_hal::i2c::Operation<'_>],
        ) -> Result<(), BusError> {
            for op in ops {
                if let embedded_hal::i2c::Operation::Read(out) = op {
                    out.fill(self.0);
                }
            }
            Ok(())
        }
    }
    for (level, expected) in
        [(0, CalibrationError::Blank { address: 0x2433 }), (0xff, CalibrationError::OtherDevice)]
    {
        let mut driver = Mlx90640::new(Stuck(level), Settings::default());
        let mut buffer = [0; PIXELS * 2];
        let error = (0..100).find_map(|i| driver.poll(&mut buffer, i * 1000).err());
        assert_eq!(error, Some(Error::Sensor(Fault::Calibration(expected))));
    }
}
