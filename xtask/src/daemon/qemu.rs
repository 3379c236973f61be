//! The daemon in a real kernel: Debian's, emulated, with the camera node of vivid and a simulated Lepton behind real
//! `/dev/spidev0.0` and `/dev/i2c-0`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use super::initrd::Archive;
use super::{build, kernel};
use crate::shell::{command, run as shell_run, succeeds};

/// Programs that this test needs, and their Debian packages.
const PROGRAMS: [(&[&str], &str); 4] = [
    (&["qemu-system-aarch64", "--version"], "qemu-system-arm"),
    (&["aarch64-linux-gnu-gcc", "--version"], "gcc-aarch64-linux-gnu"),
    (&["modprobe", "--version"], "kmod"),
    (&["make", "--version"], "make"),
];
/// Modules beside their dependencies, with options.
const MODULES: [(&str, &str); 5] = [
    ("vivid", "n_devs=1 node_types=0x1"),
    ("i2c-dev", ""),
    ("spidev", ""),
    ("simbus", ""),
    ("v4l2loopback", "video_nr=10"),
];
const SOURCES: &str = "targets/linux-aarch64/qemu";
/// The last line of a run without faults.
const PASSED: &str = "guest: all passed";
/// Longest run, s of this machine.
const LIMIT: &str = "600";

/// Boots and judges.
pub(super) fn test() -> Result<()> {
    install_programs()?;
    let kernel = kernel::fetch()?;
    let daemon = build("--bin", "fusionproxyd")?;
    let guest = build("--example", "qemu_guest")?;
    kernel.build_module(&Path::new(SOURCES).join("simbus"), "simbus")?;
    kernel.build_module(&kernel.module_source("v4l2loopback-")?, "v4l2loopback")?;

    let mut archive = Archive::new(&["bin", "dev", "etc", "modules", "proc", "sys", "tmp"]);
    archive.file("init", &Path::new(SOURCES).join("init"))?;
    archive.file("bin/busybox", &kernel.busybox())?;
    archive.file("bin/fusionproxyd", Path::new(&daemon))?;
    archive.file("bin/qemu_guest", Path::new(&guest))?;
    archive.file("etc/fusionproxyd.toml", &Path::new(SOURCES).join("fusionproxyd.toml"))?;
    archive.file("etc/nano.fpx", Path::new("models/nano/nano.int8.fpx"))?;
    let mut order = String::new();
    for path in kernel.modules(&MODULES.map(|(name, _)| name))? {
        let file = path.file_name().and_then(|n| n.to_str()).context("a module without a name")?;
        let module = file.trim_end_matches(".ko");
        let options = MODULES.iter().find(|(name, _)| *name == module).map_or("", |(_, options)| options);
        order += &format!("{file} {options}\n");
        archive.file(&format!("modules/{file}"), &path)?;
    }
    archive.text("modules/order", &order);
    let initrd = Path::new("target/linux-qemu/initrd");
    archive.write(initrd)?;
    boot(&kernel.image(), initrd)
}

fn install_programs() -> Result<()> {
    let missing: Vec<&str> =
        PROGRAMS.into_iter().filter(|(words, _)| !succeeds(words)).map(|(_, package)| package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing Debian packages: {}", missing.join(" "));
    shell_run(command(&["apt-get", "update", "-q"]))?;
    let mut install = command(&["apt-get", "install", "-y", "-q", "--no-install-recommends"]);
    install.args(&missing);
    shell_run(install)
}

/// Runs the machine, shows what its console says, and looks for the verdict.
fn boot(image: &Path, initrd: &Path) -> Result<()> {
    let mut qemu = command(&["timeout", LIMIT, "qemu-system-aarch64"]);
    qemu.args(["-M", "virt", "-cpu", "cortex-a76", "-m", "1024", "-nographic", "-nic", "none", "-no-reboot"]);
    // The machine lives in a time of its own, one instruction a nanosecond: however busy this machine is, no camera
    // there is read too late. Its idle time is skipped.
    qemu.args(["-icount", "shift=0,sleep=off"]);
    qemu.arg("-kernel").arg(image).arg("-initrd").arg(initrd);
    qemu.args(["-append", "console=ttyAMA0 quiet panic=-1"]);
    qemu.stdin(Stdio::null()).stdout(Stdio::piped());
    println!("$ {qemu:?}");
    let mut machine = qemu.spawn().context("cannot start qemu-system-aarch64")?;
    let console = machine.stdout.take().context("no console")?;
    let mut passed = false;
    for line in BufReader::new(console).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        println!("  {line}");
        passed |= line == PASSED;
    }
    let end = machine.wait()?;
    if !end.success() {
        bail!("the emulated machine did not end by itself ({end}; the limit is {LIMIT} s)");
    }
    if !passed {
        bail!("the daemon did not pass in the emulated machine: see its console above");
    }
    Ok(())
}
