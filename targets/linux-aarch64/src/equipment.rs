//! What fusion needs besides frames: the network, its threads, and the calibration. Everything that can be wrong with files
//! is found here, before the first frame.

use fusionproxy::{Artifact, Calibration, Fuser, FuserOptions, Memory, Model, Pool, Warp};
use fusionproxy_board::source::{Layout, ShortBuffer};
use fusionproxy_core::frame::{InfraredFormat, VisibleFormat};

use crate::config::{Config, ModelChoice};

/// Why fusion cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// The model cannot be used.
    #[error("`model`: {0}")]
    Model(#[from] fusionproxy::ModelError),
    /// The calibration file cannot be read.
    #[error("`calibration`: cannot read {path}: {source}")]
    Calibration { path: String, source: std::io::Error },
    /// The calibration file is none.
    #[error("`calibration`: {path}: {source}")]
    CalibrationFile { path: String, source: fusionproxy_core::align::FileError },
    /// The calibration is that of another rig.
    #[error(
        "`calibration`: made for infrared {calibrated:?} and visible {calibrated_visible:?} px, but the cameras give \
         {infrared:?} and {visible:?}, which are not of the same shape: calibrate these cameras"
    )]
    OtherRig {
        calibrated: (usize, usize),
        calibrated_visible: (usize, usize),
        infrared: (usize, usize),
        visible: (usize, usize),
    },
    /// The calibration cannot be used at this size.
    #[error("`calibration`: {0}")]
    Warp(#[from] fusionproxy_core::align::GeometryError),
    /// The network cannot run at this size.
    #[error("model and frame sizes do not fit: {0}")]
    Fuser(#[from] fusionproxy::FuserError),
    /// The memory of the sensors' frames is too small.
    #[error(transparent)]
    Memory(#[from] ShortBuffer),
    /// Threads cannot be started.
    #[error("`threads`: cannot start {count} threads: {source}")]
    Threads { count: usize, source: std::io::Error },
}

/// What is loaded before fusion.
pub(crate) struct Equipment {
    model: Model,
    /// Of the model, as the configuration gives it.
    pub(crate) name: String,
    /// The threads.
    pub(crate) pool: Pool,
    calibration: Option<Calibration>,
}

impl Equipment {
    /// Loads what the configuration names.
    pub(crate) fn load(config: &Config) -> Result<Self, SetupError> {
        let (model, name) = match &config.model {
            ModelChoice::BuiltIn(name) => (Model::built_in(name)?, name.clone()),
            ModelChoice::File(path) => (Model::open(path)?, path.display().to_string()),
        };
        let count = config.threads.unwrap_or_else(fusionproxy::threads);
        let pool = Pool::new(count).map_err(|source| SetupError::Threads { count, source })?;
        let calibration = match &config.calibration {
            None => None,
            Some(path) => {
                let place = || path.display().to_string();
                let text = std::fs::read_to_string(path)
                    .map_err(|source| SetupError::Calibration { path: place(), source })?;
                let parsed = text.parse();
                Some(parsed.map_err(|source| SetupError::CalibrationFile { path: place(), source })?)
            }
        };
        Ok(Self { model, name, pool, calibration })
    }

    /// What a fuser for these cameras is made with.
    pub(crate) fn options(
        &self,
        config: &Config,
        visible: Layout<VisibleFormat>,
        infrared: Layout<InfraredFormat>,
    ) -> Result<FuserOptions, SetupError> {
        let (visible, infrared) = ((visible.width, visible.height), (infrared.width, infrared.height));
        let mut options = FuserOptions::sizes(visible, infrared);
        options.gain = config.gain;
        if let Some(calibration) = &self.calibration {
            let (calibrated, calibrated_visible) = (calibration.infrared(), calibration.visible());
            if !same_shape(calibrated, infrared) || !same_shape(calibrated_visible, visible) {
                return Err(SetupError::OtherRig { calibrated, calibrated_visible, infrared, visible });
            }
            options.warp = Some(Warp::new(&calibration.rescaled(infrared, visible)?));
        }
        Ok(options)
    }

    /// Whether the network runs at these sizes.
    pub(crate) fn check(
        &self,
        config: &Config,
        visible: Layout<VisibleFormat>,
        infrared: Layout<InfraredFormat>,
    ) -> Result<(), SetupError> {
        let artifact = self.artifact()?;
        let mut memory = Memory::default();
        Fuser::new(&artifact, &self.pool, self.options(config, visible, infrared)?, &mut memory)?;
        Ok(())
    }

    /// One line about what would fuse what.
    pub(crate) fn describe(
        &self,
        visible: &Layout<VisibleFormat>,
        infrared: &Layout<InfraredFormat>,
    ) -> String {
        format!(
            "model {} on {}, visible {}x{}, infrared {}x{}, {}",
            self.name,
            fusionproxy::best_backend().name(),
            visible.width,
            visible.height,
            infrared.width,
            infrared.height,
            match &self.calibration {
                Some(c) => format!("calibrated to {:.1} px", c.rms_error_px()),
                None => "not calibrated: the infrared frame is stretched over the visible one".to_owned(),
            }
        )
    }

    /// The network.
    pub(crate) fn artifact(&self) -> Result<Artifact<'_>, SetupError> {
        self.model.artifact().map_err(|e| SetupError::Fuser(e.into()))
    }
}

/// Whether one size is the other scaled, to 2 %: a picture of another shape shows another view.
fn same_shape(a: (usize, usize), b: (usize, usize)) -> bool {
    (a.0 * b.1).abs_diff(a.1 * b.0) * 50 <= a.0 * b.1
}
