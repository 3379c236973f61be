// A straight line `(v - low) * scale / (high - low)`, as in `fusionproxy_core::gain`.
struct Ramp { base: i32, top: i32, slope: u32, bias: u32 }
// Gain control from frame to frame. Zeros say that no frame was seen.
struct State { low: i32, high: i32, follows: u32, ramp: Ramp, curve: array<u32, 1025> }
// Position of a value on the line, 20 fractional bits; 0 at and below its beginning.
fn position(r: Ramp, v: u32) -> u32 {
  let product = u32(clamp(i32(v) - r.base, 0, r.top)) * r.slope;
  return product - min(product, r.bias);
}
