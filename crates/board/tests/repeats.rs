//! What a log is told of errors that come again and again.

use fusionproxy_board::camera::{SetupError, arducam};
use fusionproxy_board::lepton::receiver::SyncLoss;
use fusionproxy_board::lepton::{self, Fault};
use fusionproxy_board::mlx90640;
use fusionproxy_board::repeats::{AGAIN_US, Repeats, SameKind};
use fusionproxy_board::sim::BusError;
use fusionproxy_board::{amg8833, source::ShortBuffer};

type Lepton = lepton::Error<BusError, BusError>;
type ArduCam = arducam::Error<BusError, BusError>;

#[test]
fn the_same_error_is_told_once_in_a_while() {
    let nack: Lepton = lepton::Error::I2c(BusError::Nack);
    let held = lepton::Error::I2c(BusError::Controller);
    let mut repeats = Repeats::new();
    let told: Vec<u64> =
        (0..2_000).map(|n| n * 20_000).filter(|&now| repeats.note(nack, now).is_some()).collect();
    assert_eq!(told, [0, AGAIN_US, 2 * AGAIN_US, 3 * AGAIN_US]);
    // Something else, at once; and the first again, since it is news once more.
    assert_eq!(repeats.note(held, 40_000_000), Some((&held, 2_001)));
    assert_eq!(repeats.note(nack, 40_000_001), Some((&nack, 2_002)));
    assert_eq!(repeats.note(nack, 40_000_002), None);
}

#[test]
fn numbers_make_no_new_kind() {
    fn same<E: SameKind + Copy>(a: E, b: E) -> bool {
        a.same_kind(&b) && b.same_kind(&a)
    }
    assert!(same(ArduCam::NoBridge { found: 0xff }, ArduCam::NoBridge { found: 0 }));
    assert!(same(ArduCam::Length { found: 3, expected: 9 }, ArduCam::Length { found: 4, expected: 9 }));
    let chip = |found| ArduCam::Setup(SetupError::WrongChip { register: 10, found, expected: 0x26 });
    assert!(same(chip(0), chip(1)));
    assert!(!same(chip(0), ArduCam::Setup(SetupError::Bus(BusError::Nack))));
    assert!(!same(ArduCam::Timeout, ArduCam::Restarted));
    assert!(!same(ArduCam::Setup(SetupError::Bus(BusError::Nack)), ArduCam::Spi(BusError::Nack)));

    let lost = |cause| Lepton::Camera(Fault::LostSync(cause));
    assert!(same(lost(SyncLoss::Silent), lost(SyncLoss::Silent)));
    assert!(!same(lost(SyncLoss::Silent), lost(SyncLoss::LineLow)));
    assert!(!same(Lepton::I2c(BusError::Nack), Lepton::I2c(BusError::Controller)));
    let short = |found| Lepton::Buffer(ShortBuffer { found, needed: 9 });
    assert!(same(short(1), short(2)) && !same(short(1), lost(SyncLoss::Corrupt)));

    let restarted = |control| mlx90640::Error::<BusError>::Sensor(mlx90640::Fault::Restarted { control });
    assert!(same(restarted(1), restarted(2)));
    assert!(!same(restarted(1), mlx90640::Error::Sensor(mlx90640::Fault::BusTooSlow)));
    let corrupt = |pixel| amg8833::Error::<BusError>::Corrupt { pixel, word: 0xf000 };
    assert!(same(corrupt(1), corrupt(2)) && !same(corrupt(1), amg8833::Error::I2c(BusError::Nack)));
}
