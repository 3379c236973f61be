//! The life of a sensor's thread.

use std::sync::atomic::AtomicU32;
use std::time::Instant;

use fusionproxy_core::health::SensorState;

use super::*;
use crate::clock::now_us;

/// A sensor with a fault in each of its first lives: absent, a driver that panics, unplugged after two frames.
struct Faulty {
    lives: AtomicU32,
}

struct Life {
    number: u32,
    frames: u32,
}

impl Sensor for Faulty {
    type Format = VisibleFormat;

    fn layout(&self) -> Layout<VisibleFormat> {
        Layout { format: VisibleFormat::Grey, width: 2, height: 1 }
    }

    fn watch(&self) -> Watch {
        Watch::for_rate(100)
    }

    fn open(&self) -> Result<Box<dyn Session>, SensorError> {
        let number = self.lives.fetch_add(1, Ordering::Relaxed);
        if number == 0 {
            Err(SensorError::closed("absent".to_owned()))
        } else {
            Ok(Box::new(Life { number, frames: 0 }))
        }
    }
}

impl Session for Life {
    fn next(&mut self, frame: &mut [u8]) -> Result<Option<FrameInfo>, SensorError> {
        thread::sleep(Duration::from_millis(2));
        match (self.number, self.frames) {
            (1, _) => panic!("a fault of the driver library"),
            (2, 2) => return Err(SensorError::closed("unplugged".to_owned())),
            _ => {}
        }
        frame.fill(self.number as u8);
        self.frames += 1;
        let sequence = self.frames - 1;
        Ok(Some(FrameInfo { timestamp_us: now_us(), sequence, state: SensorState::Ok }))
    }
}

#[test]
fn a_sensor_is_opened_again_after_every_fault() {
    let (bell, stop) = (Arc::new(Bell::default()), Arc::new(AtomicBool::new(false)));
    let sensor = Faulty { lives: AtomicU32::new(0) };
    let mut feed = start("test", sensor, Arc::clone(&bell), Arc::clone(&stop)).expect("a thread");
    let begin = Instant::now();
    let (mut buffer, mut errors, mut seen) = ([0; 2], 0, Vec::new());
    while seen.last() != Some(&3) {
        assert!(begin.elapsed() < Duration::from_secs(60), "{seen:?}, {:?}", feed.connection());
        bell.wait(Duration::from_millis(100));
        match feed.poll(&mut buffer, now_us()) {
            Ok(Some(_)) => seen.push(buffer[1]),
            Ok(None) => {}
            Err(Reported) => errors += 1,
        }
    }
    assert_eq!(errors, 3);
    assert!(seen.iter().all(|&life| life >= 2), "{seen:?}");
    let Connection { connected, problem } = feed.connection();
    assert_eq!((connected, problem), (true, None));
    stop.store(true, Ordering::Relaxed);
}

#[test]
fn frames_that_nobody_took_are_not_lost() {
    let (bell, stop) = (Arc::new(Bell::default()), Arc::new(AtomicBool::new(false)));
    let sensor = Faulty { lives: AtomicU32::new(3) };
    let mut feed = start("test", sensor, Arc::clone(&bell), Arc::clone(&stop)).expect("a thread");
    let mut numbers = Vec::new();
    while numbers.len() < 5 {
        // Longer than between two frames of the sensor.
        thread::sleep(Duration::from_millis(30));
        if let Ok(Some(info)) = feed.poll(&mut [0; 2], now_us()) {
            numbers.push(info.sequence);
        }
    }
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    stop.store(true, Ordering::Relaxed);
}
