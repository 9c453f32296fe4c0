// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { Listener, TlsOptions, Limits, Clock, DatagramNetwork, ByteNetwork, Transport, KeysDeclaration } from "@iopa/transport";
interface TransmissionParameters {
    readonly ackTimeout?: number;
    readonly ackRandomFactor?: number;
    readonly maxRetransmit?: number;
    readonly nstart?: number;
    readonly nstartLimit?: number;
    readonly leisure?: number;
    readonly maxLatency?: number;
}
interface CoapOptions {
    readonly host?: string;
    readonly port?: number;
    readonly udp?: boolean;
    readonly tcp?: boolean;
    readonly tls?: TlsOptions & {
        readonly port?: number;
    };
    readonly allowUnauthenticated?: boolean;
    readonly limits?: Partial<Limits> | undefined;
    readonly transmission?: TransmissionParameters;
    readonly blockSize?: number;
    readonly collectUpTo?: number;
    readonly confirmable?: boolean;
    readonly amplification?: number | boolean;
    readonly multicast?: boolean | readonly string[];
    readonly clock?: Clock;
    readonly network?: DatagramNetwork & Partial<ByteNetwork>;
}
interface CoapListener extends Listener {
    readonly urls: readonly URL[];
}
declare const coap: (options?: CoapOptions) => Transport;
type OptionValue = Uint8Array | string | number;
declare class Options implements Iterable<readonly [
    number: number,
    value: Uint8Array
]> {
    #private;
    bytes: Uint8Array;
    start: number;
    end: number;
    constructor(bytes?: Uint8Array, start?: number, end?: number);
    get length(): number;
    get size(): number;
    reset(): this;
    add(number: number, value?: OptionValue): this;
    set(number: number, value?: OptionValue): this;
    delete(number: number): this;
    copy(): Options;
    equals(other: Options): boolean;
    has(number: number): boolean;
    get(number: number): Uint8Array | undefined;
    getAll(number: number): Uint8Array[];
    uint(number: number): number | undefined;
    text(number: number): string | undefined;
    [Symbol.iterator](): Iterator<readonly [
        number: number,
        value: Uint8Array
    ]>;
}
interface Message {
    readonly type: number;
    readonly code: number;
    readonly id: number;
    readonly token: Uint8Array;
    readonly options: Options;
    readonly payload: Uint8Array;
}
declare module "@iopa/constants" {
    interface IopaKeys {
        "coap.Message": Message;
        "coap.Confirmable": boolean;
    }
}
declare const COAP_KEYS: KeysDeclaration;
export { COAP_KEYS, Options, coap };
export type { CoapListener, CoapOptions, Message, TransmissionParameters };
