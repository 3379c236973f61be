//! A visible and a thermal camera together: pairs of frames, whatever one of them does.
//!
//! [`Rig`] owns two [`FrameSource`]s and three buffers for each: one being filled, one that holds the newest good frame,
//! and one that is shown to the fusion. So the cameras go on being read while a pair is fused; on a single core, the
//! fusion calls [`Sensors::poll`] between its layers. What to pair and when is decided by [`Pairing`], which has no
//! buffers and no sources.
//!
//! ```text
//! loop {
//!     let errors = rig.poll(now()); // for the log, see `repeats`
//!     rig.fuse(now(), |pair, sensors| {
//!         // pair.visible, pair.infrared, pair.follow -> Pipeline::fuse, calling sensors.poll(now()) meanwhile
//!     });
//! }
//! ```

mod pairing;
mod track;

use core::mem;

use fusionproxy_core::frame::{FrameInfo, InfraredFormat, InfraredFrame, VisibleFormat, VisibleFrame};
use fusionproxy_core::gain::Follow;
use fusionproxy_core::health::Status;

pub use pairing::{Decision, Pairing, Policy};
pub use track::{SensorCounters, Track, Watch, fingerprint};

use crate::source::{FrameSource, ShortBuffer};

/// One source with the buffer that it fills and the buffer of its newest good frame.
#[derive(Debug)]
struct Feed<'b, S> {
    source: S,
    filling: &'b mut [u8],
    newest: &'b mut [u8],
    /// `newest` holds a frame that was not shown yet.
    unseen: Option<FrameInfo>,
}

/// Splits a sensor's memory into the three buffers of its frames.
type Buffers<'b> = (&'b mut [u8], &'b mut [u8], &'b mut [u8]);

impl<'b, S: FrameSource> Feed<'b, S> {
    fn new(source: S, memory: &'b mut [u8]) -> Result<(Self, &'b mut [u8]), ShortBuffer> {
        let bytes = source.layout().bytes();
        let (filling, newest, shown) = split(memory, bytes)?;
        Ok((Self { source, filling, newest, unseen: None }, shown))
    }

    /// Polls once; `keep` says whether the content of a complete frame is to be kept.
    fn poll(&mut self, now_us: u64, keep: impl FnOnce(FrameInfo, u32) -> bool) -> Result<(), S::Error> {
        if let Some(info) = self.source.poll(self.filling, now_us)?
            && keep(info, fingerprint(self.filling))
        {
            mem::swap(&mut self.filling, &mut self.newest);
            self.unseen = Some(info);
        }
        Ok(())
    }

    /// Brings the newest frame to the front.
    fn show(&mut self, shown: &mut &'b mut [u8], info: &mut Option<FrameInfo>) {
        if let Some(new) = self.unseen.take() {
            mem::swap(&mut self.newest, shown);
            *info = Some(new);
        }
    }
}

fn split(memory: &mut [u8], bytes: usize) -> Result<Buffers<'_>, ShortBuffer> {
    let short = ShortBuffer { found: memory.len(), needed: 3 * bytes };
    let (first, rest) = memory.split_at_mut_checked(bytes).ok_or(short)?;
    let (second, rest) = rest.split_at_mut_checked(bytes).ok_or(short)?;
    let third = rest.get_mut(..bytes).ok_or(short)?;
    Ok((first, second, third))
}

/// The sources of a rig, which go on being read while a pair is fused.
#[derive(Debug)]
pub struct Sensors<'b, V, I> {
    visible: Feed<'b, V>,
    infrared: Feed<'b, I>,
    pairing: Pairing,
}

/// Errors that one round of polling met; both sensors were polled all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "nobody else hears of these errors"]
pub struct Errors<V, I> {
    /// Of the visible camera.
    pub visible: Option<V>,
    /// Of the thermal camera.
    pub infrared: Option<I>,
}

impl<V, I> Sensors<'_, V, I>
where
    V: FrameSource<Format = VisibleFormat>,
    I: FrameSource<Format = InfraredFormat>,
{
    /// Polls each camera once. Errors are counted, and returned for the log; nothing else need be done about them.
    pub fn poll(&mut self, now_us: u64) -> Errors<V::Error, I::Error> {
        let pairing = &mut self.pairing;
        let visible = self.visible.poll(now_us, |info, hash| pairing.visible(info, hash, now_us)).err();
        let infrared = self.infrared.poll(now_us, |info, hash| pairing.infrared(info, hash)).err();
        if visible.is_some() {
            pairing.visible_error();
        }
        if infrared.is_some() {
            pairing.infrared_error();
        }
        Errors { visible, infrared }
    }

    /// The visible camera's driver.
    pub const fn visible(&mut self) -> &mut V {
        &mut self.visible.source
    }

    /// The thermal camera's driver.
    pub const fn infrared(&mut self) -> &mut I {
        &mut self.infrared.source
    }
}

/// A pair of frames to fuse. At least one of the two is there.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// The visible frame; without it, the infrared frame alone is to be shown.
    pub visible: Option<VisibleFrame<'a>>,
    /// The infrared frame; without it, the visible frame alone is to be shown. It may be older than the visible frame:
    /// `status` says how old.
    pub infrared: Option<InfraredFrame<'a>>,
    /// How gain control should take the infrared frame.
    pub follow: Follow,
    /// States and ages; the monitor and gain control add what they know before it is packed.
    pub status: Status,
}

/// Two cameras and their frames.
#[derive(Debug)]
pub struct Rig<'b, V, I> {
    sensors: Sensors<'b, V, I>,
    visible: &'b mut [u8],
    visible_info: Option<FrameInfo>,
    infrared: &'b mut [u8],
    infrared_info: Option<FrameInfo>,
}

impl<'b, V, I> Rig<'b, V, I>
where
    V: FrameSource<Format = VisibleFormat>,
    I: FrameSource<Format = InfraredFormat>,
{
    /// A rig of two cameras. The memory of each must hold three of its frames.
    ///
    /// # Errors
    /// [`ShortBuffer`] when it does not.
    pub fn new(
        visible: V,
        infrared: I,
        visible_memory: &'b mut [u8],
        infrared_memory: &'b mut [u8],
        policy: Policy,
    ) -> Result<Self, ShortBuffer> {
        let (visible, visible_shown) = Feed::new(visible, visible_memory)?;
        let (infrared, infrared_shown) = Feed::new(infrared, infrared_memory)?;
        Ok(Self {
            sensors: Sensors { visible, infrared, pairing: Pairing::new(policy) },
            visible: visible_shown,
            visible_info: None,
            infrared: infrared_shown,
            infrared_info: None,
        })
    }

    /// Gives the cameras back.
    pub fn release(self) -> (V, I) {
        (self.sensors.visible.source, self.sensors.infrared.source)
    }

    /// Polls each camera once; as often as the more demanding of the two drivers asks for.
    pub fn poll(&mut self, now_us: u64) -> Errors<V::Error, I::Error> {
        self.sensors.poll(now_us)
    }

    /// The cameras, for commands and counters.
    pub const fn sensors(&mut self) -> &mut Sensors<'b, V, I> {
        &mut self.sensors
    }

    /// What each camera has done so far: visible, infrared.
    #[must_use]
    pub const fn counters(&self) -> (SensorCounters, SensorCounters) {
        let p = &self.sensors.pairing;
        (p.visible_track().counters(), p.infrared_track().counters())
    }

    /// States and ages now, whether a pair is due or not.
    pub fn status(&mut self, now_us: u64) -> Status {
        self.sensors.pairing.status(now_us)
    }

    /// Calls `fuse` with the pair that is due, if one is. While it runs, it should call [`Sensors::poll`] as often as the
    /// drivers ask for; frames that become complete meanwhile are kept for the next pair.
    pub fn fuse<R>(
        &mut self,
        now_us: u64,
        fuse: impl FnOnce(Pair<'_>, &mut Sensors<'b, V, I>) -> R,
    ) -> Option<R> {
        let decision = self.sensors.pairing.due(now_us)?;
        self.sensors.visible.show(&mut self.visible, &mut self.visible_info);
        self.sensors.infrared.show(&mut self.infrared, &mut self.infrared_info);
        let visible_layout = self.sensors.visible.source.layout();
        let infrared_layout = self.sensors.infrared.source.layout();
        // The buffers were cut to the layouts: neither frame can fail.
        let visible = self
            .visible_info
            .filter(|_| decision.visible)
            .and_then(|info| visible_layout.frame(self.visible, info).ok());
        let infrared = self
            .infrared_info
            .filter(|_| decision.infrared)
            .and_then(|info| infrared_layout.frame(self.infrared, info).ok());
        let pair = Pair { visible, infrared, follow: decision.follow, status: decision.status };
        Some(fuse(pair, &mut self.sensors))
    }
}
