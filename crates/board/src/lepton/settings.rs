//! What the user chooses about a Lepton, and the geometry that follows from it.

use fusionproxy_core::frame::InfraredFormat;

use crate::source::Layout;

/// Generation of the module: it decides size and packet stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Lepton 1.x and 2.x: 80 × 60 px, one segment a frame.
    Lepton2,
    /// Lepton 3.x: 160 × 120 px, four segments a frame.
    Lepton3,
}

/// Whether telemetry lines travel with the frames, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TelemetryLines {
    /// None: the state of the flat-field correction is then asked for over CCI.
    Off,
    /// Before the pixels.
    Header,
    /// After the pixels.
    Footer,
}

/// What a pixel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// 14-bit counts, [`InfraredFormat::Y14`]; every model.
    Counts,
    /// Temperature in units of 10 mK, [`InfraredFormat::Y16`] (TLinear); radiometric models (2.5, 3.5) only.
    Centikelvin,
    /// 8 bits after the camera's own gain control, [`InfraredFormat::Grey8`]; every model.
    Agc,
}

/// Gain of the sensor, CCI SYS gain mode (software interface description 110-0144-04, section 4.5.16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Gain {
    /// Scenes up to about 140 °C, lowest noise.
    High = 0,
    /// Scenes up to about 450 °C.
    Low = 1,
    /// The camera switches by itself.
    Auto = 2,
}

/// Settings of a Lepton.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Generation of the module.
    pub model: Model,
    /// Telemetry lines.
    pub telemetry: TelemetryLines,
    /// What a pixel is.
    pub output: Output,
    /// Gain to set; `None` leaves the camera as it is, and is what models without a low gain need.
    pub gain: Option<Gain>,
}

impl Settings {
    /// Raw counts with telemetry after the pixels: what fusion wants, and what every model can do.
    #[must_use]
    pub const fn new(model: Model) -> Self {
        Self { model, telemetry: TelemetryLines::Footer, output: Output::Counts, gain: None }
    }

    /// Format and size of the frames.
    #[must_use]
    pub const fn layout(&self) -> Layout<InfraredFormat> {
        let (width, height) = match self.model {
            Model::Lepton2 => (80, 60),
            Model::Lepton3 => (160, 120),
        };
        let format = match self.output {
            Output::Counts => InfraredFormat::Y14,
            Output::Centikelvin => InfraredFormat::Y16,
            Output::Agc => InfraredFormat::Grey8,
        };
        Layout { format, width, height }
    }

    /// Segments of one frame.
    #[must_use]
    pub const fn segments(&self) -> u8 {
        match self.model {
            Model::Lepton2 => 1,
            Model::Lepton3 => 4,
        }
    }

    /// Packets that hold pixels, in all segments together: 80 px each.
    #[must_use]
    pub const fn video_packets(&self) -> u16 {
        match self.model {
            Model::Lepton2 => 60,
            Model::Lepton3 => 240,
        }
    }

    /// Packets that hold telemetry, in all segments together: rows A, B and C, and on Lepton 3 a reserved fourth.
    #[must_use]
    pub const fn telemetry_packets(&self) -> u16 {
        match (self.telemetry, self.model) {
            (TelemetryLines::Off, _) => 0,
            (_, Model::Lepton2) => 3,
            (_, Model::Lepton3) => 4,
        }
    }

    /// Packets of one segment: 60 or 63 on Lepton 2, 60 or 61 on Lepton 3.
    #[must_use]
    pub const fn packets_per_segment(&self) -> u16 {
        (self.video_packets() + self.telemetry_packets()) / self.segments() as u16
    }

    /// Where packet `line` of segment `segment` (from 1) belongs.
    #[must_use]
    pub(super) const fn place(&self, segment: u8, line: u16) -> Place {
        let index = (segment as u16 - 1) * self.packets_per_segment() + line;
        match self.telemetry {
            TelemetryLines::Header => match index.checked_sub(self.telemetry_packets()) {
                Some(video) => Place::Video(video),
                None => Place::Telemetry(index),
            },
            TelemetryLines::Off | TelemetryLines::Footer => match index.checked_sub(self.video_packets()) {
                None => Place::Video(index),
                Some(row) => Place::Telemetry(row),
            },
        }
    }
}

/// What a packet holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Pixels: number of the packet among all that hold pixels.
    Video(u16),
    /// A telemetry row, from 0.
    Telemetry(u16),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_counts_are_those_of_the_datasheet() {
        let mut s = Settings::new(Model::Lepton3);
        assert_eq!(s.packets_per_segment(), 61);
        // With a footer, segment 4 ends with the telemetry rows in packets 57 to 60.
        assert_eq!(s.place(4, 56), Place::Video(239));
        assert_eq!(s.place(4, 57), Place::Telemetry(0));
        assert_eq!(s.place(4, 60), Place::Telemetry(3));
        s.telemetry = TelemetryLines::Header;
        assert_eq!(s.place(1, 3), Place::Telemetry(3));
        assert_eq!(s.place(1, 4), Place::Video(0));
        assert_eq!(s.place(4, 60), Place::Video(239));
        s.telemetry = TelemetryLines::Off;
        assert_eq!(s.packets_per_segment(), 60);
        s.model = Model::Lepton2;
        assert_eq!(s.packets_per_segment(), 60);
        s.telemetry = TelemetryLines::Footer;
        assert_eq!(s.packets_per_segment(), 63);
        assert_eq!(s.place(1, 60), Place::Telemetry(0));
    }
}
