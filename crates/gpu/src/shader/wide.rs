//! Dispatches that compute a single pixel, such as a gate's: one workgroup whose invocations share the channels.

use alloc::format;
use alloc::string::String;

use fusionproxy_format::TensorId;

use super::{Bound, Shader, Writer, store, word};
use crate::graph::Graph;
use crate::{Options, ProgramError};

/// Invocations of the workgroup.
const INVOCATIONS: usize = 64;

/// The dispatch that computes the tensor `root` of one pixel.
pub(crate) fn wide(
    graph: &Graph<'_>,
    stored: &[bool],
    options: &Options,
    root: TensorId,
) -> Result<Shader, ProgramError> {
    let mut writer = Writer::new(graph, stored, options, root, Bound::Tensor(root));
    let mut main = String::new();
    writer.stage(root, &mut main)?;
    let f = writer.words(root)?;
    let node = graph.tensor(root);
    let statement = store(node.dtype, "b0", "c", &format!("{f}(0, 0, c)"));
    main.push_str(&each_word(node.words(), &statement));
    let main = format!(
        "@compute @workgroup_size({INVOCATIONS})\n\
         fn main(@builtin(local_invocation_index) lane: u32) {{\n{main}}}\n"
    );
    Ok(writer.finish(&main, [1, 1, 1]))
}

fn each_word(words: usize, statement: &str) -> String {
    format!("for (var c = i32(lane); c < {words}; c += {INVOCATIONS}) {{ {} }}\n", statement.trim_end())
}

impl Writer<'_, '_> {
    /// Has the inputs of the dense convolutions below `id` computed once, into memory that the workgroup shares, since each
    /// output of such a convolution takes them all.
    fn stage(&mut self, id: TensorId, main: &mut String) -> Result<(), ProgramError> {
        if !self.is_computed(id) || self.staged(id) {
            return Ok(());
        }
        let Some(entry) = self.graph.producer(id).copied() else { return Ok(()) };
        if matches!(entry.op, fusionproxy_format::Op::Reduce(_)) {
            return Ok(());
        }
        for input in entry.inputs {
            self.stage(input.get(), main)?;
        }
        let input = entry.inputs[0].get();
        let node = *self.graph.tensor(input);
        if self.graph.is_dense(id) && self.is_computed(input) && node.pixels() == 1 && !self.staged(input) {
            let f = self.words(input)?;
            let memory = self.name("s");
            let (kind, words) = (word(node.dtype), node.words());
            self.functions.push_str(&format!("var<workgroup> {memory}: array<{kind}, {words}>;\n"));
            main.push_str(&each_word(words, &format!("{memory}[c] = {f}(0, 0, c);")));
            main.push_str("workgroupBarrier();\n");
            self.define(input, &format!("return {memory}[c];"));
        }
        Ok(())
    }

    /// Whether a function of this tensor's words exists already.
    fn staged(&self, id: TensorId) -> bool {
        self.words.contains_key(&id)
    }
}
