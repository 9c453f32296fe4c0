// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { Codec } from "@iopa/constants";
interface CborOptions {
    readonly beyondJson?: "refuse" | "convert";
}
declare const cbor: (options?: CborOptions) => Codec;
export { cbor };
export type { CborOptions };
