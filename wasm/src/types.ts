// What every entry gives besides `Fusion`.

export { FusedFrame } from "./frame.js";
export { FusionError, type FusionErrorCode } from "./errors.js";
export type { Backend, GpuTarget, Info, Sizes } from "./engine.js";
export type { GpuCanvas, GpuDevice, GpuTexture } from "./foreign.js";
export type { CreateOptions, DrawOptions, FuseOptions, FusionEvent } from "./fusion.js";
export type { Progress } from "./load.js";
export type { Drawable, InfraredSource, Pixels, Size, VisibleSource } from "./sources.js";
