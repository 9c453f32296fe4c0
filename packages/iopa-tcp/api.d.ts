// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { TlsOptions, Limits, Clock, ByteNetwork, Transport } from "@iopa/transport";
interface FrameReader {
    readonly pending: number;
    readonly room?: number;
    readonly overlong?: boolean;
    push(chunk: Uint8Array): void;
    next(): Uint8Array | null;
    end(): Uint8Array | null;
}
interface Framing {
    readonly name: string;
    readonly maxPayload: number;
    reader(limit: number, skips?: boolean): FrameReader;
    prefix(length: number): Uint8Array | null;
    readonly suffix: Uint8Array | null;
}
interface LengthPrefixedOption {
    readonly type: "lengthPrefixed";
    readonly bytes?: 1 | 2 | 4;
    readonly endian?: "big" | "little";
}
interface FixedOption {
    readonly type: "fixed";
    readonly bytes: number;
}
type FramingOption = "bag" | "raw" | "lines" | "lengthPrefixed" | LengthPrefixedOption | FixedOption | Framing;
interface TcpOptions {
    readonly host?: string;
    readonly port?: number;
    readonly framing?: FramingOption;
    readonly tls?: TlsOptions;
    readonly proxyProtocol?: readonly string[];
    readonly allowUnauthenticated?: boolean;
    readonly limits?: Partial<Limits> | undefined;
    readonly clock?: Clock;
    readonly network?: ByteNetwork;
}
declare function tcp(options?: TcpOptions): Transport;
export { tcp };
export type { FixedOption, FrameReader, Framing, FramingOption, LengthPrefixedOption, TcpOptions };
