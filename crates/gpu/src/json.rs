//! The program as JSON, for drivers in other languages. Weights are bytes and stay apart.

use alloc::string::String;
use core::fmt::Write;

use crate::{Binding, Program, Resource, Source, Stage, Stages, Target, Texel};

impl Program {
    /// The program without its weights, as JSON. `docs/gpu.md` describes it.
    pub fn json(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.write_json(&mut out);
        out
    }

    fn write_json(&self, out: &mut String) -> core::fmt::Result {
        let o = &self.options;
        out.push_str("{\"model\":");
        text(out, &self.model)?;
        write!(out, ",\"precision\":\"{}\",\"parameters\":{},", self.precision.name(), self.parameters)?;
        write!(out, "\"height\":{},\"width\":{},", o.height, o.width)?;
        write!(out, "\"visible\":\"{}\",\"infrared\":\"{}\",", source(o.visible), source(o.infrared))?;
        let fused = if o.fused == Target::Rgba { "rgba" } else { "texture" };
        write!(out, "\"fused\":\"{fused}\",\"buffers\":")?;
        list(out, &self.buffers, |out, b| {
            write!(out, "{{\"role\":\"{}\",\"bytes\":{}}}", b.role.name(), b.bytes)
        })?;
        out.push_str(",\"pipelines\":");
        list(out, &self.pipelines, |out, p| text(out, &p.wgsl))?;
        out.push_str(",\"dispatches\":");
        list(out, &self.dispatches, |out, d| {
            out.push_str("{\"label\":");
            text(out, &d.label)?;
            write!(out, ",\"pipeline\":{},\"workgroups\":{:?},\"bindings\":", d.pipeline, d.workgroups)?;
            list(out, &d.bindings, binding)?;
            out.push('}');
            Ok(())
        })?;
        out.push('}');
        Ok(())
    }
}

impl Stages {
    /// The stages as JSON. `docs/gpu.md` describes it.
    pub fn json(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.write_json(&mut out);
        out
    }

    fn write_json(&self, out: &mut String) -> core::fmt::Result {
        write!(out, "{{\"state\":{},\"histogram\":{}", Self::STATE_BYTES, Self::HISTOGRAM_BYTES)?;
        write!(out, ",\"positions\":{:?}", self.positions())?;
        for (name, Stage { wgsl, workgroups }) in [
            ("count", self.count()),
            ("curve", self.curve()),
            ("colour", self.align(Texel::Colour)),
            ("grey", self.align(Texel::Grey)),
            ("words", self.align(Texel::Words)),
        ] {
            write!(out, ",\"{name}\":{{\"workgroups\":{workgroups:?},\"wgsl\":")?;
            text(out, &wgsl)?;
            out.push('}');
        }
        for (name, wgsl) in [("take", self.take()), ("present", self.present())] {
            write!(out, ",\"{name}\":")?;
            text(out, &wgsl)?;
        }
        out.push('}');
        Ok(())
    }
}

fn source(s: Source) -> &'static str {
    match s {
        Source::Grey => "grey",
        Source::Rgba => "rgba",
        Source::Texture => "texture",
    }
}

fn binding(out: &mut String, b: &Binding) -> core::fmt::Result {
    match b.resource {
        Resource::Buffer { buffer, offset, bytes } => {
            write!(out, "{{\"buffer\":{buffer},\"offset\":{offset},\"bytes\":{bytes}}}")
        }
        Resource::Texture(role) => write!(out, "{{\"texture\":\"{}\"}}", role.name()),
    }
}

fn list<T>(
    out: &mut String,
    items: &[T],
    mut item: impl FnMut(&mut String, &T) -> core::fmt::Result,
) -> core::fmt::Result {
    out.push('[');
    for (i, t) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        item(out, t)?;
    }
    out.push(']');
    Ok(())
}

fn text(out: &mut String, s: &str) -> core::fmt::Result {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c))?,
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(())
}
