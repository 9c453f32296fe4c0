// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { Client, ReceivedAnswer, TlsOptions, SecuredDatagrams, Limits, MessageProtection, Clock, DatagramNetwork, ByteNetwork, Listener, Transport, KeysDeclaration } from "@iopa/transport";
type LinkAttribute = string | number | boolean | readonly (string | number)[];
interface CoreLink {
    readonly href: string;
    readonly attributes: Readonly<Record<string, LinkAttribute>>;
}
interface ParsedLink extends CoreLink {
    readonly attributes: Readonly<Record<string, string | true>>;
}
declare function serializeLinks(links: Iterable<CoreLink>): string;
interface LinkLimits {
    readonly links?: number;
    readonly attributes?: number;
}
declare function parseLinks(text: string, { links: most, attributes: mostAttributes }?: LinkLimits): ParsedLink[];
declare function filterLinks<L extends CoreLink>(links: Iterable<L>, query: Iterable<string>): L[];
interface CollectOptions {
    readonly time?: number;
    readonly headers?: Readonly<Record<string, string>>;
    readonly signal?: AbortSignal;
}
interface DiscoverOptions extends CollectOptions {
    readonly rt?: string;
    readonly if?: string;
    readonly ct?: string | number;
    readonly href?: string;
    readonly obs?: true;
}
interface DiscoveredLink extends ParsedLink {
    readonly url: URL;
    readonly peer: URL;
}
declare const collect: (client: Client, path: string, options?: CollectOptions) => AsyncIterable<ReceivedAnswer>;
declare const discover: (client: Client, options?: DiscoverOptions) => Promise<DiscoveredLink[]>;
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
type RawOption = readonly [
    number: number,
    value?: OptionValue
];
interface ExtensionOptions {
    readonly codes?: Readonly<Record<string, string>>;
    readonly criticalOptions?: readonly number[];
    readonly tokenLength?: number;
}
interface TransmissionParameters {
    readonly ackTimeout?: number;
    readonly ackRandomFactor?: number;
    readonly maxRetransmit?: number;
    readonly nstart?: number;
    readonly nstartLimit?: number;
    readonly leisure?: number;
    readonly maxLatency?: number;
}
interface MulticastOptions {
    readonly groups?: boolean | readonly string[];
    readonly interface?: string;
    readonly hops?: number;
}
interface CoapOptions extends ExtensionOptions {
    readonly host?: string;
    readonly port?: number;
    readonly udp?: boolean;
    readonly tcp?: boolean;
    readonly tls?: TlsOptions & {
        readonly port?: number;
    };
    readonly dtls?: SecuredDatagrams;
    readonly proxyProtocol?: readonly string[];
    readonly allowUnauthenticated?: boolean;
    readonly limits?: Partial<Limits> | undefined;
    readonly transmission?: TransmissionParameters;
    readonly blockSize?: number;
    readonly collectUpTo?: number;
    readonly confirmable?: boolean;
    readonly amplification?: number | boolean;
    readonly protect?: MessageProtection;
    readonly multicast?: boolean | readonly string[] | MulticastOptions;
    readonly multicastServes?: "everything" | "discovery";
    readonly keepAlive?: number;
    readonly clock?: Clock;
    readonly network?: DatagramNetwork & Partial<ByteNetwork>;
}
interface CoapListener extends Listener {
    readonly urls: readonly URL[];
}
declare const coap: (options?: CoapOptions) => Transport;
interface Message {
    readonly type: number;
    readonly code: number;
    readonly id: number;
    readonly token: Uint8Array;
    readonly options: Options;
    readonly payload: Uint8Array;
}
interface RelayedResponse {
    readonly code: number;
    readonly options: readonly RawOption[];
    readonly payload: Uint8Array;
}
declare module "@iopa/constants" {
    interface IopaKeys {
        "coap.Message": Message;
        "coap.Confirmable": boolean;
        "coap.Options": readonly RawOption[];
        "coap.TokenLength": number;
        "coap.Token": Uint8Array;
        "coap.StreamAnswer": boolean;
        "coap.ResponseOptions": readonly RawOption[];
        "coap.Relay": (response: RelayedResponse | null) => void;
        "coap.CollectFor": number;
    }
    interface ReceivedKeys {
        readonly "coap.Message": Message;
        readonly "coap.Peer": URL;
    }
}
declare const COAP_KEYS: KeysDeclaration;
export { COAP_KEYS, Options, coap, collect, discover, filterLinks, parseLinks, serializeLinks };
export type { CoapListener, CoapOptions, CollectOptions, CoreLink, DiscoverOptions, DiscoveredLink, ExtensionOptions, LinkAttribute, LinkLimits, Message, MulticastOptions, OptionValue, ParsedLink, RawOption, TransmissionParameters };
