//! The Lepton driver against the simulated camera.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use fusionproxy_board::lepton::cci::{Access, FfcMode, attribute};
use fusionproxy_board::lepton::receiver::SyncLoss;
use fusionproxy_board::lepton::{
    AsyncLepton, Error, Fault, Gain, Lepton, Model, Output, Settings, Step, TelemetryLines,
};
use fusionproxy_board::sim::{
    BusError, Desync, LeptonFault, LeptonI2c, LeptonSim, LeptonSpi, RadiometricCapability, ThermalScene,
    VirtualClock, warm_body,
};
use fusionproxy_board::source::FrameSource;
use fusionproxy_core::frame::FrameInfo;
use fusionproxy_core::health::SensorState;

type Driver<'s, 'c, S> = Lepton<LeptonSpi<'s, 'c, S>, LeptonI2c<'s, 'c, S>>;
type Failure = Error<BusError, BusError>;

/// Polls every millisecond for a time; frames and errors in the order in which they came.
struct Run {
    frames: Vec<(u64, FrameInfo, Vec<u8>)>,
    errors: Vec<Failure>,
}

fn run<S: ThermalScene>(driver: &mut Driver<'_, '_, S>, clock: &VirtualClock, for_us: u64) -> Run {
    let mut buffer = vec![0; driver.layout().bytes()];
    let end = clock.now_us() + for_us;
    let mut out = Run { frames: Vec::new(), errors: Vec::new() };
    while clock.now_us() < end {
        match driver.poll(&mut buffer, clock.now_us()) {
            Ok(None) => {}
            Ok(Some(info)) => {
                out.frames.push((clock.now_us(), info, buffer.clone()));
                buffer.fill(0xa5);
            }
            Err(e) => out.errors.push(e),
        }
        clock.advance_us(1000);
    }
    out
}

/// Errors other than the missing acknowledgements while the camera starts.
fn unexpected(errors: &[Failure]) -> Vec<&Failure> {
    errors.iter().filter(|e| !matches!(e, Error::I2c(BusError::Nack))).collect()
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u16> + '_ {
    bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]))
}

#[test]
fn every_model_and_telemetry_position_gives_the_scene() {
    use RadiometricCapability::{None as Plain, TLinear};
    for (model, capability) in [
        (Model::Lepton2, Plain),
        (Model::Lepton2, TLinear),
        (Model::Lepton3, Plain),
        (Model::Lepton3, TLinear),
    ] {
        for telemetry in [TelemetryLines::Off, TelemetryLines::Header, TelemetryLines::Footer] {
            for output in [Output::Counts, Output::Centikelvin, Output::Agc] {
                if output == Output::Centikelvin && capability == Plain {
                    continue;
                }
                let clock = VirtualClock::new();
                let sim = LeptonSim::new(&clock, model, capability, warm_body, 7);
                let settings = Settings { model, telemetry, output, gain: None };
                let mut driver = Driver::new(sim.spi(), sim.i2c(), settings);
                let run = run(&mut driver, &clock, 2_500_000);
                let what = format!("{model:?} {capability:?} {telemetry:?} {output:?}");
                assert!(unexpected(&run.errors).is_empty(), "{what}: {:?}", unexpected(&run.errors));
                assert!(run.frames.len() >= 8, "{what}: {} frames", run.frames.len());
                let (_, info, bytes) = run.frames.last().unwrap();
                let layout = driver.layout();
                for (i, value) in match output {
                    Output::Agc => bytes.iter().map(|&b| u16::from(b)).collect::<Vec<_>>(),
                    _ => words(bytes).collect(),
                }
                .into_iter()
                .enumerate()
                {
                    let (x, y) = (i % layout.width, i / layout.width);
                    // The frame shows the scene of at most a frame before it was read, and the scene moves slowly.
                    let near = |t: i32| match output {
                        Output::Counts => (i32::from(value) - (8192 + (t - 300_000) / 40)).abs() <= 4,
                        Output::Centikelvin => (i32::from(value) - t / 10).abs() <= 20,
                        Output::Agc => (i32::from(value) - ((t - 250_000) / 300).clamp(0, 255)).abs() <= 4,
                    };
                    let ok =
                        (0..150).step_by(10).any(|ms| near(sim.truth(x, y, info.timestamp_us - ms * 1000)));
                    assert!(ok, "{what}: pixel {x},{y} is {value}");
                }
                assert_eq!(driver.telemetry().is_some(), telemetry != TelemetryLines::Off);
                assert_eq!(driver.counters().stream.corrupt, 0);
            }
        }
    }
}

#[test]
fn frame_rate_is_that_of_unique_frames() {
    for model in [Model::Lepton2, Model::Lepton3] {
        let clock = VirtualClock::new();
        let sim = LeptonSim::new(&clock, model, RadiometricCapability::None, warm_body, 1);
        let mut driver = Driver::new(sim.spi(), sim.i2c(), Settings::new(model));
        run(&mut driver, &clock, 2_000_000);
        let run = run(&mut driver, &clock, 10_000_000);
        assert!((87..=89).contains(&run.frames.len()), "{model:?}: {}", run.frames.len());
        assert!(run.errors.is_empty());
        for pair in run.frames.windows(2) {
            assert_eq!(pair[1].1.sequence, pair[0].1.sequence + 1);
            assert!(pair[1].1.timestamp_us > pair[0].1.timestamp_us);
        }
    }
}

/// The driver recovers from each fault: full rate again within 2 s of its end, and a counter has moved.
#[test]
fn recovers_from_every_fault_within_two_seconds() {
    let faults = [
        (LeptonFault::CorruptPackets(1), 0),
        (LeptonFault::CorruptPackets(40), 0),
        (LeptonFault::DropPackets(1), 0),
        (LeptonFault::DropPackets(45), 0),
        (LeptonFault::Desync(Desync::Discards), 0),
        (LeptonFault::Desync(Desync::Shifted(1)), 0),
        (LeptonFault::Desync(Desync::Shifted(77)), 0),
        (LeptonFault::Late(60_000), 60_000),
        (LeptonFault::Late(900_000), 900_000),
        (LeptonFault::Nack(5), 0),
        (LeptonFault::HeldBus { us: 500_000, timeout_us: 10_000 }, 500_000),
        (LeptonFault::SpiErrors(3), 0),
        (LeptonFault::MisoLow(300_000), 300_000),
        (LeptonFault::SpiErrors(200), 0),
        (LeptonFault::Ffc, 700_000),
        (LeptonFault::Reboot, 950_000),
    ];
    for model in [Model::Lepton2, Model::Lepton3] {
        for (fault, lasts_us) in faults {
            let clock = VirtualClock::new();
            let sim = LeptonSim::new(&clock, model, RadiometricCapability::None, warm_body, 3);
            let mut driver = Driver::new(sim.spi(), sim.i2c(), Settings::new(model));
            run(&mut driver, &clock, 2_000_000);
            let before = driver.counters();
            sim.inject(fault);
            if matches!(fault, LeptonFault::Nack(_) | LeptonFault::HeldBus { .. }) {
                // Nothing runs over CCI while telemetry tells the state; a command must live through it.
                driver.run_ffc(clock.now_us()).unwrap();
            }
            run(&mut driver, &clock, lasts_us + 2_000_000);
            let after = driver.counters();
            let run = run(&mut driver, &clock, 4_000_000);
            assert!(run.frames.len() >= 34, "{model:?} {fault:?}: {} frames in 4 s", run.frames.len());
            assert!(run.errors.is_empty(), "{model:?} {fault:?}: {:?}", run.errors);
            assert!(run.frames.iter().all(|f| f.1.state == SensorState::Ok));
            let (b, a) = (before.stream, after.stream);
            let seen = match fault {
                LeptonFault::CorruptPackets(_) => a.corrupt > b.corrupt,
                LeptonFault::DropPackets(_) => a.gaps + a.segment_errors > b.gaps + b.segment_errors,
                LeptonFault::Desync(_) | LeptonFault::Reboot | LeptonFault::MisoLow(_) => {
                    a.resyncs > b.resyncs
                }
                // A delay shorter than the limits only moves the frames.
                LeptonFault::Late(us) => us < 100_000 || a.resyncs > b.resyncs,
                LeptonFault::Nack(_) => after.i2c_errors >= before.i2c_errors + 5,
                LeptonFault::HeldBus { .. } => after.i2c_errors > before.i2c_errors,
                LeptonFault::SpiErrors(_) => after.spi_errors > before.spi_errors,
                LeptonFault::Ffc => after.ffc_frames > before.ffc_frames,
                LeptonFault::Stuck(_) => true,
            };
            assert!(seen, "{model:?} {fault:?}: {before:?} {after:?}");
        }
    }
}

#[test]
fn a_host_that_pauses_gets_back_into_step() {
    let clock = VirtualClock::new();
    let sim = LeptonSim::new(&clock, Model::Lepton3, RadiometricCapability::None, warm_body, 5);
    let mut driver = Driver::new(sim.spi(), sim.i2c(), Settings::new(Model::Lepton3));
    run(&mut driver, &clock, 2_000_000);
    for pause_ms in [15, 39, 120, 184, 186, 500] {
        clock.advance_us(pause_ms * 1000);
        let run1 = run(&mut driver, &clock, 1_000_000);
        assert!(run1.frames.len() >= 3, "{pause_ms} ms: {} frames in the next second", run1.frames.len());
        if pause_ms > 38 {
            let expected = Error::Camera(Fault::LostSync(SyncLoss::HostPause));
            assert_eq!(run1.errors.first(), Some(&expected));
        }
        assert!(!sim.out_of_step());
    }
}

#[test]
fn commands_run_beside_the_stream() {
    let clock = VirtualClock::new();
    let sim = LeptonSim::new(&clock, Model::Lepton3, RadiometricCapability::None, warm_body, 5);
    let settings = Settings { gain: Some(Gain::Low), ..Settings::new(Model::Lepton3) };
    let mut driver = Driver::new(sim.spi(), sim.i2c(), settings);
    assert!(driver.run_ffc(0).is_err(), "nothing can run before the camera has started");
    run(&mut driver, &clock, 2_000_000);
    assert_eq!(driver.telemetry().unwrap().effective_gain, 1);

    let mode =
        FfcMode { automatic: false, period_ms: 300_000, temperature_step_ck: 300, imminent_frames: 52 };
    driver.set_ffc_mode(mode, clock.now_us()).unwrap();
    assert!(driver.run_ffc(clock.now_us()).is_err(), "one command at a time");
    run(&mut driver, &clock, 100_000);
    assert_eq!(driver.take_answer().unwrap().result, Ok([0; 16]));
    driver.machine().submit(attribute::FFC_MODE, Access::Get, &[], clock.now_us()).unwrap();
    run(&mut driver, &clock, 100_000);
    let answer = driver.take_answer().unwrap().result.unwrap();
    assert_eq!(FfcMode::from_words(|i| answer[i]), mode);

    driver.machine().submit(attribute::FPA_TEMPERATURE, Access::Get, &[], clock.now_us()).unwrap();
    run(&mut driver, &clock, 100_000);
    assert_eq!(driver.take_answer().unwrap().result.unwrap()[0], 30_512);
    assert_eq!(driver.telemetry().unwrap().fpa_mk, 305_120);

    driver.machine().submit(attribute::TLINEAR_ENABLE, Access::Set, &[1, 0], clock.now_us()).unwrap();
    run(&mut driver, &clock, 100_000);
    assert!(driver.take_answer().unwrap().result.is_err(), "a camera without radiometry refuses");

    driver.run_ffc(clock.now_us()).unwrap();
    let run = run(&mut driver, &clock, 2_000_000);
    let states: Vec<_> = run.frames.iter().map(|f| f.1.state).collect();
    assert!(states.contains(&SensorState::Ffc) && states.last() == Some(&SensorState::Ok), "{states:?}");
}

#[test]
fn ffc_is_known_without_telemetry() {
    let clock = VirtualClock::new();
    let sim = LeptonSim::new(&clock, Model::Lepton3, RadiometricCapability::None, warm_body, 5);
    let settings = Settings { telemetry: TelemetryLines::Off, ..Settings::new(Model::Lepton3) };
    let mut driver = Driver::new(sim.spi(), sim.i2c(), settings);
    run(&mut driver, &clock, 2_000_000);
    sim.inject(LeptonFault::Ffc);
    let run = run(&mut driver, &clock, 2_000_000);
    assert!(run.frames.iter().any(|f| f.1.state == SensorState::Ffc));
    assert_eq!(run.frames.last().unwrap().1.state, SensorState::Ok);
}

#[test]
fn a_wrong_model_is_named() {
    let clock = VirtualClock::new();
    let sim = LeptonSim::new(&clock, Model::Lepton2, RadiometricCapability::None, warm_body, 5);
    let mut driver = Driver::new(sim.spi(), sim.i2c(), Settings::new(Model::Lepton3));
    let run = run(&mut driver, &clock, 3_500_000);
    assert!(run.frames.is_empty());
    let wrong = Error::Camera(Fault::WrongModel { found: Model::Lepton2, expected: Model::Lepton3 });
    assert!(unexpected(&run.errors).iter().all(|e| **e == wrong));
    assert!(unexpected(&run.errors).len() >= 2, "reported again every second");
    assert!(wrong.to_string().contains("change the model"));
}

/// Zeros have a valid CRC: a broken wire must not look like a camera of another model, and is told the same way each time.
#[test]
fn a_data_line_that_stays_low_is_named() {
    for model in [Model::Lepton2, Model::Lepton3] {
        let clock = VirtualClock::new();
        let sim = LeptonSim::new(&clock, model, RadiometricCapability::None, warm_body, 5);
        sim.inject(LeptonFault::MisoLow(u64::MAX));
        let mut driver = Driver::new(sim.spi(), sim.i2c(), Settings::new(model));
        let run = run(&mut driver, &clock, 8_000_000);
        assert!(run.frames.is_empty());
        let low = Error::Camera(Fault::LostSync(SyncLoss::LineLow));
        let told = unexpected(&run.errors);
        assert!(told.len() > 6 && told.iter().all(|e| **e == low), "{told:?}");
        assert!(low.to_string().contains("MISO"), "{low}");
        assert!(driver.counters().restarts > 0);
    }
}

#[test]
fn an_absent_camera_is_reported_and_costs_little() {
    let clock = VirtualClock::new();
    let sim = LeptonSim::new(&clock, Model::Lepton3, RadiometricCapability::None, warm_body, 5);
    sim.inject(LeptonFault::Nack(u16::MAX));
    let mut driver = Driver::new(sim.spi(), sim.i2c(), Settings::new(Model::Lepton3));
    let run = run(&mut driver, &clock, 5_000_000);
    assert!(run.frames.is_empty());
    assert!((200..=260).contains(&run.errors.len()), "one try in 20 ms: {}", run.errors.len());
}

#[test]
fn a_short_buffer_is_refused_by_name() {
    let clock = VirtualClock::new();
    let sim = LeptonSim::new(&clock, Model::Lepton3, RadiometricCapability::None, warm_body, 5);
    let mut driver = Driver::new(sim.spi(), sim.i2c(), Settings::new(Model::Lepton3));
    let error = driver.poll(&mut [0; 100], 0).unwrap_err();
    assert_eq!(error.to_string(), "frame buffer holds 100 bytes, but a frame takes 38400: lend a larger one");
}

/// A blocking bus as an asynchronous one that is always done at once.
struct Now<T>(T);
impl<T: embedded_hal::spi::ErrorType> embedded_hal::spi::ErrorType for Now<T> {
    type Error = T::Error;
}
impl<T: embedded_hal::spi::SpiDevice> embedded_hal_async::spi::SpiDevice for Now<T> {
    async fn transaction(
        &mut self,
        ops: &mut [embedded_hal::spi::Operation<'_, u8>],
    ) -> Result<(), T::Error> {
        self.0.transaction(ops)
    }
}
struct NowI2c<T>(T);
impl<T: embedded_hal::i2c::ErrorType> embedded_hal::i2c::ErrorType for NowI2c<T> {
    type Error = T::Error;
}
impl<T: embedded_hal::i2c::I2c> embedded_hal_async::i2c::I2c for NowI2c<T> {
    async fn transaction(
        &mut self,
        address: u8,
        ops: &mut [embedded_hal::i2c::Operation<'_>],
    ) -> Result<(), T::Error> {
        self.0.transaction(address, ops)
    }
}
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(out) => out,
        Poll::Pending => panic!("simulated buses never wait"),
    }
}

/// The asynchronous driver is the same machine: the same frames at the same times.
#[test]
fn asynchronous_driver_gives_the_same_frames() {
    let settings = Settings::new(Model::Lepton3);
    let clock = VirtualClock::new();
    let sim = LeptonSim::new(&clock, Model::Lepton3, RadiometricCapability::None, warm_body, 9);
    let mut blocking = Driver::new(sim.spi(), sim.i2c(), settings);
    let expected = run(&mut blocking, &clock, 3_000_000);

    let clock = VirtualClock::new();
    let sim = LeptonSim::new(&clock, Model::Lepton3, RadiometricCapability::None, warm_body, 9);
    let mut driver = AsyncLepton::<_, _>::new(Now(sim.spi()), NowI2c(sim.i2c()), settings);
    let mut buffer = vec![0; driver.layout().bytes()];
    let mut frames = Vec::new();
    while clock.now_us() < 3_000_000 {
        if let Ok(Step::Frame(info)) = ready(driver.poll(&mut buffer, || clock.now_us())) {
            frames.push((clock.now_us(), info, buffer.clone()));
        }
        clock.advance_us(1000);
    }
    assert!(!frames.is_empty() && frames == expected.frames);
}

/// A bus that is held must be left alone for a while after each try, however long the try took: while it hangs, nothing else
/// runs on the core.
#[test]
fn a_held_bus_is_not_tried_again_at_once() {
    let clock = VirtualClock::new();
    let sim = LeptonSim::new(&clock, Model::Lepton3, RadiometricCapability::None, warm_body, 9);
    let settings = Settings::new(Model::Lepton3);
    let mut driver = AsyncLepton::<_, _>::new(Now(sim.spi()), NowI2c(sim.i2c()), settings);
    let mut buffer = vec![0; driver.layout().bytes()];
    sim.inject(LeptonFault::HeldBus { us: 2_000_000, timeout_us: 50_000 });
    let mut tries = 0;
    while clock.now_us() < 2_000_000 {
        match ready(driver.poll(&mut buffer, || clock.now_us())) {
            Err(error) => {
                assert_eq!(error, Error::I2c(BusError::Controller));
                tries += 1;
            }
            Ok(_) => clock.advance_us(1000),
        }
    }
    // 50 ms each, and 20 ms in between.
    assert!((27..=29).contains(&tries), "{tries} tries in 2 s");
}
