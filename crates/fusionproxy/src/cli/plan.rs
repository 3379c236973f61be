//! `fusionproxy plan`

use anyhow::{Result, bail};
use fusionproxy_core::plan::{Buffer, Plan, PlanOptions, Schedule};
use serde::Serialize;

use super::planned::{Tables, default_size};
use super::table::{self, Table};
use super::{ByteCount, Size, model};
use crate::best_backend;

/// Columns and rows of the drawn map.
const COLUMNS: usize = 100;
const ROWS: usize = 24;

/// Show the arena: what lies where, and when.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  fusionproxy plan ultralight --size 480x640\n  fusionproxy plan ultralight --arena 3MiB\n  fusionproxy plan net.fpx --json"
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
    /// Stay within so many bytes (3MiB, 512KiB): operators then run twice rather than keep what they computed.
    #[arg(long, value_name = "BYTES")]
    arena: Option<ByteCount>,
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
    /// Operators that run twice, so that less has to be kept.
    repeated_operators: usize,
    activation_bytes: usize,
    kept_bytes: usize,
    ring_bytes_per_worker: usize,
    scratch_bytes: usize,
    lower_bound_bytes: u64,
    unshared_bound_bytes: u64,
    peak_operator: String,
    chains: Vec<ChainRow>,
    buffers: Vec<Row>,
}

/// Operators that run depth-first, strip by strip.
#[derive(Serialize)]
struct ChainRow {
    first_step: usize,
    last_step: usize,
    strips: u32,
}

#[derive(Serialize)]
struct Row {
    tensor: String,
    offset: usize,
    bytes: usize,
    /// Rows of a ring, of which every worker has its own; none where all rows are kept.
    ring_rows: Option<usize>,
    first_step: usize,
    last_step: usize,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let model = model::open(&args.model)?;
    let artifact = model.artifact()?;
    let size = args.size.unwrap_or_else(|| default_size(&artifact));
    let backend = best_backend();
    let mut tables = Tables::default();
    let mut options = PlanOptions { workers: usize::from(args.threads), ..PlanOptions::default() };
    if let (Some(arena), Schedule::Strips { cache }) = (args.arena, options.schedule) {
        options.schedule = Schedule::Within { cache, arena: arena.0 };
    }
    let plan = tables.plan_with(&artifact, size, options, backend)?;
    let least = plan.arena_bytes();
    if let Some(arena) = args.arena.filter(|a| a.0 < least) {
        bail!(
            "{} cannot run {size} px in {} bytes: the least is {least}; ask for that, or for a smaller frame",
            artifact.name(),
            arena.0
        );
    }
    let repeated = plan.steps().iter().filter(|s| s.is_repeated()).count();
    let name = |b: &Buffer| artifact.tensor(plan.origin(b.tensor)).map_or("", |t| t.name);
    let peak = plan.steps().get(plan.peak()).and_then(|s| s.entry()).map_or("", |e| e.name).to_owned();
    let mut buffers: Vec<Buffer> = plan.buffers().collect();
    buffers.sort_by_key(|b| (b.first, b.offset));
    if args.json {
        let row = |b: &Buffer| Row {
            tensor: name(b).to_owned(),
            offset: b.offset,
            bytes: b.bytes,
            first_step: b.first,
            last_step: b.last,
            ring_rows: b.rows,
        };
        let report = Report {
            height: size.height,
            width: size.width,
            threads: args.threads,
            backend: backend.name(),
            arena_bytes: plan.arena_bytes(),
            repeated_operators: repeated,
            activation_bytes: plan.activation_bytes(),
            kept_bytes: plan.kept_bytes(),
            ring_bytes_per_worker: plan.ring_bytes(),
            scratch_bytes: plan.scratch_bytes(),
            lower_bound_bytes: plan.lower_bound_bytes(),
            unshared_bound_bytes: plan.unshared_bound_bytes(),
            peak_operator: peak,
            chains: chains(&plan),
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
    if repeated > 0 {
        println!("  run twice      {repeated:>10} of {} operators", artifact.op_count());
    }
    println!(
        "  activations    {:>10}, {ratio:.3} of the lower bound",
        table::bytes(plan.activation_bytes() as u64)
    );
    println!("    kept         {:>10}", table::bytes(plan.kept_bytes() as u64));
    println!("    rings        {:>10} a worker", table::bytes(plan.ring_bytes() as u64));
    println!("  scratch        {:>10}", table::bytes(plan.scratch_bytes() as u64));
    println!("  lower bound    {:>10}, reached at `{peak}`", table::bytes(plan.lower_bound_bytes()));
    println!("  without sharing{:>10}\n", table::bytes(plan.unshared_bound_bytes()));
    print!("{}", map(&plan, &buffers));
    let mut t = Table::new(&["", ">offset", ">bytes", ">ring rows", ">from step", ">to step", "tensor"]);
    for (i, b) in buffers.iter().enumerate() {
        let rows = b.rows.map_or_else(String::new, |n| n.to_string());
        let [offset, bytes, first, last] = [b.offset, b.bytes, b.first, b.last].map(|n| n.to_string());
        t.row([letter(i).to_string(), offset, bytes, rows, first, last, name(b).to_owned()]);
    }
    print!("\n{t}");
    Ok(())
}

/// The plan's chains.
fn chains(plan: &Plan<'_, '_>) -> Vec<ChainRow> {
    let mut rows = Vec::new();
    let mut next = 0;
    while let Some(step) = plan.steps().get(next) {
        let group = step.group();
        if let Some(chain) = step.chain() {
            rows.push(ChainRow { first_step: group.start, last_step: group.end - 1, strips: chain.strips });
        }
        next = group.end;
    }
    rows
}

/// Letters for buffers and chains, reused after 62.
pub(super) fn letter(i: usize) -> char {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char::from(LETTERS[i % LETTERS.len()])
}

/// The arena over the operators: time to the right, addresses downwards, a letter where a buffer is alive.
fn map(plan: &Plan<'_, '_>, buffers: &[Buffer]) -> String {
    let ops = plan.steps().len();
    let columns = ops.min(COLUMNS);
    let total = (plan.kept_bytes() + plan.ring_bytes()).max(1);
    let mut text = format!(
        "steps 0 to {} to the right, addresses 0 to {total} downwards, rings from {} on\n",
        ops.saturating_sub(1),
        plan.kept_bytes()
    );
    let chains = chains(plan);
    let line: String = (0..columns)
        .map(|column| {
            let op = ops * column / columns;
            let chain = chains.iter().position(|c| (c.first_step..=c.last_step).contains(&op));
            chain.map_or('-', letter)
        })
        .collect();
    text += &format!("  chain\n  |{line}|\n  memory\n");
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
