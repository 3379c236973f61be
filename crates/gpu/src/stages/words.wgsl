@group(0) @binding(1) var frame: texture_2d<u32>;
@group(0) @binding(3) var<storage, read> state: State;
@group(0) @binding(4) var<uniform> how: vec4<u32>;

fn grey(p: vec2<i32>) -> i32 {
  let at = position(state.ramp, textureLoad(frame, p, 0).r & how.x);
  if (SCALE == 255u) { return i32(min((at + (1u << 19u)) >> 20u, 255u)); }
  let limited = min(at, (1024u << 20u) - 1u);
  let low = state.curve[limited >> 20u];
  let high = state.curve[(limited >> 20u) + 1u];
  return i32((low * 4096u + (high - low) * ((limited >> 8u) & 0xfffu) + (1u << 19u)) >> 20u);
}
