//! `fusionproxyd`: fuses a visible and a thermal camera of a Linux board and serves the frames.
#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("fusionproxyd reads V4L2, spidev and i2c-dev nodes: it runs on Linux only");

mod clock;
mod config;
mod equipment;
mod fusion;
mod log;
mod output;
mod picture;
mod report;
mod service;
mod source;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use config::{Config, ConfigError};
use equipment::{Equipment, SetupError};
use fusion::Sensors;
use fusionproxy_board::rig::Policy;
use fusionproxy_board::source::Layout;
use fusionproxy_core::frame::{InfraredFormat, VisibleFormat};
use output::FolderError;
use output::http::{HttpError, Server};
use output::pairs::Recorder;
use picture::Hub;
use report::Board;
use source::{Bell, FilesError, Sensor};

/// Fuses a visible and a thermal camera and serves the frames.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  \
        fusionproxyd --check /etc/fusionproxy/fusionproxyd.toml   is everything in order?\n  \
        fusionproxyd /etc/fusionproxy/fusionproxyd.toml           run; the preview is at http://127.0.0.1:8437/\n\n\
        The README of the package lists every key of the configuration."
)]
struct Args {
    /// Configuration file.
    #[arg(default_value = "/etc/fusionproxy/fusionproxyd.toml")]
    config: PathBuf,
    /// Check the configuration, the files that it names and the cameras, and say what is wrong; fuse nothing.
    #[arg(long)]
    check: bool,
}

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{}: {source}", .path.display())]
    Setup { path: PathBuf, source: SetupError },
    #[error("{}: [{section}] `path`: {source}", .path.display())]
    Files { path: PathBuf, section: &'static str, source: FilesError },
    #[error("{}: {source}", .path.display())]
    Http { path: PathBuf, source: HttpError },
    #[error("{}: {source}", .path.display())]
    Folder { path: PathBuf, source: FolderError },
    #[error("cannot start threads or watch signals: {0}")]
    System(#[from] std::io::Error),
}

/// `EX_CONFIG` of sysexits.h: starting again would not help, and the unit does not try.
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let args = Args::parse();
    let end = if args.check { check(&args.config) } else { run(&args.config) };
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            log::error(format_args!("{e}"));
            match e {
                StartError::Config(_) | StartError::Setup { .. } | StartError::Files { .. } => {
                    ExitCode::from(EXIT_CONFIG)
                }
                StartError::Http { .. } | StartError::Folder { .. } | StartError::System(_) => {
                    ExitCode::FAILURE
                }
            }
        }
    }
}

/// What both ways of starting load.
struct Loaded {
    config: Config,
    equipment: Equipment,
    visible: Box<dyn Sensor<Format = VisibleFormat>>,
    infrared: Box<dyn Sensor<Format = InfraredFormat>>,
}

impl Loaded {
    fn new(path: &Path) -> Result<Self, StartError> {
        let config = Config::read(path)?;
        let setup = |source| StartError::Setup { path: path.to_path_buf(), source };
        let files = |section| move |source| StartError::Files { path: path.to_path_buf(), section, source };
        let visible = source::visible(&config.visible).map_err(files("visible"))?;
        let infrared = source::infrared(&config.infrared).map_err(files("infrared"))?;
        let equipment = Equipment::load(&config).map_err(setup)?;
        equipment.check(&config, visible.layout(), infrared.layout()).map_err(setup)?;
        Ok(Self { config, equipment, visible, infrared })
    }
}

/// Starts everything and fuses until a signal comes.
fn run(path: &Path) -> Result<(), StartError> {
    let stop = service::stop_flag()?;
    let Loaded { mut config, equipment, visible, infrared } = Loaded::new(path)?;
    let (hub, board, bell) =
        (Arc::new(Hub::default()), Arc::new(Board::default()), Arc::new(Bell::default()));
    let Layout { width, height, .. } = visible.layout();
    let policy =
        Policy { visible: visible.watch(), infrared: infrared.watch(), tolerance_us: config.tolerance_us };
    if let Some(address) = config.http {
        let server =
            Server::bind(address).map_err(|source| StartError::Http { path: path.to_path_buf(), source })?;
        log::info(format_args!("preview at http://{}/", server.address()));
        server.start(Arc::clone(&hub), Arc::clone(&board))?;
    }
    if let Some(frames) = config.frames.take() {
        output::frames::start(frames, Arc::clone(&hub))
            .map_err(|source| StartError::Folder { path: path.to_path_buf(), source })?;
    }
    if let Some(device) = config.loopback.take() {
        output::loopback::start(device, (width, height), Arc::clone(&hub))?;
    }
    let recorder = config.pairs.as_ref().map(|pairs| Recorder::start(pairs, config.tolerance_us)).transpose();
    let recorder = recorder.map_err(|source| StartError::Folder { path: path.to_path_buf(), source })?;
    let sensors = Sensors {
        visible: source::start("visible", visible, Arc::clone(&bell), Arc::clone(&stop))?,
        infrared: source::start("infrared", infrared, Arc::clone(&bell), Arc::clone(&stop))?,
        policy,
    };
    service::ready();
    let end = fusion::run(&equipment, &config, sensors, recorder, (&hub, &board), &bell, &stop);
    service::stopping();
    end.map_err(|source| StartError::Setup { path: path.to_path_buf(), source })
}

/// Says what is in order and what is not. A camera that is not there is no error: the daemon would wait for it. Neither is
/// one that is in use, nor the port: a configuration is checked while the daemon runs, to be started again with it.
fn check(path: &Path) -> Result<(), StartError> {
    let Loaded { config, equipment, visible, infrared } = Loaded::new(path)?;
    println!("ok       configuration {}", path.display());
    println!("ok       {}", equipment.describe(&visible.layout(), &infrared.layout()));
    for (name, outcome) in [("visible", visible.open().map(drop)), ("infrared", infrared.open().map(drop))] {
        match outcome {
            Ok(()) => println!("ok       {name} camera"),
            Err(e) if e.is_busy() => println!("busy     {name} camera {BY_US}: {e}"),
            Err(e) => println!("waiting  {name} camera: {e}"),
        }
    }
    if let Some(address) = config.http {
        match Server::bind(address) {
            Ok(_) => println!("ok       preview at http://{address}/"),
            Err(e) if e.is_busy() => println!("busy     preview {BY_US}: {e}"),
            Err(source) => return Err(StartError::Http { path: path.to_path_buf(), source }),
        }
    }
    Ok(())
}

/// Why something is busy when all is well.
const BY_US: &str = "(is fusionproxyd running?)";
