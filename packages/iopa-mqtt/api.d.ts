// Written by pnpm api.

// bridge.d.ts
/// <reference lib="esnext.disposable" />
import { User, Limits } from "@iopa/transport";
import { R as RemoteOptions, M as MqttBridge } from "./options.js";
import { Store } from "./index.js";
import "./network.js";
type AckOrder = "strict" | "any";
interface BridgeOptions extends RemoteOptions {
    readonly share?: string;
    readonly topics?: readonly string[];
    readonly statePrefix?: string | false;
    readonly window?: number;
    readonly ackOrder?: AckOrder;
    readonly retry?: {
        readonly attempts?: number;
        readonly initial?: number;
        readonly maximum?: number;
    };
    readonly deadLetter?: string | false | ((topic: string) => string);
    readonly user?: User;
    readonly limits?: Partial<Limits>;
    readonly outbox?: Store;
}
declare const bridge: (broker: string | URL, options?: BridgeOptions) => MqttBridge;
export { MqttBridge, RemoteOptions, bridge };
export type { AckOrder, BridgeOptions };

// disk.d.ts
/// <reference lib="esnext.disposable" />
import { Store } from "./index.js";
interface DiskOptions {
    readonly sync?: boolean;
    readonly repair?: boolean;
}
declare const disk: (path: string, options?: DiskOptions) => Store;
export { disk };
export type { DiskOptions };

// index.d.ts
/// <reference lib="esnext.disposable" />
import { R as RemoteOptions, E as EmbeddedOptions, W as WorkerOptions, P as PublishOptions } from "./options.js";
export { B as BrokerCapabilities, M as MqttBridge, a as MqttListener, b as MqttListenerOptions, Q as QuotaOption, U as UserQuota } from "./options.js";
import { KeysDeclaration, Transport } from "@iopa/transport";
import { S as Store } from "./store.js";
export { a as StoreRecord, b as StoredDelivery, c as StoredDeliveryRecord, d as StoredMessage, e as StoredReceipt, f as StoredReceiptRecord, g as StoredRetainedRecord, h as StoredSession, i as StoredSessionRecord, j as StoredSubscription, k as StoredSubscriptionRecord, l as StoredWill } from "./store.js";
export { U as UpgradingServer, W as WebSocketNetwork, a as WebSocketOptions } from "./network.js";
interface MqttClientOptions extends RemoteOptions {
    readonly qos?: 0 | 1;
    readonly answer?: "response" | "acknowledgement";
    readonly statePrefix?: string;
}
declare module "@iopa/constants" {
    interface IopaKeys {
        "mqtt.ClientId": string;
        "mqtt.ProtocolVersion": number;
        "mqtt.CleanStart": boolean;
        "mqtt.KeepAlive": number;
        "mqtt.UserName": string | undefined;
        "mqtt.Password": Uint8Array | undefined;
        "mqtt.AuthenticationMethod": string;
        "mqtt.AuthenticationData": Uint8Array;
        "mqtt.Topic": string;
        "mqtt.Qos": number;
        "mqtt.Retain": boolean;
        "mqtt.Dup": boolean;
        "mqtt.ResponseTopic": string;
        "mqtt.CorrelationData": Uint8Array;
        "mqtt.IsWill": boolean;
        "mqtt.Filter": string;
        "mqtt.ReasonCode": number;
    }
}
declare const MQTT_KEYS: KeysDeclaration;
type MqttOptions = (EmbeddedOptions | WorkerOptions) & {
    readonly client?: MqttClientOptions;
};
interface MqttTransport extends Transport {
    readonly keys: KeysDeclaration;
    readonly urls: readonly URL[];
    readonly websocketUrl: URL | null;
    publish(topic: string, payload: string | Uint8Array, options?: PublishOptions): Promise<void>;
}
declare function mqtt(options?: MqttOptions): MqttTransport;
declare function memoryStore(): Store;
export { EmbeddedOptions, MQTT_KEYS, PublishOptions, RemoteOptions, Store, WorkerOptions, memoryStore, mqtt };
export type { MqttClientOptions, MqttOptions, MqttTransport };

// network.d.ts
/// <reference lib="esnext.disposable" />
import { TlsOptions, Clock, ByteChannel, Host, ByteServer } from "@iopa/transport";
interface UpgradingServer {
    on(event: "upgrade", listener: (...values: unknown[]) => void): unknown;
    off(event: "upgrade", listener: (...values: unknown[]) => void): unknown;
    listenerCount(event: string): number;
    address(): {
        readonly address: string;
        readonly port: number;
    } | string | null;
}
interface WebSocketOptions {
    readonly on?: "http";
    readonly port?: number;
    readonly host?: string;
    readonly tls?: TlsOptions;
    readonly server?: UpgradingServer;
    readonly path?: string;
    readonly trustProxy?: readonly string[];
    readonly proxyProtocol?: readonly string[];
    readonly origins?: readonly string[];
}
interface MessageTime {
    readonly clock: Clock;
    readonly messageTimeout: number;
}
interface WebSocketLimits extends MessageTime {
    readonly maxPayload: number;
    readonly connections: number;
    readonly headerTimeout: number;
    readonly headerBytes: number;
    readonly failed?: () => void;
    readonly refused?: (status: number, peer: Pick<ByteChannel, "remoteAddress" | "remotePort">) => void;
}
interface BrowserListener extends ByteServer {
    readonly url: URL | null;
}
interface WebSocketApp {
    readonly host: Pick<Host, "assertProtected" | "scope" | "shared">;
    readonly allowUnauthenticated: boolean | undefined;
}
interface WebSocketTarget {
    readonly tls?: TlsOptions;
    readonly clock: Clock;
    readonly signal: AbortSignal;
}
interface WebSocketNetwork {
    readonly options: WebSocketOptions;
    listen(tls: TlsOptions | undefined, limits: WebSocketLimits, accept: (channel: ByteChannel) => void, app: WebSocketApp): Promise<BrowserListener>;
    connect(url: URL, target: WebSocketTarget): Promise<ByteChannel>;
}
export type { UpgradingServer as U, WebSocketNetwork as W, WebSocketOptions as a };

// options.d.ts
/// <reference lib="esnext.disposable" />
import { TlsOptions, Host, Listener, Limits, Clock, ByteNetwork } from "@iopa/transport";
import { S as Store } from "./store.js";
import { W as WebSocketNetwork } from "./network.js";
interface BrokerCapabilities {
    readonly protocolVersion: 4 | 5;
    readonly shared: boolean | undefined;
    readonly retain: boolean;
    readonly maximumQos: 0 | 1 | 2;
    readonly wildcards: boolean;
    readonly subscriptionIdentifiers: boolean;
    readonly receiveMaximum: number;
    readonly maximumPacketSize: number;
    readonly responseInformation: string;
}
interface MqttListenerOptions {
    readonly port?: number;
    readonly host?: string;
    readonly allowUnauthenticated?: boolean;
    readonly proxyProtocol?: readonly string[];
    readonly tls?: TlsOptions;
}
interface EmbeddedOptions {
    readonly port?: number;
    readonly host?: string;
    readonly allowUnauthenticated?: boolean;
    readonly proxyProtocol?: readonly string[];
    readonly tls?: TlsOptions;
    readonly websocket?: WebSocketNetwork;
    readonly listeners?: readonly MqttListenerOptions[];
    readonly limits?: Partial<Limits> | undefined;
    readonly store?: Store;
    readonly ackOrder?: "strict" | "any";
    readonly refusal?: "close" | "acknowledge";
    readonly replies?: "user" | "subscribers";
    readonly clientIds?: "user" | "exclusive";
    readonly sendWindow?: number;
    readonly topicAliasMaximum?: number;
    readonly maxKeepAlive?: number;
    readonly maxSessionExpiry?: number;
    readonly maxSessions?: number;
    readonly maxSubscriptions?: number;
    readonly maxSubscriptionsPerSession?: number;
    readonly maxRetained?: number;
    readonly maxRetainedBytes?: number;
    readonly maxQueuedBytes?: number;
    readonly quota?: QuotaOption;
    readonly maxPacketSize?: number;
    readonly maxTopicLength?: number;
    readonly responseInformation?: string;
    readonly statistics?: number | false;
    readonly admin?: string;
    readonly clock?: Clock;
    readonly network?: ByteNetwork;
}
interface UserQuota {
    readonly sessions?: number;
    readonly subscriptions?: number;
    readonly retained?: number;
    readonly retainedBytes?: number;
    readonly queuedBytes?: number;
}
type QuotaOption = Readonly<Record<string, UserQuota>> | ((user: string | null, network: string) => UserQuota | undefined);
interface PublishOptions {
    readonly qos?: 0 | 1 | 2;
    readonly retain?: boolean;
    readonly contentType?: string;
    readonly messageExpiryInterval?: number;
    readonly payloadFormatIndicator?: boolean;
    readonly userProperties?: Readonly<Record<string, string | readonly string[]>>;
    readonly signal?: AbortSignal;
}
interface MqttListener extends Listener {
    publish(topic: string, payload: string | Uint8Array, options?: PublishOptions): Promise<void>;
}
interface MqttBridge {
    readonly statePrefix: string | false;
    join(host: Host): Promise<MqttListener>;
}
interface RemoteOptions {
    readonly clientId?: string;
    readonly username?: string;
    readonly password?: string;
    readonly tls?: TlsOptions;
    readonly websocket?: WebSocketNetwork;
    readonly protocolVersion?: 4 | 5;
    readonly keepAlive?: number;
    readonly sessionExpiry?: number;
    readonly connectTimeout?: number;
    readonly reconnect?: {
        readonly initial?: number;
        readonly maximum?: number;
    };
    readonly capabilities?: Partial<BrokerCapabilities>;
}
interface WorkerOptions {
    readonly broker: MqttBridge;
}
export type { BrokerCapabilities as B, EmbeddedOptions as E, MqttBridge as M, PublishOptions as P, QuotaOption as Q, RemoteOptions as R, UserQuota as U, WorkerOptions as W, MqttListener as a, MqttListenerOptions as b };

// store.d.ts
/// <reference lib="esnext.disposable" />
interface Store {
    load(): AsyncIterable<StoreRecord>;
    write(batch: readonly StoreRecord[]): Promise<void>;
    damage?(): readonly string[];
    close(): Promise<void>;
}
type StoreRecord = StoredSessionRecord | StoredSubscriptionRecord | StoredDeliveryRecord | StoredReceiptRecord | StoredRetainedRecord;
interface StoredSessionRecord {
    readonly kind: "session";
    readonly clientId: string;
    readonly value: StoredSession | null;
}
interface StoredSubscriptionRecord {
    readonly kind: "subscription";
    readonly clientId: string;
    readonly filter: string;
    readonly value: StoredSubscription | null;
}
interface StoredDeliveryRecord {
    readonly kind: "message";
    readonly clientId: string;
    readonly sequence: number;
    readonly value: StoredDelivery | null;
}
interface StoredReceiptRecord {
    readonly kind: "received";
    readonly clientId: string;
    readonly packetId: number;
    readonly value: StoredReceipt | null;
}
interface StoredRetainedRecord {
    readonly kind: "retained";
    readonly topic: string;
    readonly value: StoredMessage | null;
}
interface StoredSession {
    readonly clientId?: string;
    readonly address?: string;
    readonly protocolVersion: number;
    readonly expiryInterval: number;
    readonly expiresAt: number | null;
    readonly will: StoredWill | null;
    readonly user: unknown;
}
interface StoredWill {
    readonly message: StoredMessage;
    readonly retain: boolean;
    readonly messageExpiryInterval: number;
    readonly delayInterval: number;
}
interface StoredSubscription {
    readonly qos: number;
    readonly noLocal: boolean;
    readonly retainAsPublished: boolean;
    readonly retainHandling: number;
    readonly identifier: number;
}
interface StoredDelivery {
    readonly message: StoredMessage;
    readonly qos: number;
    readonly retain: boolean;
    readonly subscriptionIdentifiers: readonly number[];
    readonly packetId: number;
    readonly released: boolean;
}
interface StoredReceipt {
    readonly reasonCode: number;
}
interface StoredMessage {
    readonly topic: string;
    readonly payload: Uint8Array;
    readonly qos: number;
    readonly properties: Uint8Array;
    readonly account?: string;
    readonly expiresAt: number;
}
export type { Store as S, StoreRecord as a, StoredDelivery as b, StoredDeliveryRecord as c, StoredMessage as d, StoredReceipt as e, StoredReceiptRecord as f, StoredRetainedRecord as g, StoredSession as h, StoredSessionRecord as i, StoredSubscription as j, StoredSubscriptionRecord as k, StoredWill as l };

// websocket.d.ts
/// <reference lib="esnext.disposable" />
import { a as WebSocketOptions, W as WebSocketNetwork } from "./network.js";
export { U as UpgradingServer } from "./network.js";
import "@iopa/transport";
declare const websocket: (options?: WebSocketOptions) => WebSocketNetwork;
export { WebSocketNetwork, WebSocketOptions, websocket };
