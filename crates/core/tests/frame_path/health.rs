use fusionproxy_core::frame::FrameInfo;
use fusionproxy_core::health::{Freshness, SensorState, Status, StatusWord};
use proptest::prelude::*;

const FRESH: Freshness = Freshness { stale_after_us: 200, absent_after_us: 1000 };

#[test]
fn ages_turn_stale_and_absent() {
    let at = |timestamp_us, state| FrameInfo { timestamp_us, sequence: 1, state };
    let ok = at(1000, SensorState::Ok);
    let ffc = at(1000, SensorState::Ffc);
    assert_eq!(FRESH.judge(None, 5), (SensorState::Absent, u64::MAX));
    assert_eq!(FRESH.judge(Some(&ok), 900), (SensorState::Ok, 0));
    assert_eq!(FRESH.judge(Some(&ok), 1199), (SensorState::Ok, 199));
    assert_eq!(FRESH.judge(Some(&ok), 1200), (SensorState::Stale, 200));
    assert_eq!(FRESH.judge(Some(&ok), 2000), (SensorState::Absent, 1000));
    assert_eq!(FRESH.judge(Some(&ffc), 1500), (SensorState::Ffc, 500));
    assert_eq!(FRESH.judge(Some(&ffc), 2000), (SensorState::Absent, 1000));
}

#[test]
fn the_bits_are_the_documented_ones() {
    let quiet = Status {
        visible: SensorState::Ok,
        infrared: SensorState::Ok,
        scene_shift: false,
        gain_held: false,
        infrared_unused: false,
        monitored: false,
        visible_age_ms: 0,
        infrared_age_ms: 0,
    };
    let word = |status: Status| StatusWord::pack(&status).0;
    assert_eq!(word(quiet), 0);
    assert_eq!(word(Status { visible: SensorState::Absent, ..quiet }), 3);
    assert_eq!(word(Status { infrared: SensorState::Ffc, ..quiet }), 2 << 2);
    assert_eq!(word(Status { scene_shift: true, ..quiet }), 1 << 4);
    assert_eq!(word(Status { gain_held: true, ..quiet }), 1 << 5);
    assert_eq!(word(Status { infrared_unused: true, ..quiet }), 1 << 6);
    assert_eq!(word(Status { monitored: true, ..quiet }), 1 << 7);
    assert_eq!(word(Status { visible_age_ms: 1, ..quiet }), 1 << 8);
    assert_eq!(word(Status { infrared_age_ms: 5000, ..quiet }), 0xfff << 20);
    assert_eq!(StatusWord::age_ms(u64::MAX), 4095);
    assert_eq!(StatusWord::age_ms(12_999), 12);
    assert!(StatusWord(word(Status { monitored: true, infrared_age_ms: 90, ..quiet })).is_healthy());
    assert!(!StatusWord(word(Status { infrared: SensorState::Stale, ..quiet })).is_healthy());
    let busy = Status { infrared: SensorState::Ffc, gain_held: true, infrared_age_ms: 700, ..quiet };
    assert_eq!(StatusWord::pack(&busy).to_string(), "visible ok (0 ms), infrared FFC (700 ms), gain held");
}

proptest! {
    #[test]
    fn every_word_survives(word: u32) {
        prop_assert_eq!(StatusWord::pack(&StatusWord(word).unpack()), StatusWord(word));
    }
}
