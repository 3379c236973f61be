//! Debian's arm64 kernel with its headers, fetched by apt into a folder of its own and installed nowhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{command, run as shell_run};

/// An unpacked kernel.
pub(super) struct Kernel {
    root: PathBuf,
    /// As in `6.1.0-56-arm64`.
    release: String,
}

/// Fetches the kernel unless it is there already, and says so.
pub(super) fn fetch() -> Result<Kernel> {
    let os = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        os.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default().trim_matches('"')
    };
    let codename = value("VERSION_CODENAME");
    if value("ID") != "debian" || codename.is_empty() {
        bail!("the emulated Linux comes from Debian's kernel packages, and this machine is not a Debian");
    }
    let folder = std::path::absolute(Path::new("target/linux-qemu"))?;
    let root = folder.join("root");
    let stamp = folder.join("release");
    if let Ok(release) = fs::read_to_string(&stamp) {
        return Ok(Kernel { root, release });
    }
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    fs::create_dir_all(folder.join("lists/partial"))?;
    fs::create_dir_all(&root)?;
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let line = |url: &str, suite: &str| format!("deb [arch=arm64 signed-by={keyring}] {url} {suite} main\n");
    let sources = line("http://deb.debian.org/debian", codename)
        + &line("http://deb.debian.org/debian-security", &format!("{codename}-security"));
    fs::write(folder.join("sources.list"), sources)?;
    println!("fetching Debian's arm64 kernel, its headers and busybox into {} (75 MB)", folder.display());
    let arm64 = Apt { folder: &folder };
    shell_run(arm64.command("apt-get", &["update", "-q"]))
        .context("the kernel's package lists cannot be fetched: this test needs Debian's archive")?;
    let image = arm64.first_dependency("linux-image-arm64", "linux-image-")?;
    let headers = image.replace("image", "headers");
    let common = arm64.first_dependency(&headers, "linux-headers-")?;
    let tools = arm64.first_dependency(&headers, "linux-kbuild-")?;
    shell_run(arm64.command("apt-get", &["download", &image, "busybox-static", &headers, &common]))
        .context("the kernel's packages cannot be fetched: this test needs Debian's archive")?;
    // Programs that run here while modules are built, and a module as source.
    let mut host = command(&["apt-get", "download", &tools, "v4l2loopback-dkms"]);
    host.current_dir(&folder);
    shell_run(host)?;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "deb") {
            let mut unpack = command(&["dpkg-deb", "--extract"]);
            unpack.arg(&path).arg(&root);
            shell_run(unpack)?;
        }
    }
    let release = image.trim_start_matches("linux-image-").to_owned();
    // Its makefile names where it would be installed.
    let makefile = root.join(format!("usr/src/linux-headers-{release}/Makefile"));
    let text = fs::read_to_string(&makefile).context("the headers have no makefile")?;
    fs::write(&makefile, text.replace("/usr/src/", &format!("{}/usr/src/", root.display())))?;
    fs::write(&stamp, &release)?;
    Ok(Kernel { root, release })
}

impl Kernel {
    /// The kernel itself.
    pub(super) fn image(&self) -> PathBuf {
        self.root.join(format!("boot/vmlinuz-{}", self.release))
    }

    /// A shell and its tools, static.
    pub(super) fn busybox(&self) -> PathBuf {
        self.root.join("bin/busybox")
    }

    /// Builds a module from a folder with a makefile for the kernel; the module is found by name afterwards.
    pub(super) fn build_module(&self, source: &Path, name: &str) -> Result<()> {
        let work = self.root.join("build").join(name);
        fs::create_dir_all(&work)?;
        for entry in fs::read_dir(source).with_context(|| format!("cannot list {}", source.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), work.join(entry.file_name()))?;
            }
        }
        // Debian's own makefiles for dkms know the host's kernel only.
        fs::write(work.join("Kbuild"), format!("obj-m := {name}.o\n"))?;
        let mut make = command(&["make", "--silent", "-C"]);
        make.arg(self.root.join(format!("usr/src/linux-headers-{}", self.release)));
        make.arg(format!("M={}", work.display()));
        make.args(["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", "modules"]);
        shell_run(make)?;
        let to = self.root.join(format!("lib/modules/{}/extra", self.release));
        fs::create_dir_all(&to)?;
        let file = format!("{name}.ko");
        fs::copy(work.join(&file), to.join(&file)).with_context(|| format!("make gave no {file}"))?;
        Ok(())
    }

    /// The folder of a module that Debian ships as source.
    pub(super) fn module_source(&self, prefix: &str) -> Result<PathBuf> {
        let folder = self.root.join("usr/src");
        let found = fs::read_dir(&folder)?
            .filter_map(|e| Some(e.ok()?.path()))
            .find(|p| p.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(prefix)));
        found.with_context(|| format!("{} has no {prefix}*", folder.display()))
    }

    /// The files of modules with all that they need, in the order of loading.
    pub(super) fn modules(&self, names: &[&str]) -> Result<Vec<PathBuf>> {
        let mut depmod = command(&["depmod", "-b"]);
        depmod.arg(&self.root).arg(&self.release);
        shell_run(depmod)?;
        let mut files = Vec::new();
        for name in names {
            let mut modprobe = command(&["modprobe", "-d"]);
            modprobe.arg(&self.root).args(["-S", &self.release, "--show-depends", name]);
            let found = modprobe.output().context("cannot start modprobe")?;
            if !found.status.success() {
                bail!("no module {name}: {}", String::from_utf8_lossy(&found.stderr));
            }
            for line in String::from_utf8_lossy(&found.stdout).lines() {
                let Some(path) = line.strip_prefix("insmod ") else { continue };
                let path = PathBuf::from(path.trim());
                if !files.contains(&path) {
                    files.push(path);
                }
            }
        }
        Ok(files)
    }
}

/// apt for another architecture, with lists of its own: nothing of this machine changes.
struct Apt<'f> {
    folder: &'f Path,
}

impl Apt<'_> {
    fn command(&self, program: &str, words: &[&str]) -> Command {
        let folder = self.folder.display();
        let mut apt = command(&[program]);
        for option in [
            "APT::Architecture=arm64".to_owned(),
            "APT::Architectures=arm64".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
            format!("Dir::Etc::sourcelist={folder}/sources.list"),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={folder}/lists"),
            "Dir::State::status=/dev/null".to_owned(),
            "Dir::Cache::pkgcache=".to_owned(),
            "Dir::Cache::srcpkgcache=".to_owned(),
        ] {
            apt.args(["-o", &option]);
        }
        apt.args(words).current_dir(self.folder);
        apt
    }

    /// The package with a prefix that another one depends on.
    fn first_dependency(&self, package: &str, prefix: &str) -> Result<String> {
        let found = self.command("apt-cache", &["depends", package]).output()?;
        let text = String::from_utf8_lossy(&found.stdout).into_owned();
        text.lines()
            .find_map(|l| l.trim().strip_prefix("Depends: ").filter(|d| d.starts_with(prefix)))
            .map(str::to_owned)
            .with_context(|| format!("{package} depends on no {prefix}*: {text}"))
    }
}
