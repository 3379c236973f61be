//! Messages on standard error, with the priorities that journald understands where it listens.

use std::fmt::Arguments;
use std::sync::LazyLock;

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
