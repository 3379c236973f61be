//! Any answers to a CCI command: it ends within its time with a result or an error.
#![no_main]

use fusionproxy_board::bus::Want;
use fusionproxy_board::lepton::cci::{Access, Attribute, Exchange};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [id_high, id_low, words, access, answers @ ..] = data else { return };
    let id = u16::from_be_bytes([*id_high, *id_low]) & 0x4ffc;
    let access = [Access::Get, Access::Set, Access::Run][usize::from(access % 3)];
    let values: Vec<u16> = answers.iter().take(40).map(|b| u16::from(*b) * 257).collect();
    let mut exchange = Exchange::new(Attribute { id, words: *words }, access, &values, 0);
    let mut answers = answers.iter().copied().chain(core::iter::repeat(0));
    let mut now = 0;
    loop {
        match exchange.want(now) {
            Want::Wait(until) => {
                assert!(until > now);
                now = until;
                continue;
            }
            Want::Transfer(t) => {
                assert!(t.write.len() <= 34 && t.read.len() <= 32 && !t.write.is_empty());
                t.read.fill_with(|| answers.next().unwrap_or(0));
            }
        }
        now += 100;
        assert!(now < 3_000_000, "a command without end");
        if exchange.done(now).is_some() {
            break;
        }
    }
    for i in 0..40 {
        let _ = exchange.word(i);
    }
});
