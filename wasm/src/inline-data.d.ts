/** `fusionproxy.wasm` in base64; written by the build. */
export declare const MODULE: string;
/** `ultralight.int8.fpx` in base64; written by the build. */
export declare const MODEL: string;
