//! Parsers of what sensors send, given anything at all: never a panic, never a loop without end.

use fusionproxy_board::amg8833::Amg8833;
use fusionproxy_board::bus::Want;
use fusionproxy_board::camera;
use fusionproxy_board::camera::arducam::{self, ArduCam};
use fusionproxy_board::lepton::cci::{Access, Attribute, Exchange};
use fusionproxy_board::lepton::packet::{PACKET_BYTES, Packet, PacketBytes, crc};
use fusionproxy_board::lepton::receiver::Receiver;
use fusionproxy_board::lepton::telemetry::Telemetry;
use fusionproxy_board::lepton::{Lepton, Model, Output, Settings, TelemetryLines};
use fusionproxy_board::mlx90640::{self, Calibration, Conditions, Mlx90640};
use fusionproxy_board::sim::{BusError, Rng};
use fusionproxy_board::source::FrameSource;
use proptest::prelude::*;

fn all_settings() -> impl Iterator<Item = Settings> {
    [Model::Lepton2, Model::Lepton3].into_iter().flat_map(|model| {
        [TelemetryLines::Off, TelemetryLines::Header, TelemetryLines::Footer].into_iter().flat_map(
            move |telemetry| {
                [Output::Counts, Output::Agc].map(|output| Settings { model, telemetry, output, gain: None })
            },
        )
    })
}

/// 10 million bytes: plain noise, and packets with a valid CRC whose numbers are arbitrary or nearly in order.
#[test]
fn vospi_takes_ten_million_arbitrary_bytes() {
    let mut rng = Rng::new(2026);
    let (mut corrupt, mut gaps) = (0, 0);
    let per_setting = 10_000_000 / PACKET_BYTES / all_settings().count() + 1;
    for settings in all_settings() {
        let mut receiver = Receiver::new(settings);
        let mut frame = vec![0u8; settings.layout().bytes()];
        let mut line = 0u16;
        let mut segment = 0u16;
        let mut taken = 0u32;
        for i in 0..per_setting as u64 {
            let mut packet: PacketBytes = [0; PACKET_BYTES];
            packet.fill_with(|| rng.next_u64() as u8);
            if rng.below(400) > 0 {
                // A stream that is nearly right reaches the deep states.
                line = if rng.below(1000) == 0 { rng.next_u64() as u16 } else { line + 1 };
                if line >= settings.packets_per_segment() {
                    line = 0;
                    segment = if rng.below(20) == 0 { rng.next_u64() as u16 & 7 } else { segment % 4 + 1 };
                }
                packet[..2].copy_from_slice(&(segment << 12 | line & 0x0fff).to_be_bytes());
                let crc = crc(&packet);
                packet[2..4].copy_from_slice(&crc.to_be_bytes());
            }
            let now = i * 100;
            let _ = receiver.before_read(now);
            taken += u32::from(receiver.accept(&packet, &mut frame, now).is_some());
            if receiver.after_read(now).is_err() {
                receiver.restart(now);
            }
        }
        let counters = receiver.counters();
        assert_eq!(counters.frames, taken);
        assert!(taken > 0, "{settings:?} {counters:?}");
        corrupt += counters.corrupt;
        gaps += counters.gaps;
    }
    assert!(corrupt > 0 && gaps > 0);
}

proptest! {
    #[test]
    fn packets(bytes in proptest::array::uniform32(any::<u8>()), at in 0usize..PACKET_BYTES - 32) {
        let mut packet = [0u8; PACKET_BYTES];
        packet[at..at + 32].copy_from_slice(&bytes);
        match Packet::parse(&packet) {
            Packet::Discard => prop_assert_eq!(packet[0] & 0x0f, 0x0f),
            Packet::Line { line, segment, .. } => prop_assert!(line < 0x1000 && segment < 8),
            Packet::Corrupt => {}
        }
    }

    #[test]
    fn short_frame_buffers_lose_pixels_only(len in 0usize..40_000, seed: u64) {
        let settings = Settings::new(Model::Lepton3);
        let mut receiver = Receiver::new(settings);
        let mut frame = vec![0u8; len];
        let mut rng = Rng::new(seed);
        let mut done = false;
        for segment in 1..=4u16 {
            for line in 0..settings.packets_per_segment() {
                let mut packet: PacketBytes = [0; PACKET_BYTES];
                packet.fill_with(|| rng.next_u64() as u8);
                packet[..2].copy_from_slice(&(segment << 12 | line).to_be_bytes());
                let crc = crc(&packet);
                packet[2..4].copy_from_slice(&crc.to_be_bytes());
                done = receiver.accept(&packet, &mut frame, 0).is_some();
            }
        }
        prop_assert!(done);
    }

    #[test]
    fn telemetry(a in proptest::collection::vec(any::<u8>(), 160), c in proptest::collection::vec(any::<u8>(), 160)) {
        let t = Telemetry::parse(a[..].try_into().unwrap(), c[..].try_into().unwrap());
        prop_assert_eq!(t.revision, u16::from_be_bytes([a[0], a[1]]));
        prop_assert!(t.fpa_mk <= 655_350 && (t.tlinear_unit_mk == 10 || t.tlinear_unit_mk == 100));
    }

    /// Whatever a device answers, a command ends: at the latest 2 s after it began.
    #[test]
    fn cci_commands_end(
        id in any::<u16>().prop_map(|id| id & 0x4ffc),
        words in any::<u8>(),
        access in prop_oneof![Just(Access::Get), Just(Access::Set), Just(Access::Run)],
        values in proptest::collection::vec(any::<u16>(), 0..40),
        seed: u64,
        always_busy: bool,
    ) {
        let mut rng = Rng::new(seed);
        let mut exchange = Exchange::new(Attribute { id, words }, access, &values, 0);
        let mut now = 0;
        let mut ended = false;
        while !ended {
            match exchange.want(now) {
                Want::Wait(until) => {
                    prop_assert!(until > now);
                    now = until;
                    continue;
                }
                Want::Transfer(t) => {
                    prop_assert!(t.write.len() <= 34 && t.read.len() <= 32 && !t.write.is_empty());
                    t.read.fill_with(|| rng.next_u64() as u8);
                    if always_busy && !t.read.is_empty() {
                        t.read[1] = 0x07;
                    }
                }
            }
            now += 100;
            ended = exchange.done(now).is_some();
            prop_assert!(now < 3_000_000);
        }
        for i in 0..40 {
            let _ = exchange.word(i);
        }
    }
}

/// Both buses, answering anything, or failing.
#[derive(Clone)]
struct Noise(Rng);

impl embedded_hal::spi::ErrorType for Noise {
    type Error = BusError;
}

impl embedded_hal::i2c::ErrorType for Noise {
    type Error = BusError;
}

impl Noise {
    fn answer(&mut self, out: &mut [u8]) {
        // Noise, all zeros, all ones, or noise with few bits set, which passes more checks.
        let kind = self.0.below(4);
        for bytes in out.chunks_mut(8) {
            let word = match kind {
                0 => self.0.next_u64(),
                1 => 0,
                2 => u64::MAX,
                _ => self.0.next_u64() & self.0.next_u64() & self.0.next_u64(),
            };
            bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
        }
    }
}

impl embedded_hal::spi::SpiDevice for Noise {
    fn transaction(
        &mut self,
        operations: &mut [embedded_hal::spi::Operation<'_, u8>],
    ) -> Result<(), BusError> {
        for operation in operations {
            if let embedded_hal::spi::Operation::Read(out) = operation {
                self.answer(out);
            }
        }
        if self.0.below(50) == 0 { Err(BusError::Controller) } else { Ok(()) }
    }
}

impl embedded_hal::i2c::I2c for Noise {
    fn transaction(
        &mut self,
        _: u8,
        operations: &mut [embedded_hal::i2c::Operation<'_>],
    ) -> Result<(), BusError> {
        for operation in operations {
            if let embedded_hal::i2c::Operation::Read(out) = operation {
                self.answer(out);
            }
        }
        if self.0.below(50) == 0 { Err(BusError::Nack) } else { Ok(()) }
    }
}

/// Polls a source on noise for 10 s of its time; it may give errors and even frames, but must not panic.
fn survives<S: FrameSource>(mut source: S, seed: u64) {
    let mut buffer = vec![0; source.layout().bytes()];
    let mut rng = Rng::new(seed);
    let mut now = 0;
    while now < 10_000_000 {
        let _ = source.poll(&mut buffer, now);
        now += u64::from(rng.below(5_000));
        if rng.below(1_000) == 0 {
            now += 300_000;
        }
    }
}

#[test]
fn drivers_survive_noise_on_their_buses() {
    for seed in 0..2 {
        let noise = || Noise(Rng::new(seed));
        for settings in all_settings() {
            survives(Lepton::<_, _>::new(noise(), noise(), settings), seed);
        }
        survives(Mlx90640::new(noise(), mlx90640::Settings::default()), seed);
        survives(Amg8833::new(noise(), 0x69), seed);
        for output in [camera::Output::Rgb565, camera::Output::Yuyv] {
            let settings = arducam::Settings { output, size: (80, 60), leading_bytes: 1 };
            survives(ArduCam::new(noise(), noise(), settings).unwrap(), seed);
        }
    }
}

proptest! {
    /// Any EEPROM gives a calibration or an error, and any calibration and RAM give numbers or an error.
    #[test]
    fn mlx90640_calibrations(seed: u64, sparse: bool) {
        let mut rng = Rng::new(seed);
        let mut words = |sparse: bool| -> [u16; mlx90640::WORDS] {
            core::array::from_fn(|_| {
                let word = rng.next_u64() as u16;
                if sparse { word & rng.next_u64() as u16 } else { word }
            })
        };
        let mut eeprom = words(sparse);
        eeprom[10] &= !0x0040;
        // Few marked pixels, so that calibration gets that far.
        for word in &mut eeprom[64..] {
            *word = *word & !1 | 2;
        }
        let ram = words(false);
        if let Ok(calibration) = Calibration::from_eeprom(&eeprom) {
            for subpage in 0..2 {
                let surface = mlx90640::Surface::default();
                if let Ok(c) = Conditions::new(&calibration, &ram, rng.next_u64() as u16, subpage, surface) {
                    for (pixel, &word) in ram[..mlx90640::PIXELS].iter().enumerate() {
                        let _ = (c.measures(pixel, subpage), c.temperature_c(pixel, word));
                    }
                }
            }
        }
    }
}
