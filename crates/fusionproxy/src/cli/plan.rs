//! `fusionproxy plan`

use anyhow::Result;
use fusionproxy_core::plan::{Buffer, Plan};
use serde::Serialize;

use super::planned::{Tables, default_size};
use super::table::{self, Table};
use super::{Size, model};
use crate::best_backend;

/// Columns and rows of the drawn map.
const COLUMNS: usize = 100;
const ROWS: usize = 24;

/// Show the arena: what lies where, and when.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  fusionproxy plan ultralight --size 480x640\n  fusionproxy plan net.fpx --json"
)]
pub(crate) struct Args {
    /// An .fpx file, or the name of a built-in model.
    model: String,
    /// Frame size, HEIGHTxWIDTH in px [default: 480x640, or what the model is pinned to].
    #[arg(long)]
    size: Option<Size>,
    /// Threads that the arena holds scratch for.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    height: usize,
    width: usize,
    threads: u16,
    backend: &'static str,
    arena_bytes: usize,
    activation_bytes: usize,
    scratch_bytes: usize,
    lower_bound_bytes: u64,
    unshared_bound_bytes: u64,
    peak_operator: String,
    buffers: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    tensor: String,
    offset: usize,
    bytes: usize,
    first_operator: usize,
    last_operator: usize,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let model = model::open(&args.model)?;
    let artifact = model.artifact()?;
    let size = args.size.unwrap_or_else(|| default_size(&artifact));
    let backend = best_backend();
    let mut tables = Tables::default();
    let plan = tables.plan(&artifact, size, usize::from(args.threads), backend)?;
    let peak = artifact.op(plan.peak())?.name.to_owned();
    let mut buffers: Vec<Buffer> = plan.buffers().collect();
    buffers.sort_by_key(|b| (b.first, b.offset));
    if args.json {
        let row = |b: &Buffer| Row {
            tensor: artifact.tensor(b.tensor).map_or_else(|_| String::new(), |t| t.name.to_owned()),
            offset: b.offset,
            bytes: b.bytes,
            first_operator: b.first,
            last_operator: b.last,
        };
        let report = Report {
            height: size.height,
            width: size.width,
            threads: args.threads,
            backend: backend.name(),
            arena_bytes: plan.arena_bytes(),
            activation_bytes: plan.activation_bytes(),
            scratch_bytes: plan.scratch_bytes(),
            lower_bound_bytes: plan.lower_bound_bytes(),
            unshared_bound_bytes: plan.unshared_bound_bytes(),
            peak_operator: peak,
            buffers: buffers.iter().map(row).collect(),
        };
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    let ratio = plan.activation_bytes() as f64 / plan.lower_bound_bytes().max(1) as f64;
    println!(
        "{} {} at {size} px, {} kernels, {} thread(s)",
        artifact.name(),
        artifact.precision().name(),
        backend.name(),
        args.threads
    );
    println!("  arena          {:>10}", table::bytes(plan.arena_bytes() as u64));
    println!(
        "  activations    {:>10}, {ratio:.3} of the lower bound",
        table::bytes(plan.activation_bytes() as u64)
    );
    println!("  scratch        {:>10}", table::bytes(plan.scratch_bytes() as u64));
    println!("  lower bound    {:>10}, reached at `{peak}`", table::bytes(plan.lower_bound_bytes()));
    println!("  without sharing{:>10}\n", table::bytes(plan.unshared_bound_bytes()));
    print!("{}", map(&plan, &buffers));
    let mut t = Table::new(&["", ">offset", ">bytes", ">from op", ">to op", "tensor"]);
    for (i, b) in buffers.iter().enumerate() {
        let name = artifact.tensor(b.tensor).map_or("", |t| t.name);
        let numbers = [b.offset, b.bytes, b.first, b.last].map(|n| n.to_string());
        t.row([letter(i).to_string()].into_iter().chain(numbers).chain([name.to_owned()]));
    }
    print!("\n{t}");
    Ok(())
}

/// Letters for buffers, reused after 62.
fn letter(i: usize) -> char {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char::from(LETTERS[i % LETTERS.len()])
}

/// The arena over the operators: time to the right, addresses downwards, a letter where a buffer is alive.
fn map(plan: &Plan<'_, '_>, buffers: &[Buffer]) -> String {
    let ops = plan.steps().len();
    let columns = ops.min(COLUMNS);
    let total = plan.activation_bytes().max(1);
    let mut text =
        format!("operators 0 to {} to the right, addresses 0 to {total} downwards\n", ops.saturating_sub(1));
    for row in 0..ROWS {
        let address = (total * (2 * row + 1)) / (2 * ROWS);
        let line: String = (0..columns)
            .map(|column| {
                let op = ops * column / columns;
                let alive = |b: &Buffer| {
                    (b.first..=b.last).contains(&op) && (b.offset..b.offset + b.bytes).contains(&address)
                };
                buffers.iter().position(alive).map_or('.', letter)
            })
            .collect();
        text += &format!("  |{line}|\n");
    }
    text
}
