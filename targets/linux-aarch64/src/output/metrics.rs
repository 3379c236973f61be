//! The report in Prometheus' text format.

use std::fmt::{Display, Write};

use crate::report::{Report, SensorReport};

/// What a metric of the sensors is called, its type, its help, and where it is.
type SensorMetric = (&'static str, &'static str, &'static str, fn(&SensorReport) -> f64);

const SENSOR_METRICS: [SensorMetric; 8] = [
    ("up", "gauge", "1 while the sensor delivers fresh frames", |s| f64::from(u8::from(s.state == "ok"))),
    ("frame_age_seconds", "gauge", "Age of the newest good frame, at most 4.095", |s| {
        f64::from(s.age_ms) / 1e3
    }),
    ("frames_total", "counter", "Frames delivered", |s| f64::from(s.frames)),
    ("lost_frames_total", "counter", "Frames missing by their numbers", |s| f64::from(s.lost)),
    ("correction_frames_total", "counter", "Frames of a closed shutter (FFC)", |s| f64::from(s.ffc)),
    ("errors_total", "counter", "Errors", |s| f64::from(s.errors)),
    ("frozen_total", "counter", "Times that the picture stood still", |s| f64::from(s.frozen)),
    ("recoveries_total", "counter", "Times that the sensor came back", |s| f64::from(s.recovered)),
];

/// All metrics.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::with_capacity(4096);
    metric(&mut text, "frames_total", "counter", "Frames published", &report.frames);
    metric(&mut text, "failed_frames_total", "counter", "Frames that could not be fused", &report.failed);
    metric(&mut text, "fuse_seconds_total", "counter", "Time spent fusing", &report.fuse_seconds);
    metric(&mut text, "status_word", "gauge", "Status word of the newest frame", &report.status);
    for (name, kind, help, value) in SENSOR_METRICS {
        let name = format!("sensor_{name}");
        head(&mut text, &name, kind, help);
        for (band, sensor) in [("visible", &report.visible), ("infrared", &report.infrared)] {
            line(&mut text, &name, &format!("{{band=\"{band}\"}}"), &value(sensor));
        }
    }
    let labels = format!(
        "{{version=\"{}\",model=\"{}\",backend=\"{}\"}}",
        report.version,
        report.model.replace('\\', "\\\\").replace('"', "\\\""),
        report.backend
    );
    head(&mut text, "info", "gauge", "What runs");
    line(&mut text, "info", &labels, &1);
    text
}

fn metric(text: &mut String, name: &str, kind: &str, help: &str, value: &dyn Display) {
    head(text, name, kind, help);
    line(text, name, "", value);
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    // A String takes every write.
    let _ = writeln!(text, "# HELP fusionproxy_{name} {help}.\n# TYPE fusionproxy_{name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: &dyn Display) {
    let _ = writeln!(text, "fusionproxy_{name}{labels} {value}");
}
