//! The AMG8833 driver against the simulated sensor.

use fusionproxy_board::amg8833::{Amg8833, Error, PIXELS, SIDE};
use fusionproxy_board::sim::{Amg8833Sim, BusError, ThermalScene, VirtualClock, warm_body};
use fusionproxy_board::source::FrameSource;

#[test]
fn shows_the_scene_and_recovers() {
    let clock = VirtualClock::new();
    let sim = Amg8833Sim::new(&clock, warm_body, 3);
    let mut driver = Amg8833::new(&sim, 0x69);
    let mut buffer = [0u8; PIXELS * 2];
    let (mut frames, mut errors) = (Vec::new(), Vec::new());
    for ms in 0..4000 {
        if ms == 1000 {
            sim.inject_nack(2);
        }
        if ms == 2000 {
            sim.inject_stuck_high(1);
        }
        match driver.poll(&mut buffer, clock.now_us()) {
            Ok(Some(info)) => frames.push(info),
            Ok(None) => {}
            Err(e) => errors.push(e),
        }
        clock.advance_us(1000);
    }
    assert_eq!(
        errors,
        [Error::I2c(BusError::Nack), Error::I2c(BusError::Nack), Error::Corrupt { pixel: 0, word: 0xffff }]
    );
    assert!(frames.len() >= 36, "{}", frames.len());
    let last = frames.last().unwrap();
    for (pixel, &millikelvin) in driver.temperatures_mk().iter().enumerate() {
        // The sensor measures down to -20 °C.
        let truth =
            warm_body.millikelvin(pixel % SIDE, pixel / SIDE, (SIDE, SIDE), last.timestamp_us + 100_000);
        assert!(
            (millikelvin - truth.max(253_150)).abs() <= 1500,
            "pixel {pixel}: {millikelvin} mK, not {truth}"
        );
    }
    let c = driver.counters();
    assert_eq!((c.bus_errors, c.corrupt), (2, 1));
    assert_eq!(usize::try_from(c.frames).unwrap(), frames.len());
}
