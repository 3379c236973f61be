//! What the firmware of both emulated cores has in common: the instruction counter, the report, the stack's high-water mark.

use core::cell::Cell;

use cortex_m::interrupt::{self, Mutex};
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{Peripherals, SYST};
use cortex_m_semihosting::{debug, hprintln};
use fusionproxy_kernels::Backend;
use panic_semihosting as _;

use crate::{Memory, Tables, run};

/// The counter's largest value: it has 24 bits and counts down.
const RELOAD: u32 = 0x00ff_ffff;

/// Ticks so far, and the counter when that was.
static TICKS: Mutex<Cell<(u64, u32)>> = Mutex::new(Cell::new((0, 0)));

/// Ticks of the core's clock since [`main`] began, if asked for at least once in every turn of the counter, of half a
/// thousand million instructions. With `-icount shift=0` QEMU counts an instruction as 1 ns.
pub fn ticks() -> u64 {
    interrupt::free(|cs| {
        let state = TICKS.borrow(cs);
        let ((total, last), now) = (state.get(), SYST::get_current());
        let total = total + u64::from(last.wrapping_sub(now) & RELOAD);
        state.set((total, now));
        total
    })
}

/// Runs the loop, reports, and ends the emulation. `instructions` makes instructions of [`ticks`].
pub fn main<B: Backend + Copy, const ARENA: usize>(
    memory: &mut Memory<ARENA>,
    tables: &mut Tables,
    backend: B,
    instructions: fn() -> u64,
) -> ! {
    cortex_m_stack::repaint_stack();
    let mut clock = Peripherals::take().expect("the peripherals").SYST;
    clock.set_clock_source(SystClkSource::Core);
    clock.set_reload(RELOAD);
    clock.clear_current();
    clock.enable_counter();
    run(memory, tables, backend, instructions, &mut |event| hprintln!("{}", event));
    hprintln!("stack {}", cortex_m_stack::stack_size() - cortex_m_stack::stack_painted());
    debug::exit(debug::EXIT_SUCCESS);
    loop {
        cortex_m::asm::wfi();
    }
}
