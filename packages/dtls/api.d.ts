// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
type PskLookup = (identity: string, signal: AbortSignal) => Uint8Array | undefined | Promise<Uint8Array | undefined>;
interface DtlsOptions {
    readonly psk?: Readonly<Record<string, Uint8Array>> | PskLookup;
    readonly key?: string | Uint8Array;
    readonly cert?: string | Uint8Array;
    readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[];
    readonly requestCert?: boolean;
    readonly rawPublicKeys?: Readonly<Record<string, string | Uint8Array>>;
    readonly cid?: boolean;
    readonly realm?: string;
}
export type { DtlsOptions, PskLookup };
