// Moves the transfer curve towards the frame whose values were counted: `GainControl::observe` in one workgroup. Each
// invocation has four of the 1024 bins.
@group(0) @binding(0) var<storage, read_write> state: State;
@group(0) @binding(1) var<storage, read_write> histogram: array<u32, 66560>;
@group(0) @binding(2) var<uniform> how: vec4<u32>;

const BINS = 1024u;
var<workgroup> bins: array<atomic<u32>, BINS>;
var<workgroup> sums: array<u32, 256>;
var<workgroup> range: vec4<u32>;
var<workgroup> ends: vec2<u32>;
var<workgroup> limits: vec2<i32>;
var<workgroup> ramp: Ramp;

// Numbers of 64 bits are a low and a high word.
fn product(a: u32, b: u32) -> vec2<u32> {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return vec2<u32>((other << 16u) | (low & 0xffffu), (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u));
}
fn sum(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let low = a.x + b.x;
  return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}
fn negated(a: vec2<u32>) -> vec2<u32> { return sum(~a, vec2<u32>(1u, 0u)); }
// By a divisor below 2^31: quotient, remainder.
fn divided(n: vec2<u32>, by: u32) -> vec3<u32> {
  var quotient = n;
  var rest = 0u;
  for (var i = 0u; i < 64u; i++) {
    rest = (rest << 1u) | (quotient.y >> 31u);
    quotient = vec2<u32>(quotient.x << 1u, (quotient.y << 1u) | (quotient.x >> 31u));
    if (rest >= by) {
      rest -= by;
      quotient.x |= 1u;
    }
  }
  return vec3<u32>(quotient, rest);
}

// One step of the first-order filter; the difference is split so that no product needs more than 32 bits.
fn approach(old: i32, new_: i32, weight: u32) -> i32 {
  let d = new_ - old;
  let low = (u32(d & 0xffff) * weight + 32768u) >> 16u;
  return old + (d >> 16u) * i32(weight) + i32(low);
}

fn ramp_to(scale: u32, between: vec2<i32>) -> Ramp {
  let span = u32(max(between.y - between.x, 256));
  let by = divided(vec2<u32>(scale << 28u, scale >> 4u), span);
  let slope = by.x + select(0u, 1u, by.z > 0u);
  let fraction = u32(between.x & 255);
  let bias = (slope >> 8u) * fraction + (((slope & 255u) * fraction) >> 8u);
  return Ramp(between.x >> 8u, i32(span >> 8u) + 2, slope, bias);
}

// The bin of pixel number `rank` (from 1) in ascending order, and how many pixels lie below it.
fn find(rank: u32) -> vec2<u32> {
  var below = 0u;
  for (var b = 0u; b < BINS; b++) {
    let n = atomicLoad(&bins[b]);
    if (below + n >= rank) { return vec2<u32>(b, below); }
    below += n;
  }
  return vec2<u32>(BINS - 1u, below);
}

fn clear(i: u32) {
  for (var b = i; b < BINS; b += 256u) { atomicStore(&bins[b], 0u); }
  workgroupBarrier();
}

// What the invocations before this one have in sum, and all of them.
fn scan(i: u32, own: u32) -> vec2<u32> {
  sums[i] = own;
  workgroupBarrier();
  for (var d = 1u; d < 256u; d <<= 1u) {
    let before = select(0u, sums[max(i, d) - d], i >= d);
    workgroupBarrier();
    sums[i] += before;
    workgroupBarrier();
  }
  let found = vec2<u32>(sums[i] - own, sums[255]);
  workgroupBarrier();
  return found;
}

// Points of the old curve at those of the new one, so that both are mixed value by value.
struct Rebase { start: vec2<u32>, step: vec2<u32> }
fn rebase(old: vec2<i32>, now: vec2<i32>) -> Rebase {
  let span = u32(max(old.y - old.x, 256));
  let moved = now.x - old.x;
  let far = u32(abs(moved));
  let start = divided(vec2<u32>(far << 30u, far >> 2u), span).xy;
  let wide = u32(max(now.y - now.x, 256));
  let step = divided(vec2<u32>(wide << 20u, wide >> 12u), span).xy;
  if (moved < 0) { return Rebase(negated(start), step); }
  return Rebase(start, step);
}
fn old_level(r: Rebase, point: u32) -> i32 {
  var along = product(r.step.x, point);
  along.y += r.step.y * point;
  let at = sum(r.start, along);
  var position = at.x;
  if (at.y != 0u || position > BINS << 20u) { position = select(BINS << 20u, 0u, bitcast<i32>(at.y) < 0); }
  let p = position >> 20u;
  let low = state.curve[p];
  let high = state.curve[min(p + 1u, BINS)];
  return i32(low + (((high - low) * ((position >> 8u) & 0xfffu) + 2048u) >> 12u));
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) i: u32) {
  let weight = select(65536u, WEIGHT, state.follows == how.w && how.z == 0u);
  let old = vec2<i32>(state.low, state.high);

  for (var b = i; b < BINS; b += 256u) {
    atomicStore(&bins[b], histogram[65536u + b]);
    histogram[65536u + b] = 0u;
  }
  workgroupBarrier();
  if (i == 0u) {
    ends = vec2<u32>(find(1u).x, find(COUNTED).x + 1u) << vec2<u32>(how.y);
    let low = find(LOW_RANK);
    let width = (find(HIGH_RANK).x + 1u - low.x) << how.y;
    var fine = 0u;
    while ((width - 1u) >> fine >= BINS) { fine++; }
    range = vec4<u32>(low.x << how.y, fine, LOW_RANK - low.y, HIGH_RANK - low.y);
  }
  workgroupBarrier();

  let within = range;
  // No value lies outside.
  let all_in = ends;
  clear(i);
  for (var v = within.x + i; v < all_in.y; v += 256u) {
    let bin = (v - within.x) >> within.y;
    if (bin < BINS) { atomicAdd(&bins[bin], histogram[v]); }
  }
  workgroupBarrier();
  if (i == 0u) {
    let first = find(within.z).x << within.y;
    let last = (find(within.w).x << within.y) + (1u << within.y) - 1u;
    var goal = vec2<i32>(min(vec2<u32>(within.x) + vec2<u32>(first, last), vec2<u32>(65535u))) * 256;
    if (goal.y - goal.x < MIN_SPAN * 256) {
      let start = (goal.x + goal.y) / 2 - MIN_SPAN * 128;
      goal = vec2<i32>(start, start + MIN_SPAN * 256);
    }
    limits = vec2<i32>(approach(old.x, goal.x, weight), approach(old.y, goal.y, weight));
    ramp = ramp_to(SCALE, limits);
    state.low = limits.x;
    state.high = limits.y;
    state.follows = how.w;
    state.ramp = ramp;
  }
  workgroupBarrier();

  clear(i);
  let line = ramp;
  for (var v = all_in.x + i; v < all_in.y; v += 256u) {
    let n = histogram[v];
    if (n > 0u) { atomicAdd(&bins[min(position(line, v) >> 20u, BINS - 1u)], n); }
    histogram[v] = 0u;
  }
  workgroupBarrier();
  if (SCALE == BINS) {
    var own: array<u32, 4>;
    var all = 0u;
    for (var k = 0u; k < 4u; k++) {
      own[k] = min(atomicLoad(&bins[4u * i + k]), PLATEAU);
      all += own[k];
    }
    let per_pixel = LEVELS / max(scan(i, all).y, 1u);
    let span = u32(limits.y - limits.x);
    // 255 levels over MIN_SPAN counts is the largest gain.
    let most = divided(product(65280u, span), BINS * u32(MIN_SPAN)).x;
    all = 0u;
    for (var k = 0u; k < 4u; k++) {
      own[k] = min((own[k] * per_pixel) >> 8u, most);
      all += own[k];
    }
    let risen = scan(i, all);
    let linear = (255u << 16u) - risen.y;
    let from_old = rebase(old, limits);
    var level = risen.x;
    for (var k = 0u; k < 4u; k++) {
      let point = 4u * i + k + 1u;
      level += own[k];
      let straight = (linear >> 10u) * point + (((linear & 1023u) * point) >> 10u);
      own[k] = u32(approach(old_level(from_old, point), i32((level + straight) >> 8u), weight));
    }
    let black = u32(approach(old_level(from_old, 0u), 0, weight));
    storageBarrier();
    for (var k = 0u; k < 4u; k++) { state.curve[4u * i + k + 1u] = own[k]; }
    if (i == 0u) { state.curve[0] = black; }
  }
}
