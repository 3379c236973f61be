//! Checked reading of TOML tables: every key is asked for by name, and a key that nobody asked for is an error.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;

/// The text of a configuration file, for line numbers in messages.
pub(super) struct Source<'t> {
    path: &'t Path,
    text: &'t str,
}

impl<'t> Source<'t> {
    pub(super) fn new(path: &'t Path, text: &'t str) -> Self {
        Self { path, text }
    }

    /// The document as a section without a name.
    pub(super) fn document(&self) -> Result<Spanned<DeTable<'t>>, ConfigError> {
        DeTable::parse(self.text).map_err(|e| ConfigError::Syntax {
            path: self.path.to_path_buf(),
            line: self.line(e.span().map_or(0, |span| span.start)),
            message: e.message().to_owned(),
        })
    }

    fn line(&self, at: usize) -> usize {
        self.text.as_bytes().iter().take(at).filter(|&&b| b == b'\n').count() + 1
    }

    fn error(&self, span: Range<usize>, message: String) -> ConfigError {
        ConfigError::Schema { path: self.path.to_path_buf(), line: self.line(span.start), message }
    }
}

/// A table whose keys are taken one by one.
pub(super) struct Section<'s, 't> {
    source: &'s Source<'t>,
    /// As the file writes it, such as `[output.http]`; empty for the whole document.
    name: String,
    span: Range<usize>,
    table: DeTable<'t>,
    known: Vec<&'static str>,
}

impl<'s, 't> Section<'s, 't> {
    pub(super) fn document(source: &'s Source<'t>, table: Spanned<DeTable<'t>>) -> Self {
        Self { source, name: String::new(), span: 0..0, table: table.into_inner(), known: Vec::new() }
    }

    /// The value of a key, with where it stands.
    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.table.remove(key)
    }

    /// An error about this section as a whole.
    fn missing(&self, key: &str, example: &str) -> ConfigError {
        let place = if self.name.is_empty() { String::new() } else { format!("{} ", self.name) };
        self.source.error(self.span.clone(), format!("{place}needs `{key}`: add {example}"))
    }

    fn wrong(&self, key: &str, span: Range<usize>, what: &str) -> ConfigError {
        let place = if self.name.is_empty() { String::new() } else { format!("{} ", self.name) };
        self.source.error(span, format!("{place}`{key}` {what}"))
    }

    /// A table within this one.
    pub(super) fn section(&mut self, key: &'static str) -> Result<Option<Section<'s, 't>>, ConfigError> {
        let parent = self.name.trim_matches(['[', ']']);
        let name = if parent.is_empty() { format!("[{key}]") } else { format!("[{parent}.{key}]") };
        let Some(value) = self.take(key) else { return Ok(None) };
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => {
                Ok(Some(Section { source: self.source, name, span, table, known: Vec::new() }))
            }
            other => Err(self.wrong(
                key,
                span,
                &format!("is a table, written {name}, not of type {}", other.type_str()),
            )),
        }
    }

    /// As [`Self::section`], for a table that must be there.
    pub(super) fn required_section(&mut self, key: &'static str) -> Result<Section<'s, 't>, ConfigError> {
        let missing = self.missing(key, &format!("a table [{key}], as the examples in the README show"));
        self.section(key)?.ok_or(missing)
    }

    /// Text.
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<Text>, ConfigError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let span = value.span();
        match value.into_inner() {
            DeValue::String(s) => Ok(Some(Text { value: s.into_owned(), span })),
            other => {
                Err(self.wrong(key, span, &format!("is text in quotes, not of type {}", other.type_str())))
            }
        }
    }

    /// A path, relative ones from the folder of the file.
    pub(super) fn path(&mut self, key: &'static str) -> Result<Option<PathBuf>, ConfigError> {
        let base = self.source.path.parent().unwrap_or(Path::new("")).to_path_buf();
        Ok(self.text(key)?.map(|text| base.join(text.value)))
    }

    /// A path that must be there.
    pub(super) fn required_path(&mut self, key: &'static str, example: &str) -> Result<PathBuf, ConfigError> {
        let missing = self.missing(key, &format!("`{example}`"));
        self.path(key)?.ok_or(missing)
    }

    /// A whole number within limits.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        limits: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, ConfigError> {
        self.number_for(key, limits, "")
    }

    /// As [`Self::number`]; `why` ends the message and tells where limits come from that are not plain.
    pub(super) fn number_for(
        &mut self,
        key: &'static str,
        limits: std::ops::RangeInclusive<u64>,
        why: &str,
    ) -> Result<Option<u64>, ConfigError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let expected = format!("is a whole number from {} to {}", limits.start(), limits.end());
        match value.get_ref() {
            DeValue::Integer(n) => match u64::from_str_radix(n.as_str(), n.radix()) {
                Ok(n) if limits.contains(&n) => Ok(Some(n)),
                _ => Err(self.wrong(key, value.span(), &format!("{expected}, not {n}{why}"))),
            },
            other => {
                Err(self.wrong(key, value.span(), &format!("{expected}, not of type {}", other.type_str())))
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match choices.iter().find(|(word, _)| *word == text.value) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                let what = format!(
                    "is `{}`{}; it can be {}",
                    text.value,
                    suggestion(&text.value, &words),
                    words.join(", ")
                );
                Err(self.wrong(key, text.span, &what))
            }
        }
    }

    /// As [`Self::choice`], for a key that must be there.
    pub(super) fn required_choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Result<T, ConfigError> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let missing = self.missing(key, &format!("`{key} = \"…\"` with one of {}", words.join(", ")));
        self.choice(key, choices)?.ok_or(missing)
    }

    /// Text in a form of its own; `parse` says what it should have been.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        parse(&text.value).map(Some).map_err(|what| self.wrong(key, text.span, &what))
    }

    /// Fails on the first key that nobody asked for.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        let Some((key, _)) = self.table.iter().next() else { return Ok(()) };
        let place = if self.name.is_empty() { "the top level".to_owned() } else { self.name };
        let name = key.get_ref();
        let message = format!(
            "{place} has no key `{name}`{}; it has {}",
            suggestion(name, &self.known),
            self.known.join(", ")
        );
        Err(self.source.error(key.span(), message))
    }
}

/// Text and where it stands.
pub(super) struct Text {
    pub(super) value: String,
    span: Range<usize>,
}

/// The known word that comes nearest, if one comes near.
fn suggestion(found: &str, known: &[&str]) -> String {
    known
        .iter()
        .map(|word| (strsim::damerau_levenshtein(found, word), word))
        .filter(|(distance, word)| *distance <= 2 || *distance * 3 <= word.len())
        .min_by_key(|(distance, _)| *distance)
        .map_or_else(String::new, |(_, word)| format!(", did you mean `{word}`?"))
}
