//! Any stream of bytes as VoSPI packets: frames, errors or nothing, never a panic. The first byte chooses the settings and
//! whether packets get their correct CRC, which lets the fuzzer into the states behind it.
#![no_main]

use fusionproxy_board::lepton::packet::{PACKET_BYTES, PacketBytes, crc};
use fusionproxy_board::lepton::receiver::Receiver;
use fusionproxy_board::lepton::{Model, Output, Settings, TelemetryLines};
use libfuzzer_sys::fuzz_target;

/// Bytes that the fuzzer gives of each packet: number, CRC, and a little of the line.
const GIVEN: usize = 8;

fuzz_target!(|data: &[u8]| {
    let Some((choice, stream)) = data.split_first() else { return };
    let settings = Settings {
        model: if choice & 1 == 0 { Model::Lepton2 } else { Model::Lepton3 },
        telemetry: match choice >> 1 & 3 {
            0 => TelemetryLines::Off,
            1 => TelemetryLines::Header,
            _ => TelemetryLines::Footer,
        },
        output: if choice & 8 == 0 { Output::Counts } else { Output::Agc },
        gain: None,
    };
    let repair = choice & 16 != 0;
    let mut receiver = Receiver::new(settings);
    let mut frame = vec![0u8; settings.layout().bytes()];
    let mut frames = 0;
    for (i, bytes) in stream.chunks(GIVEN).enumerate() {
        // A packet's number may run on by itself: a fuzzer does not count to 240.
        let mut packet: PacketBytes = [0; PACKET_BYTES];
        packet[..bytes.len()].copy_from_slice(bytes);
        let repeats = if choice & 32 != 0 { u16::from(bytes[bytes.len() - 1]) } else { 0 };
        for n in 0..=repeats {
            let number = u16::from_be_bytes([packet[0], packet[1]]).wrapping_add(u16::from(n > 0));
            packet[..2].copy_from_slice(&number.to_be_bytes());
            if repair {
                let crc = crc(&packet);
                packet[2..4].copy_from_slice(&crc.to_be_bytes());
            }
            let now = i as u64 * 300 + u64::from(n);
            let _ = receiver.before_read(now);
            frames += u32::from(receiver.accept(&packet, &mut frame, now).is_some());
            if receiver.after_read(now).is_err() {
                receiver.restart(now);
            }
        }
    }
    assert_eq!(receiver.counters().frames, frames);
});
