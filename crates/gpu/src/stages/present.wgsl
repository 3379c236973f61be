// Draws the fused frame, pixel by pixel.
@group(0) @binding(0) var<storage, read> fused: array<u32>;

@vertex
fn corner(@builtin(vertex_index) i: u32) -> @builtin(position) vec4<f32> {
  // One triangle over the whole target.
  return vec4<f32>(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}

@fragment
fn pixel(@builtin(position) p: vec4<f32>) -> @location(0) vec4<f32> {
  return unpack4x8unorm(fused[u32(p.y) * VISIBLE.x + u32(p.x)]);
}
