//! Hours of a rig's life in minutes: simulated cameras, random faults, and an account of how it went.

use super::{
    ArduCamFault, ArduCamSim, Desync, LeptonFault, LeptonSim, RadiometricCapability, Rng, VirtualClock,
};
use super::{warm_body, warm_body_visible};
use crate::camera::Output;
use crate::camera::arducam::{self, ArduCam};
use crate::lepton::{self, Lepton, Model};
use crate::rig::{Policy, Rig, SensorCounters, Watch};
use crate::source::ShortBuffer;

/// Full rate must be back so long after the end of a fault, µs.
const RECOVERY_US: u64 = 2_000_000;
/// How often it is told how it goes, µs.
const HOUR_US: u64 = 3_600_000_000;
/// Over so long the rate is then measured, µs.
const MEASURE_US: u64 = 2_000_000;

/// What to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Soak {
    /// Seed of sensors and faults.
    pub seed: u64,
    /// Virtual time, µs.
    pub duration_us: u64,
    /// The thermal camera; the visible camera is set to the same size.
    pub model: Model,
}

/// How it went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SoakReport {
    /// Virtual time that passed, µs.
    pub virtual_us: u64,
    /// Pairs given to the fusion.
    pub pairs: u64,
    /// Pairs of both bands, both healthy.
    pub healthy_pairs: u64,
    /// Faults that were injected.
    pub faults: u32,
    /// Faults after which no counter had moved.
    pub unseen: u32,
    /// Faults after which a camera had not its full rate again in time.
    pub slow: u32,
    /// Longest time between two pairs while at most one camera had a fault, µs.
    pub longest_gap_us: u64,
    /// The drivers' and the rig's counters at the end.
    pub lepton: lepton::machine::Counters,
    /// See `lepton`.
    pub arducam: arducam::Counters,
    /// The rig's counters: visible, infrared.
    pub rig: (SensorCounters, SensorCounters),
}

impl Soak {
    fn size(&self) -> (u16, u16) {
        match self.model {
            Model::Lepton2 => (80, 60),
            Model::Lepton3 => (160, 120),
        }
    }

    /// Bytes of memory that each camera needs.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let (w, h) = self.size();
        3 * 2 * usize::from(w) * usize::from(h)
    }

    /// Runs the simulation, one rig from the first hour to the last. `hourly` gets the account so far after every virtual
    /// hour, without the counters.
    ///
    /// # Errors
    /// [`ShortBuffer`] when a memory is shorter than [`Self::memory_bytes`].
    pub fn run(
        &self,
        visible_memory: &mut [u8],
        infrared_memory: &mut [u8],
        mut hourly: impl FnMut(&SoakReport),
    ) -> Result<SoakReport, ShortBuffer> {
        let clock = VirtualClock::new();
        let lepton_sim =
            LeptonSim::new(&clock, self.model, RadiometricCapability::None, warm_body, self.seed);
        let arducam_sim = ArduCamSim::new(&clock, warm_body_visible, 0, self.seed);
        let settings = arducam::Settings { output: Output::Yuyv, size: self.size(), leading_bytes: 0 };
        let Ok(arducam) = ArduCam::new(arducam_sim.spi(), arducam_sim.i2c(), settings) else {
            return Ok(SoakReport::default());
        };
        let lepton =
            Lepton::<_, _>::new(lepton_sim.spi(), lepton_sim.i2c(), lepton::Settings::new(self.model));
        let policy =
            Policy { visible: Watch::for_rate(3), infrared: Watch::for_rate(9), tolerance_us: 60_000 };
        let mut rig = Rig::new(arducam, lepton, visible_memory, infrared_memory, policy)?;

        let mut rng = Rng::new(self.seed);
        let mut report = SoakReport::default();
        let mut last_pair_us = None;
        let mut both = false;
        // One round of the rig's loop.
        let mut live = |rig: &mut Rig<'_, _, _>, report: &mut SoakReport, both: bool| {
            // The counters tell of errors.
            let _ = rig.poll(clock.now_us());
            if let Some(status) = rig.fuse(clock.now_us(), |pair, _| pair.status) {
                let now = clock.now_us();
                report.pairs += 1;
                report.healthy_pairs +=
                    u64::from(fusionproxy_core::health::StatusWord::pack(&status).is_healthy());
                let gap = now - last_pair_us.replace(now).unwrap_or(now);
                if !both {
                    report.longest_gap_us = report.longest_gap_us.max(gap);
                }
            }
            clock.advance_us(200);
        };
        // Start-up, and the healthy rates.
        while clock.now_us() < 4_000_000 {
            live(&mut rig, &mut report, true);
        }
        let healthy = {
            let before = delivered(&rig.counters());
            while clock.now_us() < 4_000_000 + MEASURE_US {
                live(&mut rig, &mut report, false);
            }
            rate(before, delivered(&rig.counters()))
        };
        while clock.now_us() < self.duration_us {
            let before = troubles(&mut rig);
            let which = rng.below(3);
            let mut lasts_us = 0;
            let mut visible_marks = false;
            if which != 1 {
                let (fault, us) = lepton_fault(&mut rng);
                lepton_sim.inject(fault);
                report.faults += 1;
                lasts_us = us;
            }
            if which != 0 {
                let (fault, us) = arducam_fault(&mut rng);
                arducam_sim.inject(fault);
                report.faults += 1;
                lasts_us = lasts_us.max(us);
                visible_marks = true;
            }
            // The gap that ends with the first pair after a double fault began within it.
            let was_both = both;
            both = which == 2;
            let mut until = clock.now_us() + lasts_us + RECOVERY_US;
            let settled = clock.now_us() + 1_000_000;
            while clock.now_us() < until {
                let doubtful = both || (was_both && clock.now_us() < settled);
                live(&mut rig, &mut report, doubtful);
                if lepton_sim.faulty() || arducam_sim.faulty() {
                    until = until.max(clock.now_us() + RECOVERY_US);
                }
            }
            let after = troubles(&mut rig);
            report.unseen += u32::from(which != 1 && after.1 == before.1);
            report.unseen += u32::from(visible_marks && after.0 == before.0);
            let start = delivered(&rig.counters());
            let until = clock.now_us() + MEASURE_US + u64::from(rng.below(1_000)) * 1_000;
            let measured = clock.now_us() + MEASURE_US;
            let mut now_rate = (0, 0);
            while clock.now_us() < until {
                live(&mut rig, &mut report, both);
                if clock.now_us() <= measured {
                    now_rate = rate(start, delivered(&rig.counters()));
                }
            }
            // One frame more or less falls into the window.
            if now_rate.0 + 1 < healthy.0 || now_rate.1 + 1 < healthy.1 {
                report.slow += 1;
            }
            let hours = report.virtual_us / HOUR_US;
            report.virtual_us = clock.now_us();
            if report.virtual_us / HOUR_US > hours {
                hourly(&report);
            }
        }
        report.virtual_us = clock.now_us();
        report.rig = rig.counters();
        report.arducam = rig.sensors().visible().counters();
        report.lepton = rig.sensors().infrared().counters();
        Ok(report)
    }
}

type Counters = (SensorCounters, SensorCounters);

fn delivered(counters: &Counters) -> (u32, u32) {
    (counters.0.frames, counters.1.frames)
}

fn rate(before: (u32, u32), after: (u32, u32)) -> (u32, u32) {
    (after.0.wrapping_sub(before.0), after.1.wrapping_sub(before.1))
}

/// Sums of everything that counts trouble: visible, infrared.
fn troubles<S1, I1, S2, I2>(rig: &mut Rig<'_, ArduCam<S1, I1>, Lepton<S2, I2>>) -> (u32, u32)
where
    S1: embedded_hal::spi::SpiDevice,
    I1: embedded_hal::i2c::I2c,
    S2: embedded_hal::spi::SpiDevice,
    I2: embedded_hal::i2c::I2c,
{
    let sum = |c: SensorCounters| c.lost + c.ffc + c.errors + c.frozen + c.recovered;
    let (visible, infrared) = rig.counters();
    let v = rig.sensors().visible().counters();
    let i = rig.sensors().infrared().counters();
    let s = i.stream;
    (
        sum(visible) + v.timeouts + v.wrong_lengths + v.restarts + v.spi_errors + v.i2c_errors,
        sum(infrared)
            + s.corrupt
            + s.gaps
            + s.segment_errors
            + s.dropped_frames
            + s.resyncs
            + i.spi_errors
            + i.i2c_errors
            + i.ffc_frames
            + i.refused,
    )
}

/// A fault, and how long it lasts, µs.
fn lepton_fault(rng: &mut Rng) -> (LeptonFault, u64) {
    let some = |rng: &mut Rng, n: u32| 1 + rng.below(n) as u16;
    let long = 600_000 + u64::from(rng.below(1_400)) * 1_000;
    match rng.below(9) {
        // More than the lines of segments that are thrown away in any case.
        0 => (LeptonFault::CorruptPackets(some(rng, 100)), 0),
        1 => (LeptonFault::DropPackets(100 + some(rng, 300)), 0),
        2 => (LeptonFault::Desync(Desync::Discards), 0),
        3 => (LeptonFault::Desync(Desync::Shifted(some(rng, 163) as u8)), 0),
        4 => (LeptonFault::Stuck(long + 2_000_000), long + 2_000_000),
        5 => (LeptonFault::Late(long), long),
        6 => (LeptonFault::SpiErrors(some(rng, 60)), 60_000),
        7 => (LeptonFault::Ffc, 700_000),
        _ => (LeptonFault::Reboot, 950_000),
    }
}

fn arducam_fault(rng: &mut Rng) -> (ArduCamFault, u64) {
    let some = |rng: &mut Rng, n: u32| 1 + rng.below(n) as u16;
    let long = 600_000 + u64::from(rng.below(1_400)) * 1_000;
    match rng.below(6) {
        0 => (ArduCamFault::Nack(some(rng, 10)), 0),
        1 => (ArduCamFault::SpiErrors(some(rng, 10)), 500_000),
        2 => (ArduCamFault::ShortCaptures(some(rng, 4)), 0),
        // A capture that hangs at the end is found 0.8 s later.
        3 => (ArduCamFault::Hang(long), long + 800_000),
        4 => (ArduCamFault::Stuck(long + 2_000_000), long + 2_000_000),
        _ => (ArduCamFault::Reboot, 0),
    }
}
