// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { N as NumberStore } from "./number-store.js";
export { O as OpenNumberStore } from "./number-store.js";
import { MessageProtection } from "@iopa/transport";
type OscoreAlgorithm = "AES-CCM-16-64-128" | "A128GCM";
interface OscoreContextOptions {
    readonly id: string;
    readonly realm?: string;
    readonly masterSecret: Uint8Array;
    readonly masterSalt?: Uint8Array;
    readonly senderId: Uint8Array;
    readonly recipientId: Uint8Array;
    readonly idContext?: Uint8Array;
    readonly algorithm?: OscoreAlgorithm;
    readonly derive?: "once" | "each-start";
    readonly servers?: readonly string[];
}
interface OscoreOptions {
    readonly contexts: readonly OscoreContextOptions[];
    readonly require?: boolean | ((path: string) => boolean);
    readonly store?: NumberStore;
}
declare const oscore: (options: OscoreOptions) => MessageProtection;
export { NumberStore, oscore };
export type { OscoreAlgorithm, OscoreContextOptions, OscoreOptions };

// node.d.ts
/// <reference lib="esnext.disposable" />
import { N as NumberStore } from "./number-store.js";
export { O as OpenNumberStore } from "./number-store.js";
declare const fileStore: (path: string) => NumberStore;
export { NumberStore, fileStore };

// number-store.d.ts
/// <reference lib="esnext.disposable" />
interface NumberStore {
    open(now: number): Promise<OpenNumberStore>;
}
interface OpenNumberStore {
    readonly since: number;
    claim(least: number): Promise<number>;
    close(): Promise<void>;
}
export type { NumberStore as N, OpenNumberStore as O };
