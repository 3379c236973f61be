//! What exporters write out is fused to one operator, and still computes the same.

use fusionproxy_compiler::Compiled;

use crate::net::{Attr, Net};

/// Number of operators of a kind.
fn count(c: &Compiled, kind: &str) -> usize {
    c.report.operators.get(kind).copied().unwrap_or(0)
}

/// Asserts the whole list of operators.
fn operators(c: &Compiled, want: &[(&str, usize)]) {
    let have: Vec<(&str, usize)> = c.report.operators.iter().map(|(k, n)| (k.as_str(), *n)).collect();
    assert_eq!(have, want);
}

/// A convolution followed by `f` compiles to convolutions alone: the activation is part of one of them.
fn activation(f: impl Fn(&mut Net, &str) -> String) {
    let mut n = Net::new(17);
    let x = n.features(4);
    let y = f(&mut n, &x);
    n.finish(&y, 4);
    operators(&n.exact(), &[("concat", 1), ("conv", 2)]);
}

#[test]
fn batch_normalisation_folds() {
    for transposed in [false, true] {
        let mut n = Net::new(17);
        let x = n.node("Concat", &["vis", "ir"], &[("axis", Attr::Int(1))]);
        let x = if transposed {
            let x = n.conv(&x, 2, 4, 3, 2);
            let w = n.weights(&[4, 4, 4, 4]);
            n.node(
                "ConvTranspose",
                &[&x, &w],
                &[("strides", Attr::Ints(vec![2; 2])), ("pads", Attr::Ints(vec![1; 4]))],
            )
        } else {
            n.conv(&x, 2, 4, 3, 1)
        };
        let [g, b, m] = [0; 3].map(|_| n.weights(&[4]));
        let v = n.floats(&[4], &[0.5, 1.0, 1.5, 0.8]);
        let y = n.node("BatchNormalization", &[&x, &g, &b, &m, &v], &[]);
        let y = n.node("Relu", &[&y], &[]);
        n.finish(&y, 4);
        let c = n.exact();
        if transposed {
            operators(&c, &[("concat", 1), ("conv", 2), ("conv_transpose", 1)]);
        } else {
            operators(&c, &[("concat", 1), ("conv", 2)]);
        }
    }
}

#[test]
fn plain_activations() {
    for op in ["Relu", "Sigmoid", "Tanh", "HardSwish", "LeakyRelu", "HardSigmoid", "Abs"] {
        activation(|n, x| n.node(op, &[x], &[]));
    }
    activation(|n, x| {
        let (lo, hi) = (n.floats(&[], &[0.0]), n.floats(&[], &[6.0]));
        n.node("Clip", &[x, &lo, &hi], &[])
    });
}

#[test]
fn gelu_by_erf() {
    activation(|n, x| {
        let (root, one, half) = (n.floats(&[], &[2f32.sqrt()]), n.floats(&[], &[1.0]), n.floats(&[], &[0.5]));
        let e = n.node("Div", &[x, &root], &[]);
        let e = n.node("Erf", &[&e], &[]);
        let e = n.node("Add", &[&e, &one], &[]);
        let y = n.node("Mul", &[x, &e], &[]);
        n.node("Mul", &[&y, &half], &[])
    });
}

#[test]
fn gelu_by_tanh() {
    activation(|n, x| {
        let [half, one, k, c] =
            [0.5, 1.0, 0.044_715, (2.0 / std::f32::consts::PI).sqrt()].map(|v| n.floats(&[], &[v]));
        let three = n.floats(&[], &[3.0]);
        let p = n.node("Pow", &[x, &three], &[]);
        let p = n.node("Mul", &[&k, &p], &[]);
        let p = n.node("Add", &[x, &p], &[]);
        let p = n.node("Mul", &[&p, &c], &[]);
        let p = n.node("Tanh", &[&p], &[]);
        let p = n.node("Add", &[&one, &p], &[]);
        let h = n.node("Mul", &[&half, x], &[]);
        n.node("Mul", &[&h, &p], &[])
    });
}

#[test]
fn silu_and_hard_swish_written_out() {
    activation(|n, x| {
        let s = n.node("Sigmoid", &[x], &[]);
        n.node("Mul", &[&s, x], &[])
    });
    activation(|n, x| {
        let [three, six, zero, again] = [3.0, 6.0, 0.0, 6.0].map(|v| n.floats(&[], &[v]));
        let y = n.node("Add", &[x, &three], &[]);
        let y = n.node("Clip", &[&y, &zero, &again], &[]);
        let y = n.node("Mul", &[x, &y], &[]);
        n.node("Div", &[&y, &six], &[])
    });
    activation(|n, x| {
        let y = n.node("HardSigmoid", &[x], &[("alpha", Attr::Float(1.0 / 6.0)), ("beta", Attr::Float(0.5))]);
        n.node("Mul", &[x, &y], &[])
    });
}

#[test]
fn per_channel_scales_fold() {
    let mut n = Net::new(13);
    let x = n.features(4);
    let (s, t) = (n.weights(&[1, 4, 1, 1]), n.weights(&[4, 1, 1]));
    let y = n.node("Mul", &[&x, &s], &[]);
    let y = n.node("Sub", &[&t, &y], &[]);
    n.finish(&y, 4);
    operators(&n.exact(), &[("concat", 1), ("conv", 2)]);
}

#[test]
fn a_per_channel_scale_alone_is_a_depthwise_convolution() {
    let mut n = Net::new(13);
    let x = n.features(4);
    let s = n.weights(&[1, 4, 1, 1]);
    let y = n.node("Mul", &[&x, &s], &[]);
    let z = n.node("Add", &[&x, &y], &[]);
    n.finish(&z, 4);
    operators(&n.exact(), &[("binary", 1), ("concat", 1), ("conv", 3)]);
}

#[test]
fn padding_joins_its_convolution() {
    for (mode, pads) in [("constant", 0), ("reflect", 1), ("edge", 1)] {
        let mut n = Net::new(13);
        let x = n.features(4);
        let p = n.ints(&[0, 0, 1, 1, 0, 0, 1, 1]);
        let y = n.node("Pad", &[&x, &p], &[("mode", Attr::Text(mode))]);
        let w = n.weights(&[4, 4, 3, 3]);
        let y = n.node("Conv", &[&y, &w], &[]);
        n.finish(&y, 4);
        let c = n.exact();
        assert_eq!((count(&c, "conv"), count(&c, "pad")), (3, pads), "{mode}");
    }
}

/// LayerNorm over channels of `[1, C, H, W]`, written out.
fn written_out_norm(n: &mut Net, x: &str, axis: i64, reciprocal: bool) -> String {
    let axes = ("axes", Attr::Ints(if axis == 1 { vec![1] } else { vec![2, 3] }));
    let (two, eps) = (n.floats(&[], &[2.0]), n.floats(&[], &[1e-5]));
    let m = n.node("ReduceMean", &[x], std::slice::from_ref(&axes));
    let d = n.node("Sub", &[x, &m], &[]);
    let v = n.node("Pow", &[&d, &two], &[]);
    let v = n.node("ReduceMean", &[&v], &[axes]);
    let v = n.node("Add", &[&v, &eps], &[]);
    let v = n.node("Sqrt", &[&v], &[]);
    let y = if reciprocal {
        let v = n.node("Reciprocal", &[&v], &[]);
        n.node("Mul", &[&d, &v], &[])
    } else {
        n.node("Div", &[&d, &v], &[])
    };
    let (g, b) = (n.weights(&[1, 6, 1, 1]), n.weights(&[1, 6, 1, 1]));
    let y = n.node("Mul", &[&y, &g], &[]);
    n.node("Add", &[&y, &b], &[])
}

#[test]
fn written_out_normalisations() {
    for (axis, reciprocal) in [(1, false), (1, true), (2, false), (2, true)] {
        let mut n = Net::new(13);
        let x = n.features(6);
        let y = written_out_norm(&mut n, &x, axis, reciprocal);
        n.finish(&y, 6);
        operators(&n.exact(), &[("concat", 1), ("conv", 2), ("norm", 1)]);
    }
}

#[test]
fn channels_last_layer_norm_and_linear_layers() {
    let mut n = Net::new(17);
    let x = n.features(6);
    let y = n.node("Transpose", &[&x], &[("perm", Attr::Ints(vec![0, 2, 3, 1]))]);
    let (g, b) = (n.weights(&[6]), n.weights(&[6]));
    let y = n.node("LayerNormalization", &[&y, &g, &b], &[("axis", Attr::Int(-1))]);
    let (w, c) = (n.weights(&[6, 12]), n.weights(&[12]));
    let y = n.node("MatMul", &[&y, &w], &[]);
    let y = n.node("Add", &[&c, &y], &[]);
    let y = n.node("Relu", &[&y], &[]);
    let w = n.weights(&[12, 6]);
    let y = n.node("MatMul", &[&y, &w], &[]);
    let y = n.node("Transpose", &[&y], &[("perm", Attr::Ints(vec![0, 3, 1, 2]))]);
    let y = n.node("Add", &[&x, &y], &[]);
    n.finish(&y, 6);
    operators(&n.exact(), &[("binary", 1), ("concat", 1), ("conv", 4), ("norm", 1)]);
}

#[test]
fn global_response_normalisation() {
    let mut n = Net::new(13);
    let x = n.features(6);
    let eps = n.floats(&[], &[1e-6]);
    let g = n.node("ReduceL2", &[&x], &[("axes", Attr::Ints(vec![2, 3]))]);
    let m = n.node("ReduceMean", &[&g], &[("axes", Attr::Ints(vec![1]))]);
    let m = n.node("Add", &[&m, &eps], &[]);
    let r = n.node("Div", &[&g, &m], &[]);
    let y = n.node("Mul", &[&x, &r], &[]);
    let (w, b) = (n.weights(&[1, 6, 1, 1]), n.weights(&[1, 6, 1, 1]));
    let y = n.node("Mul", &[&w, &y], &[]);
    let y = n.node("Add", &[&b, &y], &[]);
    let y = n.node("Add", &[&x, &y], &[]);
    n.finish(&y, 6);
    operators(&n.exact(), &[("concat", 1), ("conv", 2), ("norm", 1)]);
}

#[test]
fn pixel_shuffle_as_operator_and_as_reshapes() {
    for mode in ["CRD", "DCR"] {
        let mut n = Net::new(13);
        let x = n.node("Concat", &["vis", "ir"], &[("axis", Attr::Int(1))]);
        let x = n.conv(&x, 2, 12, 3, 2);
        let y = n.node("DepthToSpace", &[&x], &[("blocksize", Attr::Int(2)), ("mode", Attr::Text(mode))]);
        n.finish(&y, 3);
        operators(&n.exact(), &[("concat", 1), ("conv", 2), ("pixel_shuffle", 1)]);
    }
    // As the TorchScript exporter writes it, with the shape taken from the graph.
    let mut n = Net::new(13);
    let x = n.node("Concat", &["vis", "ir"], &[("axis", Attr::Int(1))]);
    let x = n.conv(&x, 2, 12, 3, 2);
    let shape = n.node("Shape", &[&x], &[]);
    let (i2, i3) = (n.ints(&[2]), n.ints(&[3]));
    let (h, w) = (n.node("Gather", &[&shape, &i2], &[]), n.node("Gather", &[&shape, &i3], &[]));
    let lead = n.ints(&[1, 3, 2, 2]);
    let to = n.node("Concat", &[&lead, &h, &w], &[("axis", Attr::Int(0))]);
    let y = n.node("Reshape", &[&x, &to], &[]);
    let y = n.node("Transpose", &[&y], &[("perm", Attr::Ints(vec![0, 1, 4, 2, 5, 3]))]);
    let two = n.ints(&[2]);
    let (h, w) = (n.node("Mul", &[&h, &two], &[]), n.node("Mul", &[&w, &two], &[]));
    let lead = n.ints(&[1, 3]);
    let to = n.node("Concat", &[&lead, &h, &w], &[("axis", Attr::Int(0))]);
    let y = n.node("Reshape", &[&y, &to], &[]);
    n.finish(&y, 3);
    let c = n.exact();
    operators(&c, &[("concat", 1), ("conv", 2), ("pixel_shuffle", 1)]);
    assert_eq!((c.report.stride, c.report.fixed_size), (2, None));
}

/// clip(vis + sigmoid(a) * (ir - vis) + gain * tanh(b), 0, 1) in one of its algebraic forms.
fn blend(n: &mut Net, a: &str, b: Option<&str>, other_form: bool) {
    let w = n.node("Sigmoid", &[a], &[]);
    let mut y = if other_form {
        let one = n.floats(&[], &[1.0]);
        let v = n.node("Sub", &[&one, &w], &[]);
        let (v, i) = (n.node("Mul", &["vis", &v], &[]), n.node("Mul", &["ir", &w], &[]));
        n.node("Add", &[&v, &i], &[])
    } else {
        let d = n.node("Sub", &["ir", "vis"], &[]);
        let d = n.node("Mul", &[&w, &d], &[]);
        n.node("Add", &["vis", &d], &[])
    };
    if let Some(b) = b {
        let t = n.node("Tanh", &[b], &[]);
        let k = n.floats(&[], &[0.25]);
        let t = n.node("Mul", &[&t, &k], &[]);
        y = n.node("Add", &[&y, &t], &[]);
    }
    let (lo, hi) = (n.floats(&[], &[0.0]), n.floats(&[], &[1.0]));
    n.node_to("Clip", &[&y, &lo, &hi], &["fused"], &[]);
}

#[test]
fn the_composition_of_the_image_is_one_operator() {
    for other_form in [false, true] {
        for mode in ["CRD", "DCR"] {
            let mut n = Net::new(18);
            let x = n.node("Concat", &["vis", "ir"], &[("axis", Attr::Int(1))]);
            let x = n.conv(&x, 2, 8, 3, 2);
            let y = n.node("DepthToSpace", &[&x], &[("blocksize", Attr::Int(2)), ("mode", Attr::Text(mode))]);
            let sizes = n.ints(&[1, 1]);
            n.node_to("Split", &[&y, &sizes], &["a", "b"], &[("axis", Attr::Int(1))]);
            blend(&mut n, "a", Some("b"), other_form);
            operators(&n.exact(), &[("blend", 1), ("concat", 1), ("conv", 1)]);
        }
    }
}

#[test]
fn a_composition_without_residual_or_shuffle() {
    let mut n = Net::new(18);
    let x = n.features(4);
    let a = n.conv(&x, 4, 1, 1, 1);
    blend(&mut n, &a, None, false);
    operators(&n.exact(), &[("blend", 1), ("concat", 1), ("conv", 2)]);
}

#[test]
fn a_channel_gate() {
    let mut n = Net::new(18);
    let x = n.features(8);
    let axes = n.ints(&[2, 3]);
    let g = n.node("ReduceMean", &[&x, &axes], &[("keepdims", Attr::Int(1))]);
    let g = n.conv(&g, 8, 4, 1, 1);
    let g = n.node("Relu", &[&g], &[]);
    let g = n.conv(&g, 4, 8, 1, 1);
    let g = n.node("Sigmoid", &[&g], &[]);
    let y = n.node("Mul", &[&g, &x], &[]);
    n.finish(&y, 8);
    operators(&n.exact(), &[("binary", 1), ("concat", 1), ("conv", 4), ("reduce", 1)]);
}

#[test]
fn a_spatial_gate_and_flattened_linear_layers() {
    let mut n = Net::new(13);
    let x = n.features(6);
    let mean = n.node("ReduceMean", &[&x], &[("axes", Attr::Ints(vec![1]))]);
    let max = n.node("ReduceMax", &[&x], &[("axes", Attr::Ints(vec![1]))]);
    let s = n.node("Concat", &[&mean, &max], &[("axis", Attr::Int(1))]);
    let s = n.conv(&s, 2, 1, 7, 1);
    let s = n.node("Sigmoid", &[&s], &[]);
    let y = n.node("Mul", &[&x, &s], &[]);
    // Squeeze and excitation through Flatten and Gemm.
    let p = n.node("GlobalAveragePool", &[&y], &[]);
    let p = n.node("Flatten", &[&p], &[]);
    let (w, b) = (n.weights(&[6, 6]), n.weights(&[6]));
    let p = n.node("Gemm", &[&p, &w, &b], &[("transB", Attr::Int(1))]);
    let axes = n.ints(&[2, 3]);
    let p = n.node("Unsqueeze", &[&p, &axes], &[]);
    let y = n.node("Mul", &[&y, &p], &[]);
    n.finish(&y, 6);
    let c = n.exact();
    assert_eq!((count(&c, "reduce"), count(&c, "conv"), count(&c, "reshape")), (3, 4, 0));
}

#[test]
fn upsampling_by_scales_and_by_sizes_of_the_graph() {
    for by_size in [false, true] {
        for (mode, convention) in
            [("nearest", "asymmetric"), ("linear", "half_pixel"), ("linear", "align_corners")]
        {
            let mut n = Net::new(13);
            let f = n.features(4);
            let x = n.conv(&f, 4, 4, 3, 2);
            let mut attributes =
                vec![("mode", Attr::Text(mode)), ("coordinate_transformation_mode", Attr::Text(convention))];
            if mode == "nearest" {
                attributes.push(("nearest_mode", Attr::Text("floor")));
            }
            let y = if by_size {
                let s = n.node("Shape", &[&f], &[]);
                let empty = n.floats(&[0], &[]);
                n.node("Resize", &[&x, "", &empty, &s], &attributes)
            } else {
                let s = n.floats(&[4], &[1.0, 1.0, 2.0, 2.0]);
                n.node("Resize", &[&x, "", &s], &attributes)
            };
            let y = n.node("Add", &[&f, &y], &[]);
            n.finish(&y, 4);
            let c = n.exact();
            assert_eq!((count(&c, "resize"), c.report.stride, c.report.fixed_size), (1, 2, None));
        }
    }
}

#[test]
fn attention_over_pixels() {
    let (dim, heads, depth) = (8, 2, 4);
    let mut n = Net::bare(17)
        .input("vis", &[Some(1), Some(1), Some(32), Some(40)])
        .input("ir", &[Some(1), Some(1), Some(32), Some(40)])
        .output("fused");
    let x = n.node("Concat", &["vis", "ir"], &[("axis", Attr::Int(1))]);
    let x = n.conv(&x, 2, dim, 3, 2);
    let x = n.conv(&x, dim, dim, 3, 2);
    let shape = n.ints(&[1, heads, depth, 80]);
    let token = |n: &mut Net, perm: Option<[i64; 4]>| {
        let y = n.conv(&x, dim, dim, 1, 1);
        let y = n.node("Reshape", &[&y, &shape], &[]);
        match perm {
            Some(p) => n.node("Transpose", &[&y], &[("perm", Attr::Ints(p.to_vec()))]),
            None => y,
        }
    };
    let q = token(&mut n, Some([0, 1, 3, 2]));
    let k = token(&mut n, None);
    let v = token(&mut n, Some([0, 1, 3, 2]));
    let scale = n.floats(&[], &[0.5]);
    let s = n.node("MatMul", &[&q, &k], &[]);
    let s = n.node("Mul", &[&s, &scale], &[]);
    let bias = n.weights(&[2, 80, 80]);
    let s = n.node("Add", &[&s, &bias], &[]);
    let s = n.conv(&s, 2, 2, 1, 1);
    let s = n.node("Softmax", &[&s], &[("axis", Attr::Int(-1))]);
    let y = n.node("MatMul", &[&s, &v], &[]);
    let y = n.node("Transpose", &[&y], &[("perm", Attr::Ints(vec![0, 1, 3, 2]))]);
    let back = n.ints(&[1, 8, 8, 10]);
    let y = n.node("Reshape", &[&y, &back], &[]);
    let w = n.weights(&[8, 4, 4, 4]);
    let y = n.node("ConvTranspose", &[&y, &w], &[("strides", Attr::Ints(vec![4; 2]))]);
    n.finish(&y, 4);
    let c = n.exact();
    assert_eq!((count(&c, "matmul"), count(&c, "softmax")), (2, 1));
    assert_eq!(c.report.fixed_size, Some((32, 40)));
    assert!(c.report.fixed_reason.is_some());
}

#[test]
fn other_forms_of_cutting_and_joining() {
    let mut n = Net::new(13);
    let x = n.features(8);
    let (s, e, a) = (n.ints(&[2]), n.ints(&[6]), n.ints(&[1]));
    let y = n.node("Slice", &[&x, &s, &e, &a], &[]);
    n.node_to("Split", &[&x], &["p", "q"], &[("axis", Attr::Int(1))]);
    let z = n.node("Max", &[&y, "p", "q"], &[]);
    let z = n.node(
        "MaxPool",
        &[&z],
        &[("kernel_shape", Attr::Ints(vec![3, 3])), ("pads", Attr::Ints(vec![1; 4]))],
    );
    let slope = n.weights(&[4, 1, 1]);
    let z = n.node("PRelu", &[&z, &slope], &[]);
    let z = n.node(
        "AveragePool",
        &[&z],
        &[("kernel_shape", Attr::Ints(vec![3, 3])), ("pads", Attr::Ints(vec![1; 4]))],
    );
    let z = n.node("InstanceNormalization", &[&z, "g", "b"], &[]);
    let g = n.weights(&[4]);
    let b = n.weights(&[4]);
    for node in &mut n.graph().node {
        for i in &mut node.input {
            if i == "g" {
                i.clone_from(&g);
            } else if i == "b" {
                i.clone_from(&b);
            }
        }
    }
    n.finish(&z, 4);
    let c = n.exact();
    assert_eq!((count(&c, "pool"), count(&c, "prelu"), count(&c, "binary"), count(&c, "norm")), (2, 1, 2, 1));
}
