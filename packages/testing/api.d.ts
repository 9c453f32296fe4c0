// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { AppOptions, App } from "@iopa/appbuilder";
import { Transport, Clock, Listener, Limits, SecuredDatagrams, DatagramNetwork, ByteNetwork } from "@iopa/transport";
import { Storage } from "@iopa/appbuilder/extension";
interface ConformanceSubject {
    createApp(options?: AppOptions): App;
    transport?(): Transport;
}
interface ConformanceStatement {
    readonly number: number;
    readonly name: string;
    run(): Promise<void>;
}
declare const conformance: (subject: ConformanceSubject) => ConformanceStatement[];
interface ContractCase {
    readonly name: string;
    run(): Promise<void>;
}
interface StorageSubject {
    create(): Storage | Promise<Storage>;
}
declare const storageContract: (subject: StorageSubject) => ContractCase[];
interface TransportFeatures {
    readonly headers?: boolean;
    readonly query?: boolean;
    readonly anyMethod?: boolean;
    readonly anySegment?: boolean;
    readonly observe?: boolean;
    readonly connection?: boolean;
    readonly cancel?: boolean;
    readonly guarded?: boolean;
    readonly exclusive?: boolean;
    readonly statuses?: readonly number[];
    readonly resends?: boolean;
    readonly refusals?: readonly number[];
    readonly redirects?: boolean;
    readonly credentials?: "authorization" | "connect" | false;
    readonly problems?: boolean;
}
interface TransportSubject {
    transport(options: {
        readonly host?: string;
        readonly port?: number;
        readonly limits?: AppOptions["limits"];
        readonly allowUnauthenticated?: boolean;
        readonly clock?: Clock;
    }): Transport;
    url(listener: Listener): string;
    readonly features?: TransportFeatures;
}
declare const transportContract: (subject: TransportSubject) => ContractCase[];
interface MemoryOptions {
    readonly name?: string;
    readonly limits?: Partial<Limits>;
}
declare const memory: (options?: MemoryOptions) => Transport;
interface VirtualClock {
    now(): number;
    elapsed(): number;
    setTimeout(callback: () => void, milliseconds: number, options?: {
        readonly keep?: boolean;
    }): unknown;
    clearTimeout(handle: unknown): void;
    hold(work: Promise<unknown>): void;
    shift(milliseconds: number): void;
    readonly pending: number;
    settle(): Promise<void>;
    advance(milliseconds: number): Promise<void>;
    runUntil(condition: () => boolean, limit?: number): Promise<void>;
    runUntil<T>(promise: Promise<T>, limit?: number): Promise<T>;
}
interface VirtualClockOptions {
    readonly start?: number;
}
declare function virtualClock({ start }?: VirtualClockOptions): VirtualClock;
interface NetworkAddress {
    readonly address: string;
    readonly port: number;
}
interface NetworkConditions {
    readonly delay: number | readonly [
        least: number,
        most: number
    ];
    readonly loss: number;
    readonly duplication: number;
    readonly reordering: number;
    readonly lateness: number;
    readonly mtu: number;
    readonly splitting: number;
    readonly coalescing: number;
    readonly window: number;
}
interface Packet {
    readonly number: number;
    readonly from: NetworkAddress;
    readonly to: NetworkAddress;
    readonly bytes: Uint8Array;
    readonly time: number;
}
type PacketFate = "drop" | "pass" | readonly number[] | undefined;
type PacketScript = (packet: Packet) => PacketFate;
interface PacketRecord extends Packet {
    readonly fate: "underway" | "delivered" | "duplicated" | "lost" | "too-large" | "unreachable" | "closed";
}
interface MaskedOptions {
    readonly psk: Readonly<Record<string, string>>;
    readonly realm?: string;
    readonly repeatAfter?: number;
    readonly maxPayload?: number;
}
declare const maskedDatagrams: (options: MaskedOptions) => SecuredDatagrams;
interface VirtualMachine extends DatagramNetwork, ByteNetwork {
    readonly address: string;
}
interface VirtualNetwork extends VirtualMachine {
    conditions: NetworkConditions;
    script: PacketScript | undefined;
    readonly trace: readonly PacketRecord[];
    machine(address: string): VirtualMachine;
    disconnect(): void;
    inject(bytes: Uint8Array, from: NetworkAddress, to: NetworkAddress): void;
}
interface VirtualNetworkOptions extends Partial<NetworkConditions> {
    readonly clock: VirtualClock;
    readonly seed?: number;
    readonly script?: PacketScript;
    readonly traceLength?: number;
}
declare function virtualNetwork(options: VirtualNetworkOptions): VirtualNetwork;
declare function seededRandom(seed: number): () => number;
export { conformance, maskedDatagrams, memory, seededRandom, storageContract, transportContract, virtualClock, virtualNetwork };
export type { ConformanceStatement, ConformanceSubject, ContractCase, MaskedOptions, MemoryOptions, NetworkAddress, NetworkConditions, Packet, PacketFate, PacketRecord, PacketScript, StorageSubject, TransportFeatures, TransportSubject, VirtualClock, VirtualClockOptions, VirtualMachine, VirtualNetwork, VirtualNetworkOptions };
