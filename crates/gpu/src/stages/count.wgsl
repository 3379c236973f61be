// Counts the values of a frame of words, of every STEP-th pixel in both directions: each value, and above these, in 1024
// coarse bins.
@group(0) @binding(0) var<storage, read_write> histogram: array<atomic<u32>, 66560>;
@group(0) @binding(1) var frame: texture_2d<u32>;
@group(0) @binding(2) var<uniform> how: vec4<u32>;

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let p = id.xy * STEP;
  if (p.x >= INFRARED.x || p.y >= INFRARED.y) { return; }
  let v = textureLoad(frame, p, 0).r & how.x;
  atomicAdd(&histogram[v], 1u);
  atomicAdd(&histogram[65536u + (v >> how.y)], 1u);
}
