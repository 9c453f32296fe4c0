// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { TlsOptions, User, Limits, KeysDeclaration, Clock, ByteNetwork, Transport } from "@iopa/transport";
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
interface RemoteOptions {
    readonly clientId?: string;
    readonly username?: string;
    readonly password?: string;
    readonly tls?: TlsOptions;
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
type AckOrder = "strict" | "any";
interface BridgeOptions extends RemoteOptions {
    readonly broker: string | URL;
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
interface UserQuota {
    readonly sessions?: number;
    readonly subscriptions?: number;
    readonly retained?: number;
    readonly retainedBytes?: number;
    readonly queuedBytes?: number;
}
type QuotaOption = Readonly<Record<string, UserQuota>> | ((user: string | null, network: string) => UserQuota | undefined);
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
    readonly port?: number;
    readonly host?: string;
    readonly tls?: TlsOptions;
    readonly server?: UpgradingServer;
    readonly path?: string;
    readonly trustProxy?: readonly string[];
    readonly origins?: readonly string[];
}
interface MqttListenerOptions {
    readonly port?: number;
    readonly host?: string;
    readonly allowUnauthenticated?: boolean;
    readonly tls?: TlsOptions;
}
interface EmbeddedOptions {
    readonly port?: number;
    readonly host?: string;
    readonly allowUnauthenticated?: boolean;
    readonly tls?: TlsOptions;
    readonly websocket?: WebSocketOptions;
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
    readonly clock?: Clock;
    readonly network?: ByteNetwork;
}
interface PublishOptions {
    readonly qos?: 0 | 1 | 2;
    readonly retain?: boolean;
    readonly contentType?: string;
    readonly messageExpiryInterval?: number;
    readonly payloadFormatIndicator?: boolean;
    readonly userProperties?: Readonly<Record<string, string | readonly string[]>>;
    readonly signal?: AbortSignal;
}
type MqttOptions = (EmbeddedOptions | BridgeOptions) & {
    readonly client?: MqttClientOptions;
};
interface MqttTransport extends Transport {
    readonly keys: KeysDeclaration;
    readonly urls: readonly URL[];
    readonly websocketUrl: URL | null;
    publish(topic: string, payload: string | Uint8Array, options?: PublishOptions): Promise<void>;
}
declare function mqtt(options?: MqttOptions): MqttTransport;
interface DiskStoreOptions {
    readonly sync?: boolean;
    readonly repair?: boolean;
}
declare const diskStore: (path: string, options?: DiskStoreOptions) => Store;
declare function memoryStore(): Store;
export { MQTT_KEYS, diskStore, memoryStore, mqtt };
export type { BridgeOptions, BrokerCapabilities, DiskStoreOptions, EmbeddedOptions, MqttClientOptions, MqttListenerOptions, MqttOptions, MqttTransport, PublishOptions, QuotaOption, RemoteOptions, Store, StoreRecord, StoredDelivery, StoredDeliveryRecord, StoredMessage, StoredReceipt, StoredReceiptRecord, StoredRetainedRecord, StoredSession, StoredSessionRecord, StoredSubscription, StoredSubscriptionRecord, StoredWill, UpgradingServer, UserQuota, WebSocketOptions };
