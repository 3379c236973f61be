//! Firmware in emulated boards.

use anyhow::{Context, Result, bail};

use crate::shell::{command, run as shell_run};

/// Builds the Cortex-M7 firmware, runs it in QEMU and holds its frame against the host's golden bytes. That it links at all
/// shows that the runtime needs no allocator.
pub(crate) fn qemu_m7() -> Result<()> {
    let golden = std::fs::read_to_string("tests/conformance/golden.txt").context("cannot read golden.txt")?;
    let expected = golden
        .lines()
        .find_map(|l| l.strip_prefix("nano/nano.int8 120x160 Pattern "))
        .context("golden.txt has no line for the firmware's frame")?;
    let mut build = command(&["cargo", "build", "--release", "--target-dir", "../../target/targets"]);
    build.current_dir("targets/qemu-m7");
    shell_run(build)?;
    let image = "target/targets/thumbv7em-none-eabihf/release/fusionproxy-qemu-m7";
    let words = [
        "qemu-system-arm",
        "-M",
        "mps2-an500",
        "-nographic",
        "-semihosting-config",
        "enable=on,target=native",
    ];
    let mut qemu = command(&words);
    qemu.args(["-icount", "shift=0", "-kernel", image]);
    let output = qemu.output().context("cannot start qemu-system-arm")?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    if !output.status.success() {
        bail!("the firmware failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    let found =
        text.lines().find_map(|l| l.strip_prefix("crc32 ")).context("the firmware printed no checksum")?;
    if found.trim() != expected.trim() {
        bail!("the firmware's frame has checksum {found}, the host's {expected}");
    }
    println!("the firmware's frame is the host's, bit for bit");
    Ok(())
}
