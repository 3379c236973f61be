//! What programs consist of, without a device.

mod support;

use fusionproxy_format::{Activation, Artifact, Binary, BinaryOp, DType, FixedPoint, Op, Slice};
use fusionproxy_gpu::{Capabilities, Options, Program, ProgramError, Resource, Role, Source, Target};
use support::model;
use support::net::{Net, PLAIN};

/// One form of an adapter and of the frames.
fn forms() -> Vec<Options> {
    let mut forms = Vec::new();
    for (source, target) in
        [(Source::Grey, Target::Rgba), (Source::Rgba, Target::Rgba), (Source::Texture, Target::Texture)]
    {
        for infrared in [Source::Grey, source] {
            for (packed_dot, f16) in [(false, false), (true, true)] {
                let capabilities = Capabilities { packed_dot, f16, ..Capabilities::default() };
                let options = Options::new(120, 160);
                forms.push(Options { visible: source, infrared, fused: target, capabilities, ..options });
            }
        }
    }
    forms
}

fn networks() -> [Artifact<'static>; 4] {
    [
        model!("ultralight/ultralight.int8"),
        model!("ultralight/ultralight.fp16"),
        model!("nano/nano.int8"),
        model!("nano/nano.fp16"),
    ]
}

#[test]
fn shaders_are_valid_in_every_form() {
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    let mut checked = 0;
    for artifact in networks() {
        for options in forms() {
            let program = Program::new(&artifact, options).expect("a program");
            for pipeline in program.pipelines() {
                let module = naga::front::wgsl::parse_str(&pipeline.wgsl)
                    .unwrap_or_else(|e| panic!("{}\n{}", e.emit_to_string(&pipeline.wgsl), pipeline.wgsl));
                // Packing half-precision pairs is part of WGSL, their type is not.
                let mut features = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
                features.set(Capabilities::SHADER_FLOAT16, options.capabilities.f16);
                Validator::new(ValidationFlags::all(), features)
                    .validate(&module)
                    .unwrap_or_else(|e| panic!("{}\n{}", e.emit_to_string(&pipeline.wgsl), pipeline.wgsl));
                assert_eq!(
                    module.global_variables.iter().filter(|(_, v)| v.binding.is_some()).count(),
                    program
                        .dispatches()
                        .iter()
                        .find(|d| program.pipelines()[d.pipeline] == *pipeline)
                        .map_or(0, |d| d.bindings.len())
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 48 * 15, "{checked}");
}

#[test]
fn a_frame_takes_few_dispatches_and_moves_few_bytes() {
    // Dispatches, pipelines, bytes of weights, of device memory, read and written by a frame.
    let figures = |artifact: &Artifact<'_>| {
        let program = Program::new(artifact, Options::new(480, 640)).expect("a program");
        let (read, written) = program.frame_bytes();
        let weights = program.weights().len();
        (
            program.dispatches().len(),
            program.pipelines().len(),
            weights,
            program.device_bytes(),
            read,
            written,
        )
    };
    assert_eq!(
        networks().map(|artifact| figures(&artifact)),
        [
            (24, 19, 38_624, 8_064_264, 21_131_296, 12_109_520),
            (24, 19, 52_016, 13_338_496, 39_154_576, 22_976_800),
            (24, 19, 21_152, 5_665_976, 12_929_024, 7_149_936),
            (24, 19, 23_472, 8_548_320, 22_761_840, 13_063_584),
        ]
    );
}

#[test]
fn every_operator_is_computed_and_every_binding_is_in_its_buffer() {
    for artifact in networks() {
        let program = Program::new(&artifact, Options::new(75, 101)).expect("a program");
        let mut computed = vec![false; artifact.op_count()];
        for dispatch in program.dispatches() {
            dispatch.operators.iter().for_each(|op| computed[*op] = true);
            let mut written = None;
            for (i, binding) in dispatch.bindings.iter().enumerate() {
                let Resource::Buffer { buffer, offset, bytes } = binding.resource else {
                    panic!("a texture")
                };
                let size = program.buffers()[buffer].bytes;
                assert!(bytes > 0 && offset % 256 == 0 && offset + bytes <= size, "{}", dispatch.label);
                assert_eq!(binding.writes, i == 0);
                // A buffer is not read where it is written.
                assert_ne!(written, Some(buffer));
                written = written.or(Some(buffer));
            }
        }
        assert!(computed.iter().all(|c| *c), "{computed:?}");
        assert_eq!(program.buffers()[0].role, Role::Weights);
        assert_eq!(program.buffers()[0].bytes, program.weights().len());
    }
}

#[test]
fn nothing_is_read_that_was_not_written_or_has_been_overwritten() {
    for artifact in networks() {
        let program = Program::new(&artifact, Options::new(75, 101)).expect("a program");
        // The dispatch that wrote each buffer last, and what for.
        let mut holds: Vec<Option<usize>> = vec![None; program.buffers().len()];
        for (i, dispatch) in program.dispatches().iter().enumerate() {
            for binding in &dispatch.bindings {
                let Resource::Buffer { buffer, bytes, .. } = binding.resource else { continue };
                if program.buffers()[buffer].role != Role::Activations {
                    continue;
                }
                if binding.writes {
                    holds[buffer] = Some(bytes);
                } else {
                    assert_eq!(holds[buffer], Some(bytes), "dispatch {i}");
                }
            }
        }
    }
}

#[test]
fn json_says_what_the_program_says() {
    let mut options = Options::new(75, 101);
    options.visible = Source::Texture;
    let program = Program::new(&model!("nano/nano.int8"), options).expect("a program");
    let json: serde_json::Value = serde_json::from_str(&program.json()).expect("valid JSON");
    assert_eq!((&json["model"], &json["precision"]), (&"nano".into(), &"int8".into()));
    assert_eq!(json["parameters"], program.parameters());
    assert_eq!(json["height"], 75);
    assert_eq!(json["visible"], "texture");
    assert_eq!(json["infrared"], "grey");
    for (b, found) in program.buffers().iter().zip(json["buffers"].as_array().expect("a list")) {
        assert_eq!(*found, serde_json::json!({ "role": b.role.name(), "bytes": b.bytes }));
    }
    let wgsl: Vec<&str> =
        json["pipelines"].as_array().expect("a list").iter().filter_map(|p| p.as_str()).collect();
    assert!(wgsl.iter().eq(program.pipelines().iter().map(|p| &p.wgsl)));
    let dispatches = json["dispatches"].as_array().expect("a list");
    assert_eq!(dispatches.len(), program.dispatches().len());
    for (d, found) in program.dispatches().iter().zip(dispatches) {
        assert_eq!(
            (found["label"].as_str(), found["pipeline"].as_u64()),
            (Some(&*d.label), Some(d.pipeline as u64))
        );
        assert_eq!(found["workgroups"], serde_json::json!(d.workgroups));
        let bindings = d.bindings.iter().map(|b| match b.resource {
            Resource::Buffer { buffer, offset, bytes } => {
                serde_json::json!({ "buffer": buffer, "offset": offset, "bytes": bytes })
            }
            Resource::Texture(role) => serde_json::json!({ "texture": role.name() }),
        });
        assert_eq!(found["bindings"], serde_json::Value::Array(bindings.collect()));
    }
}

#[test]
fn limits_of_the_adapter_and_of_the_frame_are_errors_that_name_the_remedy() {
    let artifact = model!("nano/nano.int8");
    let with = |f: &dyn Fn(&mut Options)| {
        let mut options = Options::new(480, 640);
        f(&mut options);
        Program::new(&artifact, options).expect_err("an error")
    };
    let few = with(&|o| o.capabilities.storage_buffers = 3);
    assert!(matches!(few, ProgramError::Bindings { limit: 3, .. }));
    assert!(few.to_string().contains("maxStorageBuffersPerShaderStage"));
    let small = with(&|o| o.capabilities.binding_bytes = 1 << 20);
    assert!(matches!(small, ProgramError::Binding { limit: 1_048_576, .. }));
    assert!(matches!(with(&|o| o.height = 0), ProgramError::Plan(_)));
}

#[test]
fn what_is_read_twice_is_not_computed_twice() {
    // Doubled sixty times: computing each sum where it is read would take 2^60 steps.
    let mut net = Net::new(DType::F32);
    let mut x = net.same(net.visible, 4, 3);
    for _ in 0..60 {
        let fixed = FixedPoint { a: 1, b: 1, offset: 0, shift: 0 };
        let binary =
            Binary { op: BinaryOp::Add, fixed, scale: 1.0, activation: Activation::None, finish: PLAIN };
        let shape = net.shape(x);
        x = net.op(&Op::Binary(binary), &[x, x], shape);
        x = net.op(&Op::Slice(Slice { start: [0; 3] }), &[x], shape);
    }
    let bytes = net.finish(&[x]);
    let program = Program::new(&bytes.artifact(), Options::new(32, 32)).expect("a program");
    assert!(program.dispatches().iter().all(|d| d.operators.len() < 8));
}
