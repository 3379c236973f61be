//! Keeping programs on the same cores, by `taskset`: runtimes that wander between cores cannot be compared.

use std::path::Path;
use std::process::{Command, Stdio};

/// The cores that this process may use.
pub(super) struct Cores {
    list: Vec<usize>,
    can_pin: bool,
}

impl Cores {
    /// As the system says; without pinning where that cannot be done.
    pub(super) fn of_this_process() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let allowed = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:"));
        let list = allowed.map_or_else(Vec::new, parse);
        let can_pin = !list.is_empty() && quiet(Command::new("taskset").arg("--version"));
        let list = if list.is_empty() { (0..crate::threads()).collect() } else { list };
        Self { list, can_pin }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// Whether programs can be pinned here.
    pub(super) fn can_pin(&self) -> bool {
        self.can_pin
    }

    fn first(&self, n: usize) -> String {
        self.list.iter().take(n).map(usize::to_string).collect::<Vec<_>>().join(",")
    }

    /// Keeps this thread, and those that it starts from now on, on the first `n` cores.
    pub(super) fn pin_this(&self, n: usize) {
        if self.can_pin {
            let me = std::process::id().to_string();
            quiet(Command::new("taskset").args(["-c", "-p", &self.first(n), &me]));
        }
    }

    /// A command that stays on the first `n` cores.
    pub(super) fn command(&self, program: &Path, n: usize) -> Command {
        if !self.can_pin {
            return Command::new(program);
        }
        let mut command = Command::new("taskset");
        command.args(["-c", &self.first(n)]).arg(program);
        command
    }
}

fn quiet(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Numbers of a list such as `0-2,5`.
fn parse(list: &str) -> Vec<usize> {
    let part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let bounds = first.trim().parse::<usize>().ok().zip(last.trim().parse::<usize>().ok());
        bounds.map_or(0..0, |(a, b)| a..b + 1)
    };
    list.split(',').flat_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores() {
        assert_eq!(parse(" 0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(parse("7"), [7]);
        assert!(parse("").is_empty() && parse("x").is_empty());
        let cores = Cores { list: vec![3, 5, 8], can_pin: false };
        assert_eq!((cores.first(2), cores.count()), ("3,5".to_owned(), 3));
        assert_eq!(cores.command(Path::new("p"), 1).get_program(), "p");
    }
}
