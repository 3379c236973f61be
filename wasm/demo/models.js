// The networks of the demo. Ultralight in 8 bits is part of the package; the others come by their addresses, when they are
// chosen. Only the light ones are worth their half-precision files here.

const FILES = {
  "ultralight int8": "ultralight",
  "ultralight fp16": new URL("../../models/ultralight/ultralight.fp16.fpx", import.meta.url),
  "nano int8": new URL("../../models/nano/nano.int8.fpx", import.meta.url),
  "nano fp16": new URL("../../models/nano/nano.fp16.fpx", import.meta.url),
  "mobilenetv4 int8": new URL("../../models/mobilenetv4/mobilenetv4.int8.fpx", import.meta.url),
  "efficientformerv2 int8": new URL("../../models/efficientformerv2/efficientformerv2.int8.fpx", import.meta.url),
  "convnextv2 int8": new URL("../../models/convnextv2/convnextv2.int8.fpx", import.meta.url),
};

/** What `Fusion.create` takes for a network and a precision; undefined where there is none. */
export const modelOf = (name, precision) => FILES[`${name} ${precision}`];
