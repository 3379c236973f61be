@group(0) @binding(1) var frame: texture_2d<f32>;

fn grey(p: vec2<i32>) -> i32 { return i32(luma(pack4x8unorm(textureLoad(frame, p, 0)))); }
