//! The VoSPI stream: from packets to frames, and back into step after a loss of synchronisation.
//!
//! Datasheet 500-0659-00-09 rev 203, sections 4.2.2.3 (Lepton 2) and 4.2.3.3 (Lepton 3). The camera offers a frame
//! (Lepton 2) or a segment (Lepton 3) at fixed times and discard packets in between. A host that is too slow, or that
//! leaves out a frame, loses synchronisation, and nothing but 185 ms of silence on the bus brings it back.

use super::packet::{PAYLOAD_BYTES, Packet, PacketBytes};
use super::settings::{Model, Output, Place, Settings};
use super::telemetry::Telemetry;

/// Silence after which the camera starts over: more than 5 frame periods.
pub const RESYNC_SILENCE_US: u64 = 190_000;
/// Longest pause between two reads that keeps synchronisation: one frame period of 26.4 Hz.
pub const LONGEST_PAUSE_US: u64 = 37_800;
/// Without any line for so long, the camera sends discard packets only: 2.5 frame periods.
const SILENT_US: u64 = 100_000;
/// Without a whole frame for so long, although lines arrive: three unique frames at 8.8 Hz.
const FRAMELESS_US: u64 = 350_000;
/// So many damaged packets in a row mean that packets are read out of step. One alone costs its frame only: the
/// datasheet recommends silence after every CRC error, but that takes the time of two frames more.
const CORRUPT_RUN: u8 = 3;
/// So many packets of nothing but zeros in a row come from a data line that stays low. Their CRC is valid, and they claim to
/// be line 0; a frame of the camera's own gain control may begin with one of them, but not with two.
const ZERO_RUN: u8 = 3;

/// Why synchronisation was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncLoss {
    /// Damaged packets in a row, or impossible packet numbers.
    Corrupt,
    /// Discard packets only.
    Silent,
    /// Zeros only: nobody drives the data line.
    LineLow,
    /// Lines, but no frame among them.
    Frameless,
    /// The host did not read for longer than [`LONGEST_PAUSE_US`].
    HostPause,
}

/// What the receiver has seen; all counters wrap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Complete frames.
    pub frames: u32,
    /// Packets read.
    pub packets: u32,
    /// Discard packets among them.
    pub discards: u32,
    /// Packets with a wrong CRC or an impossible number.
    pub corrupt: u32,
    /// Times that packets were missing, in segments that are used or not.
    pub gaps: u32,
    /// Segments that came out of order.
    pub segment_errors: u32,
    /// Frames that were begun and not completed, for whatever reason.
    pub dropped_frames: u32,
    /// Losses of synchronisation, each followed by silence.
    pub resyncs: u32,
}

/// A frame that the receiver has completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completed {
    /// Time at which its first packet was read, µs.
    pub first_packet_us: u64,
    /// Its telemetry, if telemetry lines are on.
    pub telemetry: Option<Telemetry>,
}

/// The receiver of a VoSPI stream. It does no input or output: it is given packets and a clock.
#[derive(Debug, Clone)]
pub struct Receiver {
    settings: Settings,
    counters: StreamCounters,
    /// The next line of the stream; `None` when lines are skipped until the next packet 0.
    expected: Option<u16>,
    /// The line that follows the last one, whether it is used or skipped; `None` when that is unknown.
    following: Option<u16>,
    /// The segment that is being read, from 1.
    segment: u8,
    first_packet_us: u64,
    /// Time of the last read, of the last valid line, and of the last frame; the latter two restart with the stream.
    read_us: Option<u64>,
    line_us: u64,
    frame_us: u64,
    corrupt_run: u8,
    zero_run: u8,
    rows: [[u8; PAYLOAD_BYTES]; 2],
}

impl Receiver {
    /// A receiver at the start of a stream.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self {
            settings,
            counters: StreamCounters {
                frames: 0,
                packets: 0,
                discards: 0,
                corrupt: 0,
                gaps: 0,
                segment_errors: 0,
                dropped_frames: 0,
                resyncs: 0,
            },
            expected: None,
            following: None,
            segment: 1,
            first_packet_us: 0,
            read_us: None,
            line_us: 0,
            frame_us: 0,
            corrupt_run: 0,
            zero_run: 0,
            rows: [[0; PAYLOAD_BYTES]; 2],
        }
    }

    /// What was seen so far.
    #[must_use]
    pub const fn counters(&self) -> StreamCounters {
        self.counters
    }

    /// When the last packets were read, µs; `None` before the first.
    #[must_use]
    pub const fn last_read_us(&self) -> Option<u64> {
        self.read_us
    }

    /// Begins a stream after silence at `now_us`.
    pub fn restart(&mut self, now_us: u64) {
        self.drop_frame();
        self.following = None;
        self.read_us = Some(now_us);
        self.line_us = now_us;
        self.frame_us = now_us;
        self.corrupt_run = 0;
        self.zero_run = 0;
    }

    /// To be asked before each read: whether the host paused for too long.
    pub fn before_read(&mut self, now_us: u64) -> Result<(), SyncLoss> {
        match self.read_us {
            Some(last) if now_us.saturating_sub(last) > LONGEST_PAUSE_US => {
                Err(self.lose(SyncLoss::HostPause))
            }
            _ => Ok(()),
        }
    }

    /// To be told after each read, when its packets have been given to [`Self::accept`]; `now_us` is the time of the
    /// end of the read.
    pub fn after_read(&mut self, now_us: u64) -> Result<(), SyncLoss> {
        self.read_us = Some(now_us);
        if self.corrupt_run >= CORRUPT_RUN {
            Err(self.lose(SyncLoss::Corrupt))
        } else if self.zero_run >= ZERO_RUN {
            Err(self.lose(SyncLoss::LineLow))
        } else if now_us.saturating_sub(self.line_us) > SILENT_US {
            Err(self.lose(SyncLoss::Silent))
        } else if now_us.saturating_sub(self.frame_us) > FRAMELESS_US {
            Err(self.lose(SyncLoss::Frameless))
        } else {
            Ok(())
        }
    }

    /// Takes one packet that was read at `now_us` and stores it in `frame`, which must hold a frame of the layout
    /// (shorter buffers lose pixels, never more). `Some` when the frame is complete: then `frame` must be taken out
    /// before the next packet.
    pub fn accept(&mut self, packet: &PacketBytes, frame: &mut [u8], now_us: u64) -> Option<Completed> {
        self.counters.packets = self.counters.packets.wrapping_add(1);
        self.zero_run = if packet.iter().all(|&b| b == 0) { self.zero_run.saturating_add(1) } else { 0 };
        let (line, segment, payload) = match Packet::parse(packet) {
            Packet::Discard => {
                self.counters.discards = self.counters.discards.wrapping_add(1);
                return None;
            }
            Packet::Line { line, segment, payload } if line < self.settings.packets_per_segment() => {
                (line, segment, payload)
            }
            Packet::Line { .. } | Packet::Corrupt => {
                self.counters.corrupt = self.counters.corrupt.wrapping_add(1);
                self.corrupt_run = self.corrupt_run.saturating_add(1);
                self.following = None;
                self.drop_frame();
                return None;
            }
        };
        self.corrupt_run = 0;
        self.line_us = now_us;
        if self.following.is_some_and(|following| following != line) {
            self.counters.gaps = self.counters.gaps.wrapping_add(1);
        }
        self.following = Some(if line + 1 < self.settings.packets_per_segment() { line + 1 } else { 0 });
        if line == 0 {
            if self.expected.is_some_and(|e| e != 0) {
                self.drop_frame();
            }
            if self.segment == 1 {
                self.first_packet_us = now_us;
            }
        } else if self.expected != Some(line) {
            if self.expected.is_some() {
                self.drop_frame();
            }
            return None;
        }
        if line == SEGMENT_LINE && self.settings.model == Model::Lepton3 && segment != self.segment {
            // Segment 0 marks the two invalid frames after each unique one; it is expected after segment 4 only.
            if !(segment == 0 && self.segment == 1) {
                self.counters.segment_errors = self.counters.segment_errors.wrapping_add(1);
                self.drop_frame();
            }
            self.expected = None;
            return None;
        }
        self.store(line, payload, frame);
        if line + 1 < self.settings.packets_per_segment() {
            self.expected = Some(line + 1);
            return None;
        }
        self.expected = Some(0);
        if self.segment < self.settings.segments() {
            self.segment += 1;
            return None;
        }
        self.segment = 1;
        self.frame_us = now_us;
        self.counters.frames = self.counters.frames.wrapping_add(1);
        let telemetry =
            (self.settings.telemetry_packets() != 0).then(|| Telemetry::parse(&self.rows[0], &self.rows[1]));
        Some(Completed { first_packet_us: self.first_packet_us, telemetry })
    }

    fn store(&mut self, line: u16, payload: &[u8; PAYLOAD_BYTES], frame: &mut [u8]) {
        match self.settings.place(self.segment, line) {
            Place::Telemetry(0) => self.rows[0] = *payload,
            Place::Telemetry(2) => self.rows[1] = *payload,
            Place::Telemetry(_) => {}
            Place::Video(packet) if self.settings.output == Output::Agc => {
                // The camera's gain control puts 8 bits into the low end of each word.
                let start = usize::from(packet) * (PAYLOAD_BYTES / 2);
                for (out, word) in frame.iter_mut().skip(start).zip(payload.chunks_exact(2)) {
                    *out = word[1];
                }
            }
            Place::Video(packet) => {
                let start = usize::from(packet) * PAYLOAD_BYTES;
                for (out, word) in frame.chunks_exact_mut(2).skip(start / 2).zip(payload.chunks_exact(2)) {
                    out.copy_from_slice(&[word[1], word[0]]);
                }
            }
        }
    }

    fn lose(&mut self, cause: SyncLoss) -> SyncLoss {
        self.counters.resyncs = self.counters.resyncs.wrapping_add(1);
        self.drop_frame();
        cause
    }

    /// Gives up the frame in the making, if there is one, and waits for the next segment 1.
    fn drop_frame(&mut self) {
        // The lines before packet 20 of a first segment are not yet known to be a frame.
        if self.segment > 1
            || self.expected.is_some_and(|e| e > SEGMENT_LINE || (e > 0 && self.settings.segments() == 1))
        {
            self.counters.dropped_frames = self.counters.dropped_frames.wrapping_add(1);
        }
        self.expected = None;
        self.segment = 1;
    }
}

/// The packet whose ID names the segment.
const SEGMENT_LINE: u16 = 20;
