//! `fusionproxy compile`

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use fusionproxy_compiler::{
    Options, Precision, RangeMethod, Report, Stage, Verification, compile, constants,
};
use fusionproxy_kernels::{Backend, Scalar, arm};

use super::table::{self, Table};
use super::{Size, pairs, write};

/// Compile an ONNX fusion network to an .fpx artifact.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  fusionproxy compile net.onnx --precision int8 --calibrate pairs/ -o net.fpx
  fusionproxy compile net.onnx --precision fp16 -o net.fp16.fpx
  fusionproxy compile net.onnx --calibrate pairs/ --target-psnr 45 -o net.fpx
  fusionproxy compile net.onnx --calibrate pairs/ --size 120x160 --emit-rust model.rs --kernels dsp -o net.fpx

--calibrate takes a folder with vis/ and ir/, paired by file name: a few dozen pairs like those the network will see, of
every kind of scene and weather: what is brighter or darker than all of them is cut off. The
artifact is then run against the f32 network on the same pairs, and the report says how close it comes.")]
pub(crate) struct Args {
    /// ONNX network: two image inputs, one image output.
    onnx: PathBuf,
    /// Artifact to write.
    #[arg(short, long)]
    output: PathBuf,
    /// Precision.
    #[arg(long, value_enum, default_value_t = PrecisionArg::Int8)]
    precision: PrecisionArg,
    /// Folder with vis/ and ir/ of calibration pairs; needed for int8; may be repeated.
    #[arg(long, value_name = "DIR")]
    calibrate: Vec<PathBuf>,
    /// Calibration pairs to use of each folder, spread evenly over it.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pairs: u16,
    /// How the range of an 8-bit tensor is chosen.
    #[arg(long, value_enum, default_value_t = RangeArg::Auto)]
    range: RangeArg,
    /// Name of the visible input [default: vis, or a guess].
    #[arg(long)]
    vis_input: Option<String>,
    /// Name of the infrared input [default: ir, or a guess].
    #[arg(long)]
    ir_input: Option<String>,
    /// Name of the fused output [default: fused, or the only one].
    #[arg(long)]
    fused_output: Option<String>,
    /// ONNX node to keep at half precision; * matches any characters; may be repeated.
    #[arg(long, value_name = "NODE")]
    keep_fp16: Vec<String>,
    /// Keep as many operators at half precision as it takes to come this close to f32, in dB.
    #[arg(long, value_name = "DB")]
    target_psnr: Option<f64>,
    /// Frame size for networks that leave it open, and for --emit-rust, HEIGHTxWIDTH in px.
    #[arg(long)]
    size: Option<Size>,
    /// Write sizes and the operator list as Rust constants for firmware; needs --size.
    #[arg(long, value_name = "FILE", requires = "size")]
    emit_rust: Option<PathBuf>,
    /// Kernels that the firmware of --emit-rust runs, whose scratch is part of the arena.
    #[arg(long, value_enum, default_value_t = KernelsArg::Scalar, requires = "emit_rust")]
    kernels: KernelsArg,
    /// Name stored in the artifact [default: the ONNX file's].
    #[arg(long)]
    name: Option<String>,
    /// Do not run the artifact against the f32 network.
    #[arg(long)]
    skip_verify: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionArg {
    /// 8-bit activations and weights.
    Int8,
    /// Half precision.
    Fp16,
    /// 32-bit floats.
    F32,
}

#[derive(Clone, Copy, ValueEnum)]
enum RangeArg {
    /// Per tensor the method with the least squared error.
    Auto,
    /// Smallest and largest value.
    Minmax,
    /// All but the outermost values.
    Percentile,
    /// Least squared error.
    Mse,
    /// Least divergence of the histogram.
    Kl,
}

#[derive(Clone, Copy, ValueEnum)]
enum KernelsArg {
    /// Portable ones.
    Scalar,
    /// Of Cortex-M4, M7 and M33.
    Dsp,
    /// Of Cortex-M55 and M85.
    Helium,
}

impl KernelsArg {
    fn backend(self) -> &'static dyn Backend {
        match self {
            Self::Scalar => &Scalar::ALL,
            Self::Dsp => &arm::Dsp::<{ u32::MAX }>,
            Self::Helium => &arm::Helium::<{ u32::MAX }>,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    args.emit_rust.iter().chain([&args.output]).try_for_each(|path| write::expect_folder(path))?;
    let mut pairs = Vec::new();
    for folder in &args.calibrate {
        pairs.extend(pairs::load("--calibrate", folder, usize::from(args.pairs), args.json)?);
    }
    let options = Options {
        precision: match args.precision {
            PrecisionArg::Int8 => Precision::Int8,
            PrecisionArg::Fp16 => Precision::Fp16,
            PrecisionArg::F32 => Precision::F32,
        },
        visible: args.vis_input.clone(),
        infrared: args.ir_input.clone(),
        output: args.fused_output.clone(),
        name: args.name.clone(),
        range: match args.range {
            RangeArg::Auto => RangeMethod::Auto,
            RangeArg::Minmax => RangeMethod::MinMax,
            RangeArg::Percentile => RangeMethod::Percentile,
            RangeArg::Mse => RangeMethod::Mse,
            RangeArg::Kl => RangeMethod::Kl,
        },
        keep_fp16: args.keep_fp16.clone(),
        target_psnr: args.target_psnr,
        size: args.size.map(|s| (s.height, s.width)),
        skip_verify: args.skip_verify,
    };
    let bar = pairs::progress_bar(args.json)?;
    let mut current = None;
    let compiled = compile(&args.onnx, &options, &pairs, &mut |stage, done, all| {
        if current != Some(stage) {
            current = Some(stage);
            bar.set_message(match stage {
                Stage::Import => "reading the network",
                Stage::Observe => "observing ranges",
                Stage::Calibrate => "calibrating",
                Stage::Reference => "running the f32 network",
                Stage::Verify => "running the artifact",
                _ => "working",
            });
        }
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    write::file(&args.output, &compiled.artifact)?;
    if let (Some(path), Some(size)) = (&args.emit_rust, args.size) {
        let backend = args.kernels.backend();
        let rust = constants(&compiled.artifact, size.height, size.width, 1, backend)?;
        write::file(path, rust.source.as_bytes())?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&compiled.report)?);
    } else {
        print(&compiled.report, &args.output);
    }
    Ok(())
}

fn print(r: &Report, path: &Path) {
    println!("{}: {} {:?}, {}", path.display(), r.name, r.precision, table::bytes(r.artifact_bytes as u64));
    println!(
        "  visible {} ({} channels), infrared {}, fused {}",
        r.visible.0, r.visible.1, r.infrared.0, r.fused
    );
    for guess in &r.guesses {
        println!("  guessed: {guess}");
    }
    match (r.fixed_size, &r.fixed_reason) {
        (Some((h, w)), Some(why)) => println!("  runs at {h}x{w} px only: {why}"),
        (Some((h, w)), None) => println!("  runs at {h}x{w} px only"),
        _ => println!("  runs at any size, padded to multiples of {} px", r.stride),
    }
    if !r.half_precision.is_empty() {
        println!("  {} operators kept at half precision", r.half_precision.len());
    }
    if let Some(v) = &r.verification {
        verification(v);
    }
}

fn verification(v: &Verification) {
    println!("  against f32 on {} pairs:", v.pairs);
    println!("    PSNR {:.2} dB mean, {:.2} dB worst ({})", v.psnr_mean, v.psnr_min, v.worst_pair);
    println!("    SSIM {:.4} mean, {:.4} worst", v.ssim_mean, v.ssim_min);
    if !v.worst_layers.is_empty() {
        let mut t = Table::new(&["    worst layers", "operator", "type", ">SQNR dB", ">lost dB"]);
        for l in &v.worst_layers {
            let numbers = [l.sqnr_db, l.loss_db].map(|n| format!("{n:.1}"));
            t.row([format!("    {}", l.node), l.op.clone(), l.dtype.clone()].into_iter().chain(numbers));
        }
        print!("{t}");
    }
    for s in &v.suggestions {
        println!("    try: {s}");
    }
}
