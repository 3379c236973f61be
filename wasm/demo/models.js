// The networks of the demo. Ultralight in 8 bits is part of the package; the others come by their addresses.

const FILES = {
  "ultralight int8": "ultralight",
  "ultralight fp16": new URL("../../models/ultralight/ultralight.fp16.fpx", import.meta.url),
  "nano int8": new URL("../../models/nano/nano.int8.fpx", import.meta.url),
  "nano fp16": new URL("../../models/nano/nano.fp16.fpx", import.meta.url),
};

/** What `Fusion.create` takes for a network and a precision. */
export const modelOf = (name, precision) => FILES[`${name} ${precision}`];
