//! The whole loop with simulated sensors on a Cortex-M55. No allocator is linked: everything lies in one static.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::cell::RefCell;

use cortex_m::interrupt::{self, Mutex};
use cortex_m_rt::entry;
use fusionproxy_kernels::arm::Helium;
use fusionproxy_qemu_rig::model::{ARENA_HELIUM, KERNELS};
use fusionproxy_qemu_rig::{Memory, Tables, firmware};

static MEMORY: Mutex<RefCell<Memory<ARENA_HELIUM>>> = Mutex::new(RefCell::new(Memory::new()));
static TABLES: Mutex<RefCell<Tables>> = Mutex::new(RefCell::new(Tables::EMPTY));

/// The machine's clock of 32 MHz ticks every 31.25 ns, and an instruction takes 1 ns.
fn instructions() -> u64 {
    firmware::ticks() * 125 / 4
}

#[entry]
fn main() -> ! {
    interrupt::free(|cs| {
        let (memory, tables) = (MEMORY.borrow(cs), TABLES.borrow(cs));
        firmware::main(&mut memory.borrow_mut(), &mut tables.borrow_mut(), Helium::<KERNELS>, instructions)
    })
}
