// The infrared frame in the visible one's geometry, four pixels an invocation: bilinear with 8 fractional bits, edges
// replicated, as `fusionproxy_core::align::Warp`. `positions` are those of the columns, then those of the rows.
@group(0) @binding(0) var<storage, read_write> aligned: array<u32>;
@group(0) @binding(2) var<storage, read> positions: array<i32>;

fn pixel(i: u32) -> u32 {
  let last = vec2<i32>(INFRARED) - 1;
  let from_ = vec2<i32>(positions[i % VISIBLE.x], positions[VISIBLE.x + i / VISIBLE.x]);
  let p = clamp((from_ + 128) >> vec2<u32>(8u), vec2<i32>(0), last << vec2<u32>(8u));
  let a = max(min(p >> vec2<u32>(8u), last - 1), vec2<i32>(0));
  let b = min(a + 1, last);
  let f = p - (a << vec2<u32>(8u));
  let left = vec2<i32>(grey(a), grey(vec2<i32>(a.x, b.y)));
  let right = vec2<i32>(grey(vec2<i32>(b.x, a.y)), grey(b));
  let rows = left * 256 + (right - left) * f.x;
  return u32((rows.x * 256 + (rows.y - rows.x) * f.y + 32768) >> 16u);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let word = id.y * 1024u + id.x;
  let pixels = VISIBLE.x * VISIBLE.y;
  if (4u * word >= pixels) { return; }
  var bytes = 0u;
  for (var k = 0u; k < 4u && 4u * word + k < pixels; k++) { bytes |= pixel(4u * word + k) << (8u * k); }
  aligned[word] = bytes;
}
