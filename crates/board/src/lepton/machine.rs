//! The whole driver without its buses: start, set-up, stream, commands, recovery.
//!
//! A loss of synchronisation costs 185 ms of silence on the SPI bus. The machine spends it on setting the camera up
//! again over CCI, so that a camera that restarted by itself comes back the same way as one that was read too slowly.

use fusionproxy_core::frame::FrameInfo;
use fusionproxy_core::health::SensorState;

use super::cci::{Access, Attribute, CciError, Exchange, MAX_WORDS, attribute};
use super::error::Fault;
use super::packet::{PACKET_BYTES, PacketBytes};
use super::receiver::{Completed, RESYNC_SILENCE_US, Receiver, StreamCounters, SyncLoss};
use super::settings::{Model, Settings, TelemetryLines};
use super::setup::{self, model_of};
use super::telemetry::{FfcState, Telemetry};
use crate::bus::{Transfer, Want};

/// Losses of synchronisation without a frame in between after which the camera is restarted by command.
const MAX_ATTEMPTS: u8 = 4;
/// Pause before an I²C transfer that failed is tried again, µs.
const BUS_BACK_OFF_US: u64 = 20_000;
/// Pause before a set-up that the camera refused is tried again, µs.
const SETUP_BACK_OFF_US: u64 = 1_000_000;
/// A camera that has not started is reported at this interval, µs. It takes about 1 s.
const BOOT_REPORT_US: u64 = 2_000_000;
/// Pause between reads while the camera has nothing to send, µs.
const DISCARD_PAUSE_US: u64 = 1_000;
/// Interval of asking for the state of the flat-field correction when no telemetry tells it, µs.
const HOUSEKEEPING_US: u64 = 250_000;

/// What has happened so far; all counters wrap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// The packet stream.
    pub stream: StreamCounters,
    /// Frames left out because they repeat the one before (Lepton 2 sends each frame three times; found with telemetry
    /// only).
    pub repeats: u32,
    /// SPI transfers that the bus failed.
    pub spi_errors: u32,
    /// I²C transfers that the bus failed.
    pub i2c_errors: u32,
    /// Commands that the camera refused or left unanswered.
    pub refused: u32,
    /// Times that the camera was set up.
    pub setups: u32,
    /// Times that the camera was found not to have started.
    pub unbooted: u32,
    /// Times that the camera was restarted by command.
    pub restarts: u32,
    /// Frames that came during a flat-field correction.
    pub ffc_frames: u32,
}

/// What the machine wants next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Nothing before this time, µs.
    Idle(u64),
    /// Read so many bytes from the SPI bus in one transaction, then [`Machine::read_done`].
    Read(&'a mut [u8]),
    /// This I²C transfer, then [`Machine::transfer_done`].
    Transfer(Transfer<'a>),
}

/// The answer to a command that was submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The command ID with its access type.
    pub command: u16,
    /// The words of the value that was read (zeros beyond its length, and after writing), or why the command failed.
    pub result: Result<[u16; MAX_WORDS], CciError>,
}

/// A command is in progress already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Setup,
    Housekeeping,
    User,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Setting up; the step that is in progress or comes next.
    Setup(u8),
    /// Set up; waiting for the end of the silence.
    Silence,
    Stream,
}

/// The state machine of one Lepton that reads up to `N` packets (of 164 bytes) in one SPI transaction.
#[derive(Debug, Clone)]
pub struct Machine<const N: usize> {
    settings: Settings,
    receiver: Receiver,
    chunk: [PacketBytes; N],
    /// Packets of the chunk that hold data, and those of them that were taken.
    filled: usize,
    taken: usize,
    read_us: u64,
    phase: Phase,
    silent_until_us: Option<u64>,
    next_read_us: u64,
    attempts: u8,
    restart_first: bool,
    exchange: Option<(Purpose, Exchange)>,
    exchange_turn: bool,
    exchange_not_before_us: u64,
    answer: Option<Answer>,
    unbooted_since_us: Option<u64>,
    housekeeping_us: u64,
    ffc: FfcState,
    telemetry: Option<Telemetry>,
    sequence: u32,
    dropped_before: u32,
    counters: Counters,
}

impl<const N: usize> Machine<N> {
    const CHUNK: () = assert!(N > 0, "a Lepton is read at least one packet at a time");

    /// A machine that will wait for the camera to start and set it up.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        const { Self::CHUNK };
        Self {
            settings,
            receiver: Receiver::new(settings),
            chunk: [[0; PACKET_BYTES]; N],
            filled: 0,
            taken: 0,
            read_us: 0,
            phase: Phase::Setup(0),
            silent_until_us: None,
            next_read_us: 0,
            attempts: 0,
            restart_first: false,
            exchange: None,
            exchange_turn: false,
            exchange_not_before_us: 0,
            answer: None,
            unbooted_since_us: None,
            housekeeping_us: 0,
            ffc: FfcState::Never,
            telemetry: None,
            sequence: 0,
            dropped_before: 0,
            counters: Counters {
                stream: StreamCounters {
                    frames: 0,
                    packets: 0,
                    discards: 0,
                    corrupt: 0,
                    gaps: 0,
                    segment_errors: 0,
                    dropped_frames: 0,
                    resyncs: 0,
                },
                repeats: 0,
                spi_errors: 0,
                i2c_errors: 0,
                refused: 0,
                setups: 0,
                unbooted: 0,
                restarts: 0,
                ffc_frames: 0,
            },
        }
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> Settings {
        self.settings
    }

    /// What has happened so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        Counters { stream: self.receiver.counters(), ..self.counters }
    }

    /// Telemetry of the newest frame; `None` before it, or with telemetry off.
    #[must_use]
    pub const fn telemetry(&self) -> Option<Telemetry> {
        self.telemetry
    }

    /// State of the flat-field correction at the newest frame.
    #[must_use]
    pub const fn ffc(&self) -> FfcState {
        self.ffc
    }

    /// Frames are being received.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.phase == Phase::Stream
    }

    /// Queues a command; it runs between reads of the stream and its answer is fetched with [`Self::take_answer`].
    ///
    /// # Errors
    /// [`Busy`] while another command is in progress or the camera is being set up.
    pub fn submit(
        &mut self,
        attribute: Attribute,
        access: Access,
        values: &[u16],
        now_us: u64,
    ) -> Result<(), Busy> {
        if self.exchange.is_some() || matches!(self.phase, Phase::Setup(_)) {
            return Err(Busy);
        }
        self.answer = None;
        self.exchange = Some((Purpose::User, Exchange::new(attribute, access, values, now_us)));
        Ok(())
    }

    /// The answer to the last submitted command, once.
    pub fn take_answer(&mut self) -> Option<Answer> {
        self.answer.take()
    }

    /// Takes packets that were read. `Some` when `frame` holds a complete frame; call again with the next buffer
    /// before anything else.
    ///
    /// # Errors
    /// [`Fault::LostSync`] when the packets, or their absence, show that synchronisation is lost.
    pub fn take(&mut self, frame: &mut [u8]) -> Result<Option<FrameInfo>, Fault> {
        if self.filled == 0 {
            return Ok(None);
        }
        while self.taken < self.filled {
            let packet = &self.chunk[self.taken];
            self.taken += 1;
            if let Some(done) = self.receiver.accept(packet, frame, self.read_us)
                && let Some(info) = self.completed(done)
            {
                return Ok(Some(info));
            }
        }
        self.filled = 0;
        match self.receiver.after_read(self.read_us) {
            Ok(()) => Ok(None),
            Err(cause) => Err(self.lost(cause)),
        }
    }

    /// What to do next.
    ///
    /// # Errors
    /// [`Fault::LostSync`] when the host paused for too long.
    pub fn action(&mut self, now_us: u64) -> Result<Action<'_>, Fault> {
        let silent_until = *self.silent_until_us.get_or_insert(now_us + RESYNC_SILENCE_US);
        if self.phase == Phase::Silence && now_us >= silent_until {
            self.phase = Phase::Stream;
            self.next_read_us = now_us;
            self.housekeeping_us = now_us;
            self.receiver.restart(now_us);
        }
        if self.phase == Phase::Stream
            && let Err(cause) = self.receiver.before_read(now_us)
        {
            return Err(self.lost(cause));
        }
        self.begin_exchange(now_us);
        let mut wake = match self.phase {
            Phase::Stream => self.next_read_us,
            Phase::Silence => silent_until,
            Phase::Setup(_) => u64::MAX,
        };
        // The two buses take turns, so that neither a slow command nor a fast stream keeps the other waiting.
        let read_due = self.phase == Phase::Stream && now_us >= self.next_read_us;
        if !read_due || self.exchange_turn {
            self.exchange_turn = false;
            let not_before = self.exchange_not_before_us;
            if now_us < not_before {
                wake = wake.min(not_before);
            } else if let Some((_, exchange)) = &mut self.exchange {
                // Asked twice, because a borrow that may be returned cannot be given up again.
                match exchange.want(now_us) {
                    Want::Wait(until) => wake = wake.min(until),
                    Want::Transfer(_) => {
                        let Some((_, exchange)) = &mut self.exchange else { return Ok(Action::Idle(wake)) };
                        let Want::Transfer(transfer) = exchange.want(now_us) else {
                            return Ok(Action::Idle(wake));
                        };
                        return Ok(Action::Transfer(transfer));
                    }
                }
            }
        }
        if read_due {
            self.exchange_turn = true;
            self.read_us = now_us;
            return Ok(Action::Read(self.chunk.as_flattened_mut()));
        }
        Ok(Action::Idle(wake.max(now_us + 1)))
    }

    /// To be called when the read that was asked for has ended; then [`Self::take`].
    pub fn read_done(&mut self, ok: bool) {
        if !ok {
            self.counters.spi_errors = self.counters.spi_errors.wrapping_add(1);
            // What the camera has sent is unknown. If packets were lost, the stream shows it.
            self.next_read_us = self.read_us + DISCARD_PAUSE_US;
            return;
        }
        self.filled = N;
        self.taken = 0;
        let quiet = self.chunk.iter().all(|p| p[0] & 0x0f == 0x0f);
        self.next_read_us = if quiet { self.read_us + DISCARD_PAUSE_US } else { self.read_us };
    }

    /// To be called when the I²C transfer that was asked for has ended.
    ///
    /// # Errors
    /// What the camera's answer shows: not started, of another model, or a command refused. The error of the bus itself
    /// is the caller's to report.
    pub fn transfer_done(&mut self, ok: bool, now_us: u64) -> Result<(), Fault> {
        if !ok {
            self.counters.i2c_errors = self.counters.i2c_errors.wrapping_add(1);
            self.exchange_not_before_us = now_us + BUS_BACK_OFF_US;
            return Ok(());
        }
        let Some((purpose, exchange)) = &mut self.exchange else { return Ok(()) };
        let Some(result) = exchange.done(now_us) else { return Ok(()) };
        let purpose = *purpose;
        let Some((_, exchange)) = self.exchange.take() else { return Ok(()) };
        match purpose {
            Purpose::User => {
                self.note_refusal(result);
                let result = result.map(|()| core::array::from_fn(|i| exchange.word(i)));
                self.answer = Some(Answer { command: exchange.command(), result });
                Ok(())
            }
            Purpose::Housekeeping => {
                self.housekeeping_us = now_us + HOUSEKEEPING_US;
                self.note_refusal(result);
                result.map_err(Fault::Command)?;
                self.ffc = FfcState::from_bits(exchange.value());
                Ok(())
            }
            Purpose::Setup => self.setup_done(result, &exchange, now_us),
        }
    }

    fn note_refusal(&mut self, result: Result<(), CciError>) {
        if matches!(result, Err(CciError::Refused { .. } | CciError::Timeout { .. })) {
            self.counters.refused = self.counters.refused.wrapping_add(1);
        }
    }

    fn setup_done(
        &mut self,
        result: Result<(), CciError>,
        exchange: &Exchange,
        now_us: u64,
    ) -> Result<(), Fault> {
        let Phase::Setup(index) = self.phase else { return Ok(()) };
        if exchange.command() == attribute::REBOOT.id + Access::Run as u16 {
            // A camera that has not started, before the command or after it, is on its way as well.
            self.restart_first = false;
            if matches!(result, Ok(()) | Err(CciError::NotBooted)) {
                self.counters.restarts = self.counters.restarts.wrapping_add(1);
                self.exchange_not_before_us = now_us + BUS_BACK_OFF_US;
                return Ok(());
            }
        }
        match result {
            Err(CciError::NotBooted) => {
                // A camera that restarts forgets its settings: begin anew when it has started.
                self.phase = Phase::Setup(0);
                self.exchange_not_before_us = now_us + BUS_BACK_OFF_US;
                let since = *self.unbooted_since_us.get_or_insert(now_us);
                if now_us.saturating_sub(since) >= BOOT_REPORT_US {
                    self.unbooted_since_us = Some(now_us);
                    self.counters.unbooted = self.counters.unbooted.wrapping_add(1);
                    return Err(Fault::Command(CciError::NotBooted));
                }
                return Ok(());
            }
            Err(e) => {
                let optional = setup::step(&self.settings, index).is_some_and(|step| step.optional);
                if !(optional && matches!(e, CciError::Refused { .. })) {
                    self.note_refusal(result);
                    self.phase = Phase::Setup(0);
                    self.exchange_not_before_us = now_us + SETUP_BACK_OFF_US;
                    return Err(Fault::Command(e));
                }
            }
            Ok(()) => {
                self.unbooted_since_us = None;
                if exchange.command() == attribute::PART_NUMBER.id
                    && let Some(found) = model_of(exchange.data())
                    && found != self.settings.model
                {
                    self.phase = Phase::Setup(0);
                    self.exchange_not_before_us = now_us + SETUP_BACK_OFF_US;
                    return Err(Fault::WrongModel { found, expected: self.settings.model });
                }
            }
        }
        let next = index + 1;
        if setup::step(&self.settings, next).is_some() {
            self.phase = Phase::Setup(next);
        } else {
            self.phase = Phase::Silence;
            self.counters.setups = self.counters.setups.wrapping_add(1);
        }
        Ok(())
    }

    fn begin_exchange(&mut self, now_us: u64) {
        if self.exchange.is_some() || now_us < self.exchange_not_before_us {
            return;
        }
        match self.phase {
            Phase::Setup(0) if self.restart_first => {
                let reboot = Exchange::new(attribute::REBOOT, Access::Run, &[], now_us);
                self.exchange = Some((Purpose::Setup, reboot));
            }
            Phase::Setup(index) => {
                if let Some(step) = setup::step(&self.settings, index) {
                    let exchange = match step.value {
                        Some(value) => Exchange::set(step.attribute, value, now_us),
                        None => Exchange::new(step.attribute, Access::Get, &[], now_us),
                    };
                    self.exchange = Some((Purpose::Setup, exchange));
                }
            }
            Phase::Stream
                if self.settings.telemetry == TelemetryLines::Off && now_us >= self.housekeeping_us =>
            {
                let exchange = Exchange::new(attribute::FFC_STATE, Access::Get, &[], now_us);
                self.exchange = Some((Purpose::Housekeeping, exchange));
            }
            Phase::Silence | Phase::Stream => {}
        }
    }

    fn lost(&mut self, cause: SyncLoss) -> Fault {
        self.attempts += 1;
        if self.attempts > MAX_ATTEMPTS {
            self.attempts = 0;
            self.restart_first = true;
        }
        self.filled = 0;
        self.taken = 0;
        if let Some((Purpose::User, exchange)) = self.exchange.take() {
            self.answer = Some(Answer { command: exchange.command(), result: Err(CciError::NotBooted) });
        }
        self.phase = Phase::Setup(0);
        self.silent_until_us = Some(self.receiver.last_read_us().unwrap_or(self.read_us) + RESYNC_SILENCE_US);
        Fault::LostSync(cause)
    }

    fn completed(&mut self, done: Completed) -> Option<FrameInfo> {
        self.attempts = 0;
        let lost = self.receiver.counters().dropped_frames.wrapping_sub(self.dropped_before);
        let mut step = 1 + lost;
        if let Some(new) = done.telemetry {
            self.ffc = new.ffc;
            if let Some(old) = self.telemetry {
                let ahead = new.frame_counter.wrapping_sub(old.frame_counter);
                if ahead == 0 && self.settings.model == Model::Lepton2 && new.ffc != FfcState::InProgress {
                    self.counters.repeats = self.counters.repeats.wrapping_add(1);
                    return None;
                }
                // Backwards, or far ahead: the camera restarted and counts anew.
                step = if ahead < 1000 { ahead.max(1) } else { 1 };
            }
        }
        self.telemetry = done.telemetry;
        self.dropped_before = self.receiver.counters().dropped_frames;
        let correcting = self.ffc == FfcState::InProgress;
        if correcting {
            self.counters.ffc_frames = self.counters.ffc_frames.wrapping_add(1);
        }
        let sequence = self.sequence.wrapping_add(step - 1);
        self.sequence = sequence.wrapping_add(1);
        Some(FrameInfo {
            timestamp_us: done.first_packet_us,
            sequence,
            state: if correcting { SensorState::Ffc } else { SensorState::Ok },
        })
    }
}
