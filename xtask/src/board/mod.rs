//! `cargo xtask board`: every target, how far it is proven, and those that run in an emulator.

mod built;
mod elf;
mod emulated;
mod parts;

use anyhow::{Context, Result, bail};
pub(crate) use built::Built;
use emulated::Emulated;

use crate::daemon;

/// Where the targets are built, apart from the workspace.
const TARGET_DIR: &str = "../../target/targets";

/// Which board, or a list of all.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder under targets/; see --list.
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// List all boards with their state instead.
    #[arg(long)]
    list: bool,
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
}

/// How far a board is proven.
#[derive(Clone, Copy)]
enum State {
    /// The whole loop runs in continuous integration, in an emulator.
    Runs,
    /// It is built in continuous integration.
    Builds,
}

impl State {
    fn words(self) -> &'static str {
        match self {
            Self::Runs => "runs in CI (QEMU, simulated sensors); tried on hardware: none yet",
            Self::Builds => "builds in CI, fits the part that probe-rs knows; tried on hardware: none yet",
        }
    }
}

/// One target.
struct Board {
    /// Folder under `targets/`.
    name: &'static str,
    /// What it is.
    part: &'static str,
    state: State,
    /// Builds it, and runs it where it runs. The flag asks for JSON.
    run: fn(bool) -> Result<()>,
}

const QEMU_M7: Emulated = Emulated {
    name: "qemu-m7",
    machine: "mps2-an500",
    target: "thumbv7em-none-eabihf",
    instructions: 50_000_000,
};

const QEMU_M55: Emulated = Emulated {
    name: "qemu-m55",
    machine: "mps3-an547",
    target: "thumbv8m.main-none-eabihf",
    instructions: 12_000_000,
};

const NUCLEO: Built = Built { name: "nucleo-h743zi2", chip: "STM32H743ZITx", family: "STM32H7_Series.yaml" };

const DISCO: Built = Built { name: "stm32h747i-disco", chip: "STM32H747XIHx", family: "STM32H7_Series.yaml" };

/// The daemon's package, and the daemon in an emulated machine.
fn linux(json: bool) -> Result<()> {
    daemon::run(&daemon::Action::Deb)?;
    daemon::run(&daemon::Action::Qemu)?;
    if json {
        println!("{{\"board\":\"linux-aarch64\",\"passed\":true}}");
    }
    Ok(())
}

/// Every target. A new one is one more entry.
const BOARDS: &[Board] = &[
    Board {
        name: QEMU_M7.name,
        part: "Cortex-M7, 1 MiB flash, 512 KiB RAM",
        state: State::Runs,
        run: |json| emulated::run(&QEMU_M7, json),
    },
    Board {
        name: QEMU_M55.name,
        part: "Cortex-M55 with Helium, 512 KiB ITCM, 512 KiB DTCM",
        state: State::Runs,
        run: |json| emulated::run(&QEMU_M55, json),
    },
    Board {
        name: NUCLEO.name,
        part: "STM32H743ZI: ArduCAM-Mini, Lepton 2, USB",
        state: State::Builds,
        run: |json| built::run(&NUCLEO, json),
    },
    Board {
        name: DISCO.name,
        part: "STM32H747XI: OV5640 by DCMI, Lepton 2, USB",
        state: State::Builds,
        run: |json| built::run(&DISCO, json),
    },
    Board {
        name: "linux-aarch64",
        part: "any 64-bit Arm Linux: V4L2, spidev and i2c, .deb",
        state: State::Runs,
        run: linux,
    },
];

/// Lists the boards or runs one.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.list {
        for b in BOARDS {
            println!("{:<16} {:<52} {}", b.name, b.part, b.state.words());
        }
        if args.json {
            let rows: Vec<String> = BOARDS
                .iter()
                .map(|b| {
                    format!(
                        "{{\"name\":\"{}\",\"part\":\"{}\",\"state\":\"{}\"}}",
                        b.name,
                        b.part,
                        b.state.words()
                    )
                })
                .collect();
            println!("[{}]", rows.join(","));
        }
        return Ok(());
    }
    let name = args.name.as_deref().unwrap_or_default();
    let Some(board) = BOARDS.iter().find(|b| b.name == name) else {
        let names: Vec<&str> = BOARDS.iter().map(|b| b.name).collect();
        bail!("no board `{name}`; there are: {}", names.join(", "));
    };
    (board.run)(args.json)
}

/// The board `name` that is flashed through a debug probe.
///
/// # Errors
/// There is none.
pub(crate) fn flashed(name: &str) -> Result<&'static Built> {
    let boards = [&NUCLEO, &DISCO];
    boards.into_iter().find(|b| b.name == name).with_context(|| {
        format!("no board `{name}` has a debug probe; there are: {}", boards.map(|b| b.name).join(", "))
    })
}

/// Runs every board that an emulator runs, and builds the others.
pub(crate) fn run_all() -> Result<()> {
    BOARDS.iter().try_for_each(|b| (b.run)(false))
}
