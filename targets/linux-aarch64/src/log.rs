//! Messages on standard error, with the priorities that journald understands where it listens.

use std::fmt::Arguments;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// systemd sets `JOURNAL_STREAM` where standard error goes to the journal.
static JOURNAL: LazyLock<bool> = LazyLock::new(|| std::env::var_os("JOURNAL_STREAM").is_some());

fn write(priority: u8, message: Arguments<'_>) {
    if *JOURNAL {
        eprintln!("<{priority}>{message}");
    } else {
        eprintln!("fusionproxyd: {message}");
    }
}

/// Something that an operator wants to know.
pub(crate) fn info(message: Arguments<'_>) {
    write(6, message);
}

/// Something that is wrong but does not stop the daemon.
pub(crate) fn warn(message: Arguments<'_>) {
    write(4, message);
}

/// Why the daemon ends.
pub(crate) fn error(message: Arguments<'_>) {
    write(3, message);
}

/// A kind of message that was written is not written again for so long; each time it comes back, for twice as long.
const PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Kinds that are told apart; while there are so many, no others are written.
const KINDS: usize = 16;

/// Warnings that may come again and again: a wire that stays broken must not fill the log.
#[derive(Default)]
pub(crate) struct Repeats {
    kinds: Vec<Kind>,
}

struct Kind {
    text: String,
    pause: Duration,
    quiet_until: Instant,
}

impl Repeats {
    /// Something that is wrong but does not stop the daemon. False if it was held back.
    pub(crate) fn warn(&mut self, message: Arguments<'_>) -> bool {
        let text = message.to_string();
        let is_news = self.is_news(&text, Instant::now());
        if is_news {
            warn(format_args!("{text}"));
        }
        is_news
    }

    /// Whether to write a message. Those that differ in numbers only, such as attempts and lengths, are of one kind.
    fn is_news(&mut self, message: &str, now: Instant) -> bool {
        // A kind that has stayed away for as long as it was held back is a new event.
        self.kinds.retain(|kind| now < kind.quiet_until + kind.pause);
        let text: String = message.chars().filter(|c| !c.is_ascii_digit()).collect();
        let full = self.kinds.len() == KINDS;
        match self.kinds.iter_mut().find(|kind| kind.text == text) {
            Some(kind) if now < kind.quiet_until => false,
            Some(kind) => {
                kind.pause = LONGEST_PAUSE.min(kind.pause * 2);
                kind.quiet_until = now + kind.pause;
                true
            }
            None => {
                if !full {
                    self.kinds.push(Kind { text, pause: PAUSE, quiet_until: now + PAUSE });
                }
                !full
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines in each of some minutes if `message` comes twice a second.
    fn lines(minutes: u64, message: impl Fn(u64) -> String) -> Vec<usize> {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let mut told = |i| repeats.is_news(&message(i), start + Duration::from_millis(500) * i as u32);
        (0..minutes).map(|m| (120 * m..120 * (m + 1)).filter(|&i| told(i)).count()).collect()
    }

    #[test]
    fn a_fault_that_goes_on_is_written_ever_more_rarely() {
        // As a Lepton with a broken wire reports it: attempts are counted, and causes take turns.
        let causes = ["no lines", "damaged packets", "no complete frame"];
        let broken = |i: u64| format!("out of step (attempt {}): {}", i % 5 + 1, causes[i as usize % 3]);
        assert_eq!(lines(8, broken), [3, 3, 0, 3, 0, 0, 0, 3]);
        let day: usize = lines(24 * 60, broken).iter().sum();
        assert!(day <= 3 * 32, "{day} lines a day");
    }

    #[test]
    fn a_fault_that_stayed_away_is_written_again() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let mut told = |s| repeats.is_news("unplugged", start + Duration::from_secs(s));
        assert_eq!([0, 59, 60, 179].map(&mut told), [true, false, true, false]);
        // Held back until 180 s, and gone for as long as that: at 300 s it is as at first.
        assert_eq!([300, 359, 360].map(&mut told), [true, false, true]);
    }

    #[test]
    fn messages_without_end_are_limited_as_well() {
        let letters = |i: u64| String::from_utf8(vec![b'x'; i as usize + 1]).expect("text");
        assert_eq!(lines(1, letters), [KINDS]);
    }
}
