//! What to tell the operator when a device node cannot be opened.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::SensorError;

/// Why `path` could not be opened, and what helps; `what` is the device that is expected there.
pub(super) fn explain(path: &Path, what: &str, error: &io::Error) -> SensorError {
    let path_text = path.display();
    if error.kind() == io::ErrorKind::ResourceBusy {
        return SensorError::busy(format!(
            "{path_text} is in use by another program: end that one (`fuser -v {path_text}` names it)"
        ));
    }
    SensorError::closed(match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{path_text} is not there: plug the {what} in, or correct the path; waiting for it")
        }
        io::ErrorKind::PermissionDenied => match group(path) {
            Some(group) => format!(
                "no permission to open {path_text}: it belongs to group `{group}`; \
                 run `sudo usermod -aG {group} USER` for the user of the daemon and start it again"
            ),
            None => format!("no permission to open {path_text}: run the daemon as a user that may"),
        },
        _ => format!("cannot open {path_text} as {what}: {error}"),
    })
}

/// Name of the group that owns a file, or its number.
fn group(path: &Path) -> Option<String> {
    let id = path.metadata().ok()?.gid();
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let name = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    Some(name.unwrap_or_else(|| id.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_obstacle_comes_with_its_remedy() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let explained = |kind: io::ErrorKind| explain(file.path(), "camera", &io::Error::from(kind));
        let says = |kind| explained(kind).to_string();
        let permission = says(io::ErrorKind::PermissionDenied);
        let id = file.path().metadata().expect("data").gid();
        let group = group(file.path()).expect("a group");
        assert!(id != 0 || group == "root", "{group}");
        assert!(permission.contains(&format!("belongs to group `{group}`")), "{permission}");
        assert!(permission.contains(&format!("sudo usermod -aG {group} USER")), "{permission}");
        assert!(
            says(io::ErrorKind::NotFound)
                .ends_with("is not there: plug the camera in, or correct the path; waiting for it")
        );
        assert!(says(io::ErrorKind::ResourceBusy).contains("in use by another program"));
        assert!(explained(io::ErrorKind::ResourceBusy).is_busy());
        assert!(!explained(io::ErrorKind::NotFound).is_busy());
    }
}
