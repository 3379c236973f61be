//! Students in each precision: f32 from the ONNX network, the others as released, or compiled here.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fusionproxy_compiler::{CalibrationPair, Options, Precision, compile};

use crate::{AlignedBytes, Model};

/// The precisions that every student is judged in.
pub(crate) const PRECISIONS: [&str; 3] = ["f32", "fp16", "int8"];

/// Where a student is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Student {
    pub(crate) name: String,
    /// The network, needed for f32, for what is compiled here, and by other runtimes.
    pub(crate) onnx: Option<PathBuf>,
    fp16: Option<Source>,
    int8: Option<Source>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    BuiltIn(String),
}

impl Source {
    fn open(&self) -> Result<Model> {
        Ok(match self {
            Self::File(path) => Model::open(path)?,
            Self::BuiltIn(name) => Model::built_in(name)?,
        })
    }
}

/// A student in one precision.
pub(crate) struct Network {
    pub(crate) precision: &'static str,
    pub(crate) model: Model,
}

/// The students that `words` name: `all` of `folder`, names of students in it or built in, `.onnx` or `.fpx` files.
pub(crate) fn find(words: &[String], folder: &Path) -> Result<Vec<Student>> {
    let mut students: Vec<Student> = Vec::new();
    for word in words.iter().map(|w| w.trim()).filter(|w| !w.is_empty()) {
        let found = match word {
            "all" => released(folder),
            file if is_file(file) => vec![Student::of_file(Path::new(file))?],
            name => vec![named(name, folder)?],
        };
        for student in found {
            if !students.contains(&student) {
                students.push(student);
            }
        }
    }
    if students.is_empty() {
        bail!("no model named; give `all`, names or files");
    }
    Ok(students)
}

fn is_file(word: &str) -> bool {
    let path = Path::new(word);
    path.extension().is_some_and(|e| e == "fpx" || e == "onnx") || word.contains(['/', '\\'])
}

/// Every student below `folder`, the smallest network first; the built-in ones if there is none.
fn released(folder: &Path) -> Vec<Student> {
    let folders = std::fs::read_dir(folder).into_iter().flatten().filter_map(|f| Some(f.ok()?.path()));
    let mut students: Vec<Student> = folders.filter_map(|f| Student::in_folder(&f)).collect();
    if students.is_empty() {
        let mut names: Vec<String> = Model::built_in_names()
            .filter_map(|n| n.split_once('.').map(|(stem, _)| stem.to_owned()))
            .collect();
        names.dedup();
        return names.iter().filter_map(|n| Student::built_in(n)).collect();
    }
    students.sort_by_cached_key(|s| (s.bytes(), s.name.clone()));
    students
}

/// A student of `folder`, or a built-in one.
pub(crate) fn named(name: &str, folder: &Path) -> Result<Student> {
    let known = || {
        let mut names: Vec<String> = released(folder).into_iter().map(|s| s.name).collect();
        names.sort();
        names.join(", ")
    };
    Student::in_folder(&folder.join(name)).or_else(|| Student::built_in(name)).with_context(|| {
        format!("no model `{name}` in {}; there are {}, or name a file", folder.display(), known())
    })
}

impl Student {
    /// Size of the network's file, or of an artifact's.
    fn bytes(&self) -> u64 {
        let artifact = [&self.fp16, &self.int8].into_iter().flatten().find_map(|s| match s {
            Source::File(path) => Some(path),
            Source::BuiltIn(_) => None,
        });
        self.onnx.as_ref().or(artifact).and_then(|p| std::fs::metadata(p).ok()).map_or(0, |m| m.len())
    }

    /// `FOLDER/NAME/` with `NAME.onnx`, `NAME.fp16.fpx`, `NAME.int8.fpx`, at least one of them.
    fn in_folder(folder: &Path) -> Option<Self> {
        let name = folder.file_name()?.to_str()?;
        let student = Self::beside(folder, name);
        (student.onnx.is_some() || student.fp16.is_some() || student.int8.is_some()).then_some(student)
    }

    fn beside(folder: &Path, name: &str) -> Self {
        let file = |end: &str| Some(folder.join(format!("{name}.{end}"))).filter(|p| p.is_file());
        Self {
            name: name.to_owned(),
            onnx: file("onnx"),
            fp16: file("fp16.fpx").map(Source::File),
            int8: file("int8.fpx").map(Source::File),
        }
    }

    fn built_in(name: &str) -> Option<Self> {
        let source = |precision: &str| {
            let full = format!("{name}.{precision}");
            Model::built_in_names().any(|n| n == full).then_some(Source::BuiltIn(full))
        };
        let (fp16, int8) = (source("fp16"), source("int8"));
        (fp16.is_some() || int8.is_some()).then(|| Self { name: name.to_owned(), onnx: None, fp16, int8 })
    }

    /// An ONNX network with the artifacts beside it, or one artifact with the network beside it.
    fn of_file(path: &Path) -> Result<Self> {
        std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        let stem = path.file_stem().and_then(|s| s.to_str()).context("a model file needs a name")?;
        let folder = path.parent().unwrap_or(Path::new(""));
        if path.extension().is_some_and(|e| e == "onnx") {
            return Ok(Self { onnx: Some(path.to_owned()), ..Self::beside(folder, stem) });
        }
        let precision = Model::open(path)?.artifact()?.precision().name();
        let name = stem.strip_suffix(&format!(".{precision}")).unwrap_or(stem);
        let own = Some(Source::File(path.to_owned()));
        let (fp16, int8) = match precision {
            "fp16" => (own, None),
            "f32" => bail!("{} is an f32 artifact; give its ONNX network", path.display()),
            _ => (None, own),
        };
        Ok(Self { fp16, int8, ..Self::beside(folder, name) })
    }

    /// The student in `precision`. `None` where its network is not at hand, or there are no `pairs` to calibrate by.
    pub(crate) fn network(
        &self,
        precision: &'static str,
        pairs: &[CalibrationPair],
    ) -> Result<Option<Network>> {
        let (source, target) = match precision {
            "fp16" => (&self.fp16, Precision::Fp16),
            "int8" => (&self.int8, Precision::Int8),
            _ => (&None, Precision::F32),
        };
        if let Some(source) = source {
            return Ok(Some(Network { precision, model: source.open()? }));
        }
        let Some(onnx) = &self.onnx else { return Ok(None) };
        if target == Precision::Int8 && pairs.is_empty() {
            return Ok(None);
        }
        let options = Options {
            precision: target,
            name: Some(self.name.clone()),
            skip_verify: target != Precision::Int8,
            ..Options::default()
        };
        let pairs = if target == Precision::Int8 { pairs } else { &[] };
        let compiled = compile(onnx, &options, pairs, &mut |_, _, _| {})
            .with_context(|| format!("{} in {precision}", self.name))?;
        let model = Model::from_bytes(AlignedBytes::copy_of(&compiled.artifact))?;
        Ok(Some(Network { precision, model }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn students_are_found_by_name_file_and_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, bytes) in [("big", 9), ("small", 3)] {
            let folder = dir.path().join(name);
            std::fs::create_dir(&folder).expect("a folder");
            std::fs::write(folder.join(format!("{name}.onnx")), vec![0; bytes]).expect("a file");
        }
        std::fs::create_dir(dir.path().join("runs")).expect("a folder");
        let names = |found: Vec<Student>| found.into_iter().map(|s| s.name).collect::<Vec<_>>();
        assert_eq!(names(find(&words(&["all"]), dir.path()).expect("all")), ["small", "big"]);
        assert_eq!(names(find(&words(&["big", "all"]), dir.path()).expect("both")), ["big", "small"]);
        assert_eq!(names(find(&words(&["ultralight"]), dir.path()).expect("built in")), ["ultralight"]);
        let file = dir.path().join("big/big.onnx").display().to_string();
        assert_eq!(names(find(&words(&[&file, "big"]), dir.path()).expect("once")), ["big"]);
        let error = find(&words(&["bog"]), dir.path()).expect_err("no such").to_string();
        assert!(error.contains("`bog`") && error.contains("big, small"), "{error}");
        assert!(find(&words(&["", " "]), dir.path()).is_err());
        let error = find(&words(&["none/x.fpx"]), dir.path()).expect_err("no such file").to_string();
        assert!(error.contains("none/x.fpx"), "{error}");
        // Nothing released here: what is built in.
        assert_eq!(
            names(find(&words(&["all"]), &dir.path().join("nowhere")).expect("built in")),
            ["ultralight"]
        );
    }
}
