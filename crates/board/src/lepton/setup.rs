//! What a Lepton is told before it streams.

use super::cci::{Attribute, attribute};
use super::settings::{Model, Output, Settings, TelemetryLines};

/// One command of the set-up: a value to set, or an attribute to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) attribute: Attribute,
    pub(super) value: Option<u32>,
    /// May be refused.
    pub(super) optional: bool,
}

/// The model that a part number belongs to, if it is one we know. Characters come two to a word; which of the two comes
/// first is not documented, so either order is taken.
pub(super) fn model_of(data: &[u8]) -> Option<Model> {
    const KNOWN: [(&[u8; 8], Model); 6] = [
        (b"500-0643", Model::Lepton2),
        (b"500-0659", Model::Lepton2),
        (b"500-0763", Model::Lepton2),
        (b"500-0726", Model::Lepton3),
        (b"500-0758", Model::Lepton3),
        (b"500-0771", Model::Lepton3),
    ];
    let head: &[u8; 8] = data.first_chunk()?;
    let swapped: [u8; 8] = core::array::from_fn(|i| head[i ^ 1]);
    KNOWN.iter().find(|(part, _)| *part == head || **part == swapped).map(|(_, model)| *model)
}

/// Step `index` of the set-up.
pub(super) fn step(s: &Settings, index: u8) -> Option<Step> {
    let telemetry = s.telemetry != TelemetryLines::Off;
    let centikelvin = s.output == Output::Centikelvin;
    let required = |attribute, value| Step { attribute, value: Some(value), optional: false };
    let steps = [
        Some(Step { attribute: attribute::PART_NUMBER, value: None, optional: true }),
        Some(required(attribute::AGC_ENABLE, u32::from(s.output == Output::Agc))),
        telemetry.then_some(required(
            attribute::TELEMETRY_LOCATION,
            u32::from(s.telemetry == TelemetryLines::Footer),
        )),
        Some(required(attribute::TELEMETRY_ENABLE, u32::from(telemetry))),
        centikelvin.then_some(required(attribute::RADIOMETRY_ENABLE, 1)),
        // Models without radiometry refuse to have it switched off, and need not.
        Some(Step {
            attribute: attribute::TLINEAR_ENABLE,
            value: Some(u32::from(centikelvin)),
            optional: !centikelvin,
        }),
        centikelvin.then_some(required(attribute::TLINEAR_RESOLUTION, 1)),
        s.gain.map(|gain| required(attribute::GAIN_MODE, gain as u32)),
    ];
    steps.into_iter().flatten().nth(usize::from(index))
}
