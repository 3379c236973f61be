//! Compiles an artifact to a WebGPU program for the npm package: numbers and addresses in linear memory, nothing else.
//!
//! 1. [`gpu_model`] gives room for an artifact; write its bytes there.
//! 2. [`gpu_compile`] compiles it. Then [`gpu_text`] is a list of two in JSON, the program and its stages (`docs/gpu.md`), and
//!    [`gpu_weights`] are its weights. If it gave 0, the text says why.
//!
//! An instance compiles one program and is dropped.
#![deny(unsafe_code)]

use std::cell::RefCell;

use fusionproxy_core::gain::GainSettings;
use fusionproxy_format::Artifact;
use fusionproxy_gpu::{Capabilities, Options, Program, Source, Stages, Target};

/// What the instance holds.
struct State {
    /// Room for the artifact, aligned to 64 bytes within.
    room: Vec<u8>,
    start: usize,
    text: String,
    weights: Vec<u8>,
}

thread_local! {
    static STATE: RefCell<State> =
        const { RefCell::new(State { room: Vec::new(), start: 0, text: String::new(), weights: Vec::new() }) };
}

/// Makes room for an artifact of `len` bytes and gives its address.
#[allow(unsafe_code)] // The name is this crate's own: nothing else in the module exports it. So for all below.
#[unsafe(no_mangle)]
pub extern "C" fn gpu_model(len: usize) -> *mut u8 {
    STATE.with_borrow_mut(|state| {
        state.room = vec![0; len + 63];
        state.start = state.room.as_ptr().align_offset(64);
        state.room[state.start..].as_mut_ptr()
    })
}

/// Compiles the artifact of `len` bytes for frames of `width` x `height` px (a visible texture, an infrared buffer of grey, a
/// fused buffer) and infrared textures of `infrared_width` x `infrared_height` px. `gain`: 0 plateau equalisation that follows
/// a video, 1 linear for single pictures. `packed_dot` and `f16`: 1 for what the device has; then its `maxStorageBuffersPerShaderStage` and
/// `maxStorageBufferBindingSize`. Gives 1, or 0 if it cannot be compiled.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn gpu_compile(
    len: usize,
    width: usize,
    height: usize,
    infrared_width: usize,
    infrared_height: usize,
    gain: u32,
    packed_dot: u32,
    f16: u32,
    storage_buffers: usize,
    binding_bytes: usize,
) -> u32 {
    let capabilities =
        Capabilities { packed_dot: packed_dot == 1, f16: f16 == 1, storage_buffers, binding_bytes };
    let options = Options {
        capabilities,
        visible: Source::Texture,
        infrared: Source::Grey,
        fused: Target::Rgba,
        ..Options::new(height, width)
    };
    STATE.with_borrow_mut(|state| {
        let bytes = state.room.get(state.start..).and_then(|b| b.get(..len)).unwrap_or_default();
        let gain = if gain == 1 { GainSettings::STILL } else { GainSettings::DEFAULT };
        match compile(bytes, options, (infrared_width, infrared_height), gain) {
            Ok((text, weights)) => {
                (state.text, state.weights) = (text, weights);
                1
            }
            Err(why) => {
                state.text = why;
                0
            }
        }
    })
}

/// The text and the weights, or why there are none.
fn compile(
    bytes: &[u8],
    options: Options,
    infrared: (usize, usize),
    gain: GainSettings,
) -> Result<(String, Vec<u8>), String> {
    let artifact = Artifact::new(bytes).map_err(|e| e.to_string())?;
    let program = Program::new(&artifact, options).map_err(|e| e.to_string())?;
    let stages = Stages::new(infrared, (options.width, options.height), gain).map_err(|e| e.to_string())?;
    Ok((format!("[{},{}]", program.json(), stages.json()), program.weights().to_vec()))
}

/// Address of the text.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn gpu_text() -> *const u8 {
    STATE.with_borrow(|state| state.text.as_ptr())
}

/// Length of the text in bytes.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn gpu_text_bytes() -> usize {
    STATE.with_borrow(|state| state.text.len())
}

/// Address of the weights.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn gpu_weights() -> *const u8 {
    STATE.with_borrow(|state| state.weights.as_ptr())
}

/// Length of the weights in bytes.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn gpu_weights_bytes() -> usize {
    STATE.with_borrow(|state| state.weights.len())
}
