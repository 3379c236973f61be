//! Fuses one frame on a Cortex-M7 and prints its CRC-32 and its instructions, which the host compares and reports.
//!
//! No allocator is linked: everything lies in the statics below, whose sizes the compiler emitted.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

mod model;

use core::cell::RefCell;

use conformance::{Crc32, pattern};
use cortex_m::interrupt::Mutex;
use cortex_m::peripheral::Peripherals;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use fusionproxy_core::executor::Executor;
use fusionproxy_core::frame::Plane;
use fusionproxy_core::plan::{Plan, PlanOptions, PlanStorage, Schedule, Step, TensorSlot};
use fusionproxy_format::Artifact;
use fusionproxy_kernels::{Inline, Scalar};
use model::{ARENA_BYTES, ARTIFACT_BYTES, HEIGHT, KERNELS, STEPS, TENSORS, WIDTH};
use panic_semihosting as _;

const PIXELS: usize = HEIGHT * WIDTH;
/// With `-icount shift=0` an instruction takes 1 ns; the machine's clock of 25 MHz ticks every 40.
const INSTRUCTIONS_PER_TICK: u64 = 40;

/// The artifact, placed so that it executes in place.
#[repr(align(64))]
struct Flash([u8; ARTIFACT_BYTES]);
static ARTIFACT: Flash = Flash(*include_bytes!("../../../models/nano/nano.int8.fpx"));

/// Everything that a frame needs.
#[repr(align(64))]
struct Memory {
    arena: [u8; ARENA_BYTES],
    visible: [u8; PIXELS],
    infrared: [u8; PIXELS],
    fused: [u8; PIXELS],
    tensors: [TensorSlot<'static>; TENSORS],
    steps: [Step<'static>; STEPS],
}
static MEMORY: Mutex<RefCell<Memory>> = Mutex::new(RefCell::new(Memory {
    arena: [0; ARENA_BYTES],
    visible: [0; PIXELS],
    infrared: [0; PIXELS],
    fused: [0; PIXELS],
    tensors: [TensorSlot::EMPTY; TENSORS],
    steps: [Step::EMPTY; STEPS],
}));

#[entry]
fn main() -> ! {
    cortex_m::interrupt::free(|cs| frame(&mut MEMORY.borrow(cs).borrow_mut()));
    debug::exit(debug::EXIT_SUCCESS);
    loop {
        cortex_m::asm::wfi();
    }
}

fn frame(memory: &mut Memory) {
    let Memory { arena, visible, infrared, fused, tensors, steps } = memory;
    pattern(WIDTH, 7, visible);
    pattern(WIDTH, 11, infrared);
    let artifact = Artifact::new(&ARTIFACT.0).expect("a good artifact");
    let backend = Scalar::<KERNELS>;
    let storage = PlanStorage { tensors, steps };
    let options = PlanOptions { workers: 1, schedule: Schedule::SMALLEST };
    let plan = Plan::new(&artifact, HEIGHT, WIDTH, options, &backend, storage).expect("a plan");
    let mut executor = Executor::new(&plan, arena, backend, &Inline).expect("an executor");
    let plane = |data| Plane::new(WIDTH, HEIGHT, WIDTH, data).expect("a plane");

    let mut systick = Peripherals::take().expect("the peripherals").SYST;
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(0x00ff_ffff);
    systick.clear_current();
    systick.enable_counter();
    let start = cortex_m::peripheral::SYST::get_current();
    executor.run(plane(visible), plane(infrared), fused, WIDTH).expect("a frame");
    let ticks = start.wrapping_sub(cortex_m::peripheral::SYST::get_current()) & 0x00ff_ffff;

    let mut crc = Crc32::new();
    crc.update(fused);
    hprintln!("crc32 {:08x}", crc.finalize());
    hprintln!("instructions {}", u64::from(ticks) * INSTRUCTIONS_PER_TICK);
    hprintln!("arena_bytes {}", ARENA_BYTES);
}
