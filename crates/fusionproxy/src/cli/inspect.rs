//! `fusionproxy inspect`

use anyhow::Result;
use fusionproxy_format::Artifact;
use serde::Serialize;

use super::planned::{self, Tables, default_size};
use super::table::{self, Table};
use super::{Size, model};
use crate::best_backend;

/// Show what an artifact holds.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  fusionproxy inspect ultralight\n  fusionproxy inspect net.fpx --operators --json"
)]
pub(crate) struct Args {
    /// An .fpx file, or the name of a built-in model.
    model: String,
    /// Frame size for sizes and multiply-accumulates, HEIGHTxWIDTH in px [default: 480x640, or what the model is pinned to].
    #[arg(long)]
    size: Option<Size>,
    /// List every operator.
    #[arg(long)]
    operators: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    name: String,
    precision: &'static str,
    params: u64,
    macs: u64,
    weights_bytes: usize,
    artifact_bytes: usize,
    height: usize,
    width: usize,
    stride: usize,
    pinned: bool,
    visible_channels: usize,
    fused_channels: usize,
    operators: Vec<Operator>,
}

#[derive(Serialize)]
struct Operator {
    name: String,
    kind: &'static str,
    dtype: &'static str,
    output: [usize; 3],
    macs: u64,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let model = model::open(&args.model)?;
    let artifact = model.artifact()?;
    let report = report(&artifact, args.size.unwrap_or_else(|| default_size(&artifact)))?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    let r = &report;
    println!("{} {}", r.name, r.precision);
    println!("  parameters          {}", r.params);
    println!("  weights             {}", table::bytes(r.weights_bytes as u64));
    println!("  artifact            {}", table::bytes(r.artifact_bytes as u64));
    println!("  frame               {}x{} px{}", r.height, r.width, if r.pinned { ", pinned" } else { "" });
    println!("  stride              {} px", r.stride);
    println!("  visible input       {}", if r.visible_channels == 3 { "RGB" } else { "luma" });
    println!("  fused output        {}", if r.fused_channels == 3 { "RGB" } else { "luma" });
    println!("  multiply-adds       {:.3} G per frame", r.macs as f64 / 1e9);
    println!("  operators           {}", r.operators.len());
    if args.operators {
        let mut t = Table::new(&[">#", "operator", "type", "output", ">M MAC", "ONNX node"]);
        for (i, o) in r.operators.iter().enumerate() {
            let [h, w, c] = o.output;
            let macs = format!("{:.2}", o.macs as f64 / 1e6);
            t.row([
                i.to_string(),
                o.kind.into(),
                o.dtype.into(),
                format!("{h}x{w}x{c}"),
                macs,
                o.name.clone(),
            ]);
        }
        print!("\n{t}");
    }
    Ok(())
}

fn report(artifact: &Artifact<'_>, size: Size) -> Result<Report> {
    let mut tables = Tables::default();
    let plan = tables.plan(artifact, size, 1, best_backend())?;
    let mut operators = Vec::with_capacity(artifact.op_count());
    for i in 0..artifact.op_count() {
        let entry = artifact.op(i)?;
        let shape = planned::shape(&plan, entry.output).map_or([0; 3], |s| [s.height, s.width, s.channels]);
        operators.push(Operator {
            name: entry.name.to_owned(),
            kind: entry.op.kind().name(),
            dtype: artifact.tensor(entry.output)?.dtype.name(),
            output: shape,
            macs: planned::op_macs(&plan, &entry),
        });
    }
    Ok(Report {
        name: artifact.name().to_owned(),
        precision: artifact.precision().name(),
        params: artifact.params(),
        macs: planned::cost(&plan).macs,
        weights_bytes: artifact.data_bytes(),
        artifact_bytes: artifact.bytes(),
        height: size.height,
        width: size.width,
        stride: artifact.stride(),
        pinned: artifact.fixed_size().is_some(),
        visible_channels: artifact.tensor(artifact.visible())?.channels,
        fused_channels: artifact.tensor(artifact.fused())?.channels,
        operators,
    })
}
