// A video's picture, converted by the browser, as a texture that networks read.
@group(0) @binding(0) var taken: texture_storage_2d<rgba8unorm, write>;
@group(0) @binding(1) var video: texture_external;

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (any(id.xy >= textureDimensions(taken))) { return; }
  let p = min(id.xy, textureDimensions(video) - 1u);
  textureStore(taken, id.xy, vec4<f32>(textureLoad(video, p).rgb, 1.0));
}
