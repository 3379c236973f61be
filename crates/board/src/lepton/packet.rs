//! VoSPI packets (Lepton engineering datasheet 500-0659-00-09 rev 203, sections 4.2.2.2 and 4.2.3.2).

/// Bytes of one packet in the Raw14 formats: 2 of ID, 2 of CRC, 160 of payload, all big-endian.
pub const PACKET_BYTES: usize = 164;

/// Bytes of the payload.
pub const PAYLOAD_BYTES: usize = 160;

/// One packet as it came over the bus.
pub type PacketBytes = [u8; PACKET_BYTES];

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `xFxx`: the camera had nothing to send. Its CRC and payload mean nothing.
    Discard,
    /// A line with a valid CRC.
    Line {
        /// Packet number within the segment, from 0.
        line: u16,
        /// Bits 12 to 14 of the ID. They name the segment, 1 to 4, or 0 for an invalid segment, in packet 20 of a
        /// Lepton 3 only; in every other packet they say nothing.
        segment: u8,
        /// The pixels or telemetry words, big-endian.
        payload: &'a [u8; PAYLOAD_BYTES],
    },
    /// A packet whose CRC does not match: damaged on the bus, or read out of step.
    Corrupt,
}

impl<'a> Packet<'a> {
    /// Reads one packet. Any 164 bytes give one of the three answers.
    #[must_use]
    pub fn parse(bytes: &'a PacketBytes) -> Self {
        let id = u16::from_be_bytes([bytes[0], bytes[1]]);
        if id & 0x0f00 == 0x0f00 {
            return Self::Discard;
        }
        if u16::from_be_bytes([bytes[2], bytes[3]]) != crc(bytes) {
            return Self::Corrupt;
        }
        let Some((_, payload)) = bytes.split_last_chunk() else { return Self::Corrupt };
        Self::Line { line: id & 0x0fff, segment: (id >> 12 & 7) as u8, payload }
    }
}

/// The CRC that belongs into bytes 2 and 3 of a packet: polynomial x¹⁶+x¹²+x⁵+1, initial value 0, over the whole packet
/// with the top four bits of the ID and the CRC itself taken as 0.
///
/// The datasheet gives the polynomial and the zeroed fields; the initial value comes from drivers that are in use.
#[must_use]
pub fn crc(packet: &PacketBytes) -> u16 {
    let head = [packet[0] & 0x0f, packet[1], 0, 0];
    head.iter()
        .chain(&packet[4..])
        .fold(0, |crc, &byte| crc << 8 ^ CRC_TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

const CRC_TABLE: [u16; 256] = {
    let mut table = [0u16; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(id: u16) -> PacketBytes {
        let mut bytes = [0u8; PACKET_BYTES];
        for (i, b) in bytes.iter_mut().enumerate() {
            *b = (i * 7) as u8;
        }
        bytes[..2].copy_from_slice(&id.to_be_bytes());
        let crc = crc(&bytes);
        bytes[2..4].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    #[test]
    fn crc_is_xmodem() {
        // CRC-16/XMODEM of "123456789" is 0x31c3; here with the head bytes already 0 and the text at the end.
        let mut bytes = [0u8; PACKET_BYTES];
        bytes[PACKET_BYTES - 9..].copy_from_slice(b"123456789");
        assert_eq!(crc(&bytes), 0x31c3);
    }

    #[test]
    fn segment_bits_are_outside_the_crc() {
        for segment in 0..8u16 {
            let bytes = packet(segment << 12 | 20);
            let Packet::Line { line, segment: found, payload } = Packet::parse(&bytes) else { panic!() };
            assert_eq!((line, u16::from(found), payload), (20, segment, bytes[4..].try_into().unwrap()));
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let good = packet(37);
        for bit in 0..PACKET_BYTES * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 0x80 >> (bit % 8);
            // The four bits that the CRC leaves out: one reserved, three of the segment number.
            if bit < 4 {
                assert!(matches!(Packet::parse(&bad), Packet::Line { line: 37, .. }));
            } else {
                assert_eq!(Packet::parse(&bad), Packet::Corrupt, "bit {bit}");
            }
        }
    }

    #[test]
    fn discard_needs_no_crc() {
        let mut bytes = [0xffu8; PACKET_BYTES];
        assert_eq!(Packet::parse(&bytes), Packet::Discard);
        bytes[0] = 0x5f;
        assert_eq!(Packet::parse(&bytes), Packet::Discard);
    }
}
