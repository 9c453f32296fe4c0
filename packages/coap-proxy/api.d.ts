// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
interface CoapProxyOptions {
    readonly targets: readonly (string | URL)[];
}
export type { CoapProxyOptions };
