// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { SecuredDatagrams } from "@iopa/transport";
type PskLookup = (identity: string, signal: AbortSignal) => Uint8Array | undefined | Promise<Uint8Array | undefined>;
interface DtlsOptions {
    readonly psk?: Readonly<Record<string, Uint8Array>> | PskLookup;
    readonly identity?: string;
    readonly key?: string | Uint8Array;
    readonly cert?: string | Uint8Array;
    readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[];
    readonly requestCert?: boolean;
    readonly rawPublicKeys?: Readonly<Record<string, string | Uint8Array>>;
    readonly verify?: boolean;
    readonly serverName?: string;
    readonly cid?: boolean;
    readonly idle?: number;
    readonly realm?: string;
}
declare const dtls: (options: DtlsOptions) => SecuredDatagrams;
export { dtls };
export type { DtlsOptions, PskLookup };
