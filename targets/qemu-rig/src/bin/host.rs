//! Prints the frames that the host gives with the scalar kernels.
#![forbid(unsafe_code)]

use fusionproxy_kernels::Scalar;
use fusionproxy_qemu_rig::model::ARENA_SCALAR;
use fusionproxy_qemu_rig::{Event, Memory, Tables, run};

fn main() {
    let memory = &mut Box::new(Memory::<ARENA_SCALAR>::new());
    let mut tables = Tables::EMPTY;
    run(memory, &mut tables, Scalar::ALL, || 0, &mut |event| {
        if let Event::Frame { number, crc32, .. } = event {
            println!("frame {number} crc32 {crc32:08x}");
        }
    });
}
