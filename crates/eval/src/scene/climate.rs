//! What each condition means: temperatures in kelvin, light in linear RGB, and the air between.

use super::math::V3;

/// Light and weather of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Condition {
    /// Clear afternoon: sunlit ground is as warm as people.
    Day,
    /// After sunset: weak sky light, lamps on, ground still warm.
    Dusk,
    /// Cold, wet night: the visible camera sees lamps and little else.
    Night,
    /// Daytime fog with about 45 m visibility; the thermal band sees through.
    Fog,
    /// Low sun straight ahead: veiling glare blinds the visible camera.
    Glare,
}

impl Condition {
    /// Every condition, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Day, Self::Dusk, Self::Night, Self::Fog, Self::Glare];

    /// Lower-case English name, for file names and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Dusk => "dusk",
            Self::Night => "night",
            Self::Fog => "fog",
            Self::Glare => "glare",
        }
    }
}

/// Physical constants of one condition. Temperatures in kelvin, extinction per metre, light in linear units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Climate {
    pub(super) air: f32,
    pub(super) road: f32,
    pub(super) pavement: f32,
    pub(super) grass: f32,
    pub(super) wall: f32,
    /// Sun-heated walls exceed `wall` by this much.
    pub(super) wall_sun: f32,
    pub(super) glass: f32,
    pub(super) foliage: f32,
    pub(super) zenith: f32,
    pub(super) horizon: f32,
    pub(super) cloth: f32,
    pub(super) parked: f32,

    pub(super) ambient: V3,
    pub(super) sun: V3,
    /// Direction to the sun (unit vector).
    pub(super) sun_dir: V3,
    pub(super) sky_top: V3,
    pub(super) sky_low: V3,
    pub(super) cloud: f32,
    /// Colour of the air at infinite distance.
    pub(super) haze: V3,
    pub(super) extinction: f32,
    pub(super) extinction_thermal: f32,

    /// Street lamps and head lamps, 0 off … 1 on.
    pub(super) lamps: f32,
    /// Share of windows with light behind them, and how bright.
    pub(super) windows: f32,
    pub(super) wet: f32,
    /// Multiplies linear light before the tone curve.
    pub(super) exposure: f32,
    /// Sensor noise of the visible camera: standard deviation near black, of full scale.
    pub(super) noise: f32,
    /// Radiance of a sun inside the picture; 0 when there is none.
    pub(super) glare: f32,
}

impl Climate {
    pub(super) fn of(condition: Condition) -> Self {
        let day = Self {
            air: 293.0,
            road: 298.5,
            pavement: 297.5,
            grass: 294.5,
            wall: 294.5,
            wall_sun: 7.0,
            glass: 290.5,
            foliage: 293.5,
            zenith: 268.0,
            horizon: 285.0,
            cloth: 302.0,
            parked: 300.0,
            ambient: V3(0.30, 0.36, 0.46),
            sun: V3(1.55, 1.42, 1.18),
            sun_dir: V3(-0.52, 0.66, -0.54),
            sky_top: V3(0.19, 0.40, 0.80),
            sky_low: V3(0.68, 0.81, 0.95),
            cloud: 1.0,
            haze: V3(0.66, 0.77, 0.89),
            extinction: 0.0022,
            extinction_thermal: 0.0006,
            lamps: 0.0,
            windows: 0.0,
            wet: 0.0,
            exposure: 0.95,
            noise: 0.004,
            glare: 0.0,
        };
        match condition {
            Condition::Day => day,
            Condition::Dusk => Self {
                air: 286.0,
                road: 292.5,
                pavement: 290.5,
                grass: 284.5,
                wall: 288.5,
                wall_sun: 1.5,
                glass: 286.5,
                foliage: 286.0,
                zenith: 263.0,
                horizon: 280.0,
                cloth: 298.0,
                parked: 286.0,
                ambient: V3(0.060, 0.070, 0.105),
                sun: V3(0.05, 0.03, 0.02),
                sun_dir: V3(0.35, 0.14, 0.926),
                sky_top: V3(0.045, 0.075, 0.19),
                sky_low: V3(0.55, 0.27, 0.16),
                cloud: 0.75,
                haze: V3(0.20, 0.14, 0.14),
                extinction: 0.0035,
                extinction_thermal: 0.0007,
                lamps: 0.8,
                windows: 0.34,
                wet: 0.25,
                exposure: 1.25,
                noise: 0.010,
                ..day
            },
            Condition::Night => Self {
                air: 279.5,
                road: 284.0,
                pavement: 282.6,
                grass: 277.5,
                wall: 282.0,
                wall_sun: 0.5,
                glass: 281.0,
                foliage: 279.5,
                zenith: 258.0,
                horizon: 274.0,
                cloth: 293.5,
                parked: 278.0,
                ambient: V3(0.0021, 0.0027, 0.0048),
                sun: V3::ZERO,
                sky_top: V3(0.0032, 0.0050, 0.0125),
                sky_low: V3(0.020, 0.019, 0.024),
                cloud: 0.35,
                haze: V3(0.010, 0.010, 0.013),
                extinction: 0.006,
                extinction_thermal: 0.0008,
                lamps: 1.0,
                windows: 0.26,
                wet: 1.0,
                exposure: 1.5,
                noise: 0.017,
                ..day
            },
            Condition::Fog => Self {
                air: 280.5,
                road: 283.5,
                pavement: 282.5,
                grass: 280.0,
                wall: 283.0,
                wall_sun: 0.6,
                glass: 282.5,
                foliage: 280.8,
                zenith: 274.5,
                horizon: 279.0,
                cloth: 294.0,
                parked: 280.0,
                ambient: V3(0.42, 0.44, 0.46),
                sun: V3::ZERO,
                sky_top: V3(0.60, 0.63, 0.66),
                sky_low: V3(0.66, 0.69, 0.71),
                cloud: 0.0,
                haze: V3(0.66, 0.69, 0.71),
                extinction: 0.082,
                extinction_thermal: 0.0045,
                lamps: 0.45,
                windows: 0.10,
                wet: 0.35,
                exposure: 0.95,
                noise: 0.006,
                ..day
            },
            Condition::Glare => Self {
                air: 288.0,
                road: 292.0,
                pavement: 291.0,
                grass: 287.5,
                wall: 289.0,
                wall_sun: 5.0,
                glass: 286.5,
                foliage: 288.0,
                zenith: 265.0,
                horizon: 283.0,
                cloth: 298.5,
                parked: 289.0,
                ambient: V3(0.17, 0.17, 0.20),
                sun: V3(1.9, 1.35, 0.85),
                sun_dir: V3(0.1090, 0.1175, 0.98707),
                sky_top: V3(0.42, 0.52, 0.66),
                sky_low: V3(1.25, 0.98, 0.68),
                cloud: 0.4,
                haze: V3(1.05, 0.84, 0.60),
                extinction: 0.0065,
                extinction_thermal: 0.0006,
                wet: 0.55,
                exposure: 1.2,
                noise: 0.004,
                glare: 30.0,
                ..day
            },
        }
    }
}
