//! The Debian package, put together by Debian's own dpkg-deb.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::build as build_binary;
use crate::shell::{command, output, run as shell_run, succeeds};

const SOURCES: &str = "targets/linux-aarch64";
const ARCHITECTURE: &str = "arm64";

/// Files of the package: from where, to where, mode. Texts with `.gz` are compressed.
const FILES: [(&str, &str, u32); 8] = [
    ("fusionproxyd.toml", "etc/fusionproxy/fusionproxyd.toml", 0o644),
    ("packaging/fusionproxyd.service", "lib/systemd/system/fusionproxyd.service", 0o644),
    ("packaging/sysusers.conf", "usr/lib/sysusers.d/fusionproxyd.conf", 0o644),
    ("packaging/60-fusionproxyd.rules", "lib/udev/rules.d/60-fusionproxyd.rules", 0o644),
    ("packaging/lintian-overrides", "usr/share/lintian/overrides/fusionproxyd", 0o644),
    ("packaging/copyright", "usr/share/doc/fusionproxyd/copyright", 0o644),
    ("packaging/fusionproxyd.1", "usr/share/man/man1/fusionproxyd.1.gz", 0o644),
    ("README.md", "usr/share/doc/fusionproxyd/README.md", 0o644),
];

/// Builds the package and checks what is in it; its path.
pub(super) fn build() -> Result<PathBuf> {
    let binary = build_binary("--bin", "fusionproxyd")?;
    let version = version()?;
    let root = Path::new("target/deb/root");
    if root.exists() {
        fs::remove_dir_all(root).context("cannot clear target/deb/root")?;
    }
    install(Path::new(&binary), &root.join("usr/bin/fusionproxyd"), 0o755)?;
    for (from, to, mode) in FILES {
        install(&Path::new(SOURCES).join(from), &root.join(to), mode)?;
    }
    changelog(root, &version)?;
    let installed_kib = kib(root)?;
    let control =
        fs::read_to_string(format!("{SOURCES}/packaging/control")).context("cannot read control")?;
    let control = control
        .replace("@VERSION@", &version)
        .replace("@ARCHITECTURE@", ARCHITECTURE)
        .replace("@KIB@", &installed_kib.to_string());
    write(&root.join("DEBIAN/control"), control.as_bytes(), 0o644)?;
    write(&root.join("DEBIAN/conffiles"), b"/etc/fusionproxy/fusionproxyd.toml\n", 0o644)?;
    for script in ["postinst", "prerm", "postrm"] {
        install(
            &Path::new(SOURCES).join("packaging").join(script),
            &root.join("DEBIAN").join(script),
            0o755,
        )?;
    }
    let package = PathBuf::from(format!("target/deb/fusionproxyd_{version}_{ARCHITECTURE}.deb"));
    let mut pack = command(&["dpkg-deb", "--root-owner-group", "-Zxz", "--build"]);
    pack.arg(root).arg(&package);
    shell_run(pack)?;
    check(&package, &version)?;
    println!("{} ({} KiB)", package.display(), fs::metadata(&package)?.len().div_ceil(1024));
    Ok(package)
}

/// The workspace's version.
fn version() -> Result<String> {
    let text = output(&["cargo", "pkgid", "--package", "fusionproxyd"]);
    let version = text.trim().rsplit(['#', '@']).next().unwrap_or_default();
    if version.is_empty() {
        bail!("cargo pkgid gives no version of fusionproxyd");
    }
    Ok(version.to_owned())
}

fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if to.extension().is_some_and(|e| e == "gz") {
        let plain = to.with_extension("");
        write(&plain, &bytes, mode)?;
        compress(&plain)
    } else {
        write(to, &bytes, mode)
    }
}

/// Debian wants texts compressed, and the same bytes each time.
fn compress(path: &Path) -> Result<()> {
    let mut gzip = command(&["gzip", "-9n", "--force"]);
    gzip.arg(path);
    shell_run(gzip)
}

fn write(to: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let folder = to.parent().context("a file without a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(to, bytes).with_context(|| format!("cannot write {}", to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

fn changelog(root: &Path, version: &str) -> Result<()> {
    // Sources without their history have no date of their own.
    let commit = output(&["git", "log", "-1", "--format=%aD"]);
    let date = if commit.is_empty() { output(&["date", "-R"]) } else { commit };
    let text = format!(
        "fusionproxyd ({version}) unstable; urgency=medium\n\n  * Version {version}.\n\n \
         -- The fusionproxy engineers <maintainers@fusionproxy.invalid>  {}\n",
        date.trim()
    );
    let path = root.join("usr/share/doc/fusionproxyd/changelog");
    write(&path, text.as_bytes(), 0o644)?;
    compress(&path)
}

fn kib(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let data = entry.metadata()?;
        sum += if data.is_dir() { kib(&entry.path())? } else { data.len().div_ceil(1024) };
    }
    Ok(sum)
}

/// Every file is there with the right mode and owner, the fields are right, and lintian, where it is installed, finds no
/// error.
fn check(package: &Path, version: &str) -> Result<()> {
    let package = package.to_str().context("a path that is no text")?;
    let contents = output(&["dpkg-deb", "--contents", package]);
    let files = FILES.iter().map(|(_, to, mode)| (*to, *mode));
    for (path, mode) in files.chain([("usr/bin/fusionproxyd", 0o755)]) {
        let text = if mode == 0o755 { "-rwxr-xr-x root/root" } else { "-rw-r--r-- root/root" };
        if !contents.lines().any(|line| line.starts_with(text) && line.ends_with(&format!(" ./{path}"))) {
            bail!("{package} has no {path} with `{text}`:\n{contents}");
        }
    }
    for (field, value) in [("Package", "fusionproxyd"), ("Version", version), ("Architecture", ARCHITECTURE)]
    {
        let found = output(&["dpkg-deb", "--field", package, field]);
        if found.trim() != value {
            bail!("{package}: {field} is {}, not {value}", found.trim());
        }
    }
    if succeeds(&["lintian", "--version"]) {
        shell_run(command(&["lintian", "--allow-root", "--fail-on", "error,warning", package]))?;
    } else {
        println!("SKIPPED: lintian is not installed, the package was not checked by it");
    }
    if succeeds(&["systemd-analyze", "--version"]) {
        unit()?;
    }
    Ok(())
}

/// systemd understands every line of the unit.
fn unit() -> Result<()> {
    let text = fs::read_to_string(format!("{SOURCES}/packaging/fusionproxyd.service"))?;
    // The program is in the package, not on this machine.
    let unit = Path::new("target/deb/fusionproxyd.service");
    write(unit, text.replace("/usr/bin/fusionproxyd", "/bin/true").as_bytes(), 0o644)?;
    let mut verify = command(&["systemd-analyze", "verify", "--man=no"]);
    verify.arg(unit);
    let found = verify.output().context("cannot start systemd-analyze")?;
    let complaints = String::from_utf8_lossy(&found.stderr);
    // Other units of this machine are not ours to judge.
    let ours: Vec<&str> = complaints.lines().filter(|l| l.contains("fusionproxyd")).collect();
    if ours.is_empty() { Ok(()) } else { bail!("systemd-analyze verify: {}", ours.join("\n")) }
}
