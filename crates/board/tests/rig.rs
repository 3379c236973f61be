//! The rig: policy by hand-made frames, and simulated hours of two cameras with faults.

use fusionproxy_board::camera::Output;
use fusionproxy_board::camera::arducam::{self, ArduCam};
use fusionproxy_board::lepton::{self, Lepton, Model};
use fusionproxy_board::rig::{Pairing, Policy, Rig, Track, Watch, fingerprint};
use fusionproxy_board::sim::{
    ArduCamFault, ArduCamSim, LeptonFault, LeptonSim, RadiometricCapability, Soak, VirtualClock, warm_body,
    warm_body_visible,
};
use fusionproxy_board::source::{FrameSource, Layout};
use fusionproxy_core::frame::{FrameInfo, InfraredFormat, VisibleFormat};
use fusionproxy_core::gain::Follow;
use fusionproxy_core::health::SensorState;

const POLICY: Policy =
    Policy { visible: Watch::for_rate(30), infrared: Watch::for_rate(9), tolerance_us: 60_000 };

fn info(timestamp_ms: u64, sequence: u32) -> FrameInfo {
    FrameInfo { timestamp_us: timestamp_ms * 1000, sequence, state: SensorState::Ok }
}

#[test]
fn visible_frames_wait_for_their_partner_but_not_long() {
    let mut p = Pairing::new(POLICY);
    p.infrared(info(1000, 0), 1);
    p.visible(info(1020, 0), 1, 1_030_000);
    let d = p.due(1_030_000).unwrap();
    assert!(d.visible && d.infrared && d.follow == Follow::Afresh);
    assert_eq!((d.status.visible_age_ms, d.status.infrared_age_ms), (10, 30));
    assert_eq!(p.due(1_031_000), None, "once");
    // Too far from the infrared frame: a partner may come within the tolerance.
    p.visible(info(1100, 1), 2, 1_105_000);
    assert_eq!(p.due(1_105_000), None);
    p.infrared(info(1110, 1), 2);
    assert_eq!(p.due(1_120_000).unwrap().follow, Follow::Smoothly);
    // None comes: the last good one, which gain control has seen.
    p.visible(info(1180, 2), 3, 1_185_000);
    assert_eq!(p.due(1_244_000), None);
    let d = p.due(1_245_000).unwrap();
    assert!(d.infrared && d.follow == Follow::Not);
    assert_eq!(d.status.infrared_age_ms, 135);
    assert_eq!(d.status.infrared, SensorState::Ok);
}

#[test]
fn a_lost_infrared_is_used_until_its_limit_and_then_left_out() {
    let mut p = Pairing::new(POLICY);
    p.infrared(info(0, 0), 1);
    let mut states = Vec::new();
    for n in 0..60u32 {
        let t = u64::from(n) * 33;
        p.visible(info(t, n), n, t * 1000);
        let d = p.due(t * 1000 + 60_000).unwrap();
        assert_eq!(d.infrared, d.status.infrared != SensorState::Absent);
        assert_eq!(d.status.infrared_unused, !d.infrared);
        states.push(d.status.infrared);
    }
    states.dedup();
    assert_eq!(states, [SensorState::Ok, SensorState::Stale, SensorState::Absent]);
    p.infrared(info(2000, 9), 2);
    p.visible(info(2010, 60), 60, 2_010_000);
    let d = p.due(2_010_000).unwrap();
    assert!(d.infrared && d.follow == Follow::Afresh);
    let c = p.infrared_track().counters();
    assert_eq!((c.lost, c.recovered), (8, 1));
}

#[test]
fn without_visible_frames_the_infrared_sets_the_pace() {
    let mut p = Pairing::new(POLICY);
    for n in 0..3u32 {
        p.infrared(info(u64::from(n) * 110, n), n);
        let d = p.due(u64::from(n) * 110_000).unwrap();
        assert!(!d.visible && d.infrared && d.status.visible == SensorState::Absent);
        assert_eq!(p.due(u64::from(n) * 110_000 + 1), None);
    }
}

#[test]
fn frames_of_a_closed_shutter_are_not_shown() {
    let mut p = Pairing::new(POLICY);
    assert!(p.infrared(info(1000, 0), 1));
    let mut shut = info(1110, 1);
    shut.state = SensorState::Ffc;
    assert!(!p.infrared(shut, 7));
    p.visible(info(1180, 0), 1, 1_190_000);
    // At once: no partner will come.
    let d = p.due(1_190_000).unwrap();
    assert_eq!((d.status.infrared, d.infrared, d.follow), (SensorState::Ffc, true, Follow::Afresh));
    assert_eq!(d.status.infrared_age_ms, 190);
}

#[test]
fn frozen_frames_age_from_the_first() {
    let watch = Watch::for_rate(10);
    let mut track = Track::new(watch);
    for n in 0..30u32 {
        let t = u64::from(n) * 100;
        track.frame(info(t, n), 42);
        let (state, age) = track.judge(t * 1000);
        if t < 1000 {
            assert_eq!((state, age), (SensorState::Ok, 0), "{t}");
        } else {
            assert_eq!((state, age), (SensorState::Absent, t * 1000));
        }
    }
    track.frame(info(3000, 30), 43);
    assert_eq!(track.judge(3_000_000), (SensorState::Ok, 0));
    let c = track.counters();
    assert_eq!((c.frozen, c.recovered, c.lost), (1, 1, 0));
    assert_ne!(fingerprint(&[0; 7]), fingerprint(&[0, 0, 0, 0, 0, 0, 1]));
}

/// A source that delivers a counting frame every so many polls.
struct Counting<F> {
    format: F,
    every: u32,
    polls: u32,
}

impl<F: fusionproxy_board::source::PixelFormat> FrameSource for Counting<F> {
    type Format = F;
    type Error = &'static str;

    fn layout(&self) -> Layout<F> {
        Layout { format: self.format, width: 4, height: 2 }
    }

    fn poll(&mut self, buffer: &mut [u8], now_us: u64) -> Result<Option<FrameInfo>, Self::Error> {
        self.polls += 1;
        // A driver writes all the time, not only at the end.
        buffer.fill(0xee);
        if !self.polls.is_multiple_of(self.every) {
            return if self.polls.is_multiple_of(7) { Err("hiccup") } else { Ok(None) };
        }
        let sequence = self.polls / self.every;
        buffer.fill(sequence as u8);
        Ok(Some(FrameInfo { timestamp_us: now_us, sequence, state: SensorState::Ok }))
    }
}

#[test]
fn frames_that_complete_during_fusion_are_kept_for_the_next_pair() {
    let visible = Counting { format: VisibleFormat::Grey, every: 3, polls: 0 };
    let infrared = Counting { format: InfraredFormat::Y16, every: 9, polls: 0 };
    let (mut v, mut i) = ([0; 24], [0; 48]);
    assert!(
        Rig::new(
            &mut Counting { format: VisibleFormat::Grey, every: 1, polls: 0 },
            Counting { format: InfraredFormat::Y16, every: 1, polls: 0 },
            &mut [0; 23],
            &mut [0; 48],
            POLICY
        )
        .is_err()
    );
    let mut rig = Rig::new(visible, infrared, &mut v, &mut i, POLICY).unwrap();
    let mut now = 0;
    let mut pairs = Vec::new();
    for _ in 0..200 {
        now += 10_000;
        let errors = rig.poll(now);
        assert!(errors.visible.is_none_or(|e| e == "hiccup"));
        rig.fuse(now, |pair, sensors| {
            let read = || {
                let v = pair.visible.map(|f| f.row(1)[3]);
                let i = pair.infrared.map(|f| f.row(1)[7]);
                (v, i)
            };
            let before = read();
            // A slow network on one core.
            for _ in 0..10 {
                now += 10_000;
                let _ = sensors.poll(now);
            }
            assert_eq!(before, read());
            assert_eq!(before.0, pair.visible.map(|f| f.info().sequence as u8));
            assert_eq!(before.1, pair.infrared.map(|f| f.info().sequence as u8));
            pairs.push(before);
        });
    }
    assert!(pairs.len() > 50, "{}", pairs.len());
    assert!(pairs.windows(2).all(|w| w[1].0 > w[0].0 || w[1].1 > w[0].1 || w[0].0 > Some(250)));
    let (v, i) = rig.counters();
    assert_eq!((v.lost, i.lost), (0, 0));
    assert!(v.errors > 0 && i.errors > 0);
}

fn soak(model: Model, minutes: u64, seed: u64) {
    let soak = Soak { seed, duration_us: minutes * 60_000_000, model };
    let (mut v, mut i) = (vec![0; soak.memory_bytes()], vec![0; soak.memory_bytes()]);
    let report = soak.run(&mut v, &mut i, |_| ()).unwrap();
    println!("{report:#?}");
    assert!(report.faults > 9 * minutes as u32, "{report:#?}");
    assert_eq!((report.unseen, report.slow), (0, 0), "{report:#?}");
    assert!(report.longest_gap_us < 1_200_000, "{report:#?}");
    assert!(report.healthy_pairs > report.pairs / 3, "{report:#?}");
}

#[test]
fn a_simulated_hour_with_random_faults() {
    soak(Model::Lepton2, 60, 1);
}

#[test]
fn ten_simulated_minutes_of_a_lepton_3() {
    soak(Model::Lepton3, 10, 2);
}

/// Whoever holds one sensor's control bus costs the other sensor nothing, if the bus gives up in time.
#[test]
fn a_held_bus_leaves_the_other_sensor_its_rate() {
    const HELD_US: u64 = 3_000_000;
    // Frames of both cameras in 3 s: visible, infrared.
    let frames = |fault: &dyn Fn(&ArduCamSim<'_, _>, &LeptonSim<'_, _>)| {
        let clock = VirtualClock::new();
        let lepton_sim = LeptonSim::new(&clock, Model::Lepton2, RadiometricCapability::None, warm_body, 4);
        let arducam_sim = ArduCamSim::new(&clock, warm_body_visible, 0, 4);
        let settings = arducam::Settings { output: Output::Yuyv, size: (80, 60), leading_bytes: 0 };
        let arducam = ArduCam::new(arducam_sim.spi(), arducam_sim.i2c(), settings).unwrap();
        let lepton =
            Lepton::<_, _>::new(lepton_sim.spi(), lepton_sim.i2c(), lepton::Settings::new(Model::Lepton2));
        let (mut v, mut i) = ([0; 3 * 9600], [0; 3 * 9600]);
        let mut rig = Rig::new(arducam, lepton, &mut v, &mut i, POLICY).unwrap();
        let mut live = |until: u64| {
            while clock.now_us() < until {
                let _ = rig.poll(clock.now_us());
                rig.fuse(clock.now_us(), |_, _| ());
                clock.advance_us(200);
            }
            let (v, i) = rig.counters();
            (v.frames, i.frames)
        };
        let before = live(4_000_000);
        fault(&arducam_sim, &lepton_sim);
        let after = live(4_000_000 + HELD_US);
        (after.0 - before.0, after.1 - before.1)
    };
    let healthy = frames(&|_, _| ());
    assert!(healthy.0 >= 20 && healthy.1 >= 25, "{healthy:?}");
    let held = |timeout_us| {
        let of_arducam = frames(&|a, _| a.inject(ArduCamFault::HeldBus { us: HELD_US, timeout_us }));
        let of_lepton = frames(&|_, l| {
            // Out of step, the camera is set up again over its control bus.
            l.inject(LeptonFault::Desync(fusionproxy_board::sim::Desync::Discards));
            l.inject(LeptonFault::HeldBus { us: HELD_US, timeout_us });
        });
        (of_arducam, of_lepton)
    };
    let (of_arducam, of_lepton) = held(10_000);
    // Its control bus is asked before each capture; one was under way.
    assert!(of_arducam.0 <= 1, "{of_arducam:?}");
    assert!(of_arducam.1 + 1 >= healthy.1, "{of_arducam:?} of {healthy:?}");
    assert!(of_lepton.0 * 10 >= healthy.0 * 9, "{of_lepton:?} of {healthy:?}");
    // What a HAL does that waits for a second.
    assert!(held(1_000_000).0.1 <= 3);
}
