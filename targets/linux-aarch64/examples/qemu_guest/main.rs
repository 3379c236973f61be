//! What runs in the emulated machine of the Linux test beside the daemon: it is the hand that plugs cameras in and out,
//! the Lepton behind the simulated buses, and the client that looks at the frames.
//!
//! `cargo xtask daemon qemu` builds it, boots it and judges its last line.
#![forbid(unsafe_code)]

mod client;
mod lepton;
mod machine;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use client::{Frame, frame, metric, mjpeg, status};
use lepton::LeptonOnBus;
use machine::{Daemon, Node};

/// The last line of a run that found nothing wrong.
const PASSED: &str = "guest: all passed";
/// Longest wait for the daemon to notice something, in the machine's time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Wrong in the picture or in the daemon: what was expected, and what was seen.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => {
            println!("{PASSED}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            println!("guest: FAILED: {what}");
            println!("guest: the daemon's last report: {}", status().unwrap_or_else(|e| e));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let vivid = Node::new("/sys/bus/platform/drivers/vivid", "vivid.0");
    let spidev = Node::new("/sys/bus/spi/drivers/spidev", "spi0.0");
    let camera = LeptonOnBus::plug_in()?;
    println!("guest: {}", machine::check_configuration()?.trim_end());
    let daemon = Daemon::start()?;

    wait_for("both cameras", |s| {
        s.contains(r#""infrared":{"state":"ok""#) && s.contains(r#""visible":{"state":"ok""#)
    })?;
    let fused = healthy_frame()?;
    fused.expect_varied()?;
    println!("guest: ok: fused frame {} of {}x{} px", fused.number, fused.width, fused.height);
    stream()?;
    loopback()?;

    // The Lepton is pulled out: its node goes, and its buses are empty.
    camera.pull_out();
    spidev.unbind()?;
    wait_for("the Lepton to be missed", |s| s.contains(r#""infrared":{"state":"absent""#))?;
    wait_for("the reason", |s| s.contains("/dev/spidev0.0 is not there"))?;
    // The report may be newer than the newest frame.
    let visible = frame_after(frame()?.number)?;
    if visible.status >> 6 & 1 != 1 {
        return Err(format!("without a Lepton the status word is {:#x}: bit 6 is not set", visible.status));
    }
    visible.expect_colour()?;
    let later = frame_after(visible.number)?;
    // vivid's picture moves a little by itself; the thermal band must have changed it more.
    let (moved, fused_in) = (later.difference(&visible), fused.difference(&visible));
    println!(
        "guest: ok: frames {} to {} of the visible camera alone; it moves by {moved:.2} levels, the Lepton changed it by \
         {fused_in:.2}",
        visible.number, later.number
    );
    if fused_in < 1.0 + 2.0 * moved {
        return Err("the Lepton changed the picture too little".to_owned());
    }

    // And put back: the camera starts anew and wants to be set up.
    spidev.bind()?;
    let camera = LeptonOnBus::plug_in()?;
    wait_for("the Lepton to come back", |s| s.contains(r#""infrared":{"state":"ok""#))?;
    healthy_frame()?;
    println!("guest: ok: the Lepton is back");

    // Now the visible camera.
    vivid.unbind()?;
    wait_for("the visible camera to be missed", |s| s.contains(r#""visible":{"state":"absent""#))?;
    let thermal = frame_after(frame()?.number)?;
    thermal.expect_warm_body()?;
    println!("guest: ok: frame {} of the Lepton alone shows the warm body", thermal.number);
    vivid.bind()?;
    wait_for("the visible camera to come back", |s| s.contains(r#""visible":{"state":"ok""#))?;
    healthy_frame()?.expect_colour()?;
    println!("guest: ok: the visible camera is back");

    for (name, least) in [
        (r#"fusionproxy_sensor_recoveries_total{band="infrared"}"#, 1.0),
        (r#"fusionproxy_sensor_recoveries_total{band="visible"}"#, 1.0),
        (r#"fusionproxy_sensor_errors_total{band="infrared"}"#, 1.0),
        ("fusionproxy_frames_total", 10.0),
    ] {
        let value = metric(name)?;
        if value < least {
            return Err(format!("metric {name} is {value}, not at least {least}"));
        }
    }
    println!("guest: ok: the metrics have counted it");
    println!("guest: report: {}", status()?);
    camera.pull_out();
    daemon.end()
}

/// Waits until the daemon's report satisfies `is`.
fn wait_for(what: &str, is: impl Fn(&str) -> bool) -> Outcome {
    let start = Instant::now();
    let mut last = String::new();
    while start.elapsed() < PATIENCE {
        if let Ok(report) = status() {
            if is(&report) {
                println!("guest: ok: {what}, after {:.1} s", start.elapsed().as_secs_f64());
                return Ok(());
            }
            last = report;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(format!("waited {} s for {what}; last report: {last}", PATIENCE.as_secs()))
}

/// The next frame of both cameras.
fn healthy_frame() -> Result<Frame, String> {
    let start = Instant::now();
    let mut seen = 0;
    while start.elapsed() < PATIENCE {
        let frame = frame_after(seen)?;
        if frame.status & 0x7f == 0 {
            return Ok(frame);
        }
        seen = frame.number;
    }
    Err("no frame of two healthy cameras".to_owned())
}

/// A frame that is newer than `number`.
fn frame_after(number: u64) -> Result<Frame, String> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let frame = frame()?;
        if frame.number > number {
            return Ok(frame);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(format!("no frame after number {number}"))
}

/// The stream gives one JPEG after another.
fn stream() -> Outcome {
    let numbers = mjpeg(3)?;
    if !numbers.is_sorted_by(|a, b| a < b) {
        return Err(format!("frames of the stream have the numbers {numbers:?}"));
    }
    println!("guest: ok: JPEG stream with frames {numbers:?}");
    Ok(())
}

/// The loopback device gives the fused frames to programs that open it as a camera.
fn loopback() -> Outcome {
    let found = machine::read_camera("/dev/video10", (320, 180), b"RGB3")?;
    let frame = Frame::of_camera((320, 180), found);
    frame.expect_varied()?;
    println!("guest: ok: fused frames in /dev/video10");
    Ok(())
}
