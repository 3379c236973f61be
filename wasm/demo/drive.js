// The synthetic drive, drawn by the project's scene generator in WebAssembly.

const module = WebAssembly.compileStreaming(fetch(new URL("./scene.wasm", import.meta.url)));

/** A drive through the street of one seed, in one condition and size. */
export async function drive(width, height, condition) {
  const { exports } = await WebAssembly.instantiate(await module);
  if (exports.drive_create(width, height, 7, condition) !== 0) throw new Error("no such scene");
  const visible = { width, height, data: new Uint8Array() };
  const infrared = { width, height, data: new Uint16Array() };
  return {
    live: true,
    /** The pair at a moment, seconds; valid until the next call. */
    frames(seconds) {
      if (exports.drive_render(seconds) !== 0) throw new Error("the scene cannot be drawn");
      const { buffer } = exports.memory;
      // Drawing may need more memory, which detaches the old buffer.
      if (visible.data.buffer !== buffer) {
        visible.data = new Uint8Array(buffer, exports.drive_visible(), width * height * 3);
        infrared.data = new Uint16Array(buffer, exports.drive_centikelvin(), width * height);
      }
      return [visible, infrared];
    },
  };
}
