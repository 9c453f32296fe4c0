/**
 * What a broker keeps beyond its process.
 *
 * The broker holds its state in memory and works on that; a store is the log beside it. It is read once, by `load`, before the
 * listener accepts, and then only written. The acknowledgements to a client (PUBACK, PUBREC, SUBACK) wait for the `write` that holds what they acknowledge.
 */
export interface Store {
  /** Opens the store and yields every record it keeps, in any order but `message` records of one client by ascending `sequence`. */
  load(): AsyncIterable<StoreRecord>
  /**
   * Applies a batch atomically, in order, after all earlier batches; resolves when a process killed right then would not lose it.
   * The broker never has two writes under way and gathers what happens meanwhile into the next batch.
   */
  write(batch: readonly StoreRecord[]): Promise<void>
  /** What the last `load` found damaged and left out, a sentence each; the broker logs and counts it. A store that checks nothing has none. */
  damage?(): readonly string[]
  /** Finishes what is under way and releases the files; the store may be loaded again. */
  close(): Promise<void>
}

/** One thing that is kept, replaced under the same key, or removed when its `value` is null. */
export type StoreRecord = StoredSessionRecord | StoredSubscriptionRecord | StoredDeliveryRecord | StoredReceiptRecord | StoredRetainedRecord

/** Key: `clientId`. Removing a session removes every subscription, message and receipt of that client with it. */
export interface StoredSessionRecord {
  readonly kind: 'session'
  /**
   * What names the client in every record: its user and its client identifier in one text, which a store compares and does not read.
   * It may hold any character, U+0000 included.
   */
  readonly clientId: string
  readonly value: StoredSession | null
}

/** Key: `clientId` and `filter` (as subscribed, `$share/group/` included). */
export interface StoredSubscriptionRecord {
  readonly kind: 'subscription'
  readonly clientId: string
  readonly filter: string
  readonly value: StoredSubscription | null
}

/** Key: `clientId` and `sequence`: one message that waits for a client, or is under way to it. */
export interface StoredDeliveryRecord {
  readonly kind: 'message'
  readonly clientId: string
  /** Rises by message within a client, below 2^53; the order of delivery. */
  readonly sequence: number
  readonly value: StoredDelivery | null
}

/** Key: `clientId` and `packetId`: a QoS 2 message that was received and not released yet (MQTT 5 section 4.3.3). */
export interface StoredReceiptRecord {
  readonly kind: 'received'
  readonly clientId: string
  /** 1 to 65,535. */
  readonly packetId: number
  readonly value: StoredReceipt | null
}

/** Key: `topic`. */
export interface StoredRetainedRecord {
  readonly kind: 'retained'
  readonly topic: string
  readonly value: StoredMessage | null
}

export interface StoredSession {
  /** The client identifier. Undefined in records of earlier versions, which are named by it alone; the broker renames them when it starts. */
  readonly clientId?: string
  /** The address that its client first connected from; undefined in records of earlier versions. */
  readonly address?: string
  /** 3 (MQTT 3.1), 4 (3.1.1) or 5. */
  readonly protocolVersion: number
  /** Seconds the session outlives its connection; 4,294,967,295 is for ever (MQTT 5 section 3.1.2.11.2). */
  readonly expiryInterval: number
  /** When an unconnected session ends, in milliseconds since 1970; null while it is connected or when it never ends. */
  readonly expiresAt: number | null
  /** The will that is published if the connection breaks, or null. */
  readonly will: StoredWill | null
  /** What authentication set as `server.User`, as far as it is plain JSON, always with its id; null without a user. */
  readonly user: unknown
}

export interface StoredWill {
  readonly message: StoredMessage
  /** Whether it is to be retained. */
  readonly retain: boolean
  /** Seconds between its publication and its expiry, or -1 for none; `message.expiresAt` is 0. */
  readonly messageExpiryInterval: number
  /** Seconds between the broken connection and the will (MQTT 5 section 3.1.3.2.2). */
  readonly delayInterval: number
}

export interface StoredSubscription {
  /** Maximum QoS, 0 to 2. */
  readonly qos: number
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0, 1 or 2. */
  readonly retainHandling: number
  /** 1 to 268,435,455, or 0 for none. */
  readonly identifier: number
}

/** A message in a client's queue. */
export interface StoredDelivery {
  readonly message: StoredMessage
  /** QoS of this delivery, 1 or 2. */
  readonly qos: number
  /** Whether the RETAIN flag goes out with it. */
  readonly retain: boolean
  /** Subscription identifiers that go out with it. */
  readonly subscriptionIdentifiers: readonly number[]
  /** The packet identifier it was sent with, or 0 when the client may not know of it. */
  readonly packetId: number
  /** True after PUBREC: only PUBREL is sent from then on. */
  readonly released: boolean
}

export interface StoredReceipt {
  /** The reason code that PUBREC carried, and carries again for the same packet. */
  readonly reasonCode: number
}

export interface StoredMessage {
  readonly topic: string
  readonly payload: Uint8Array
  /** QoS it was published with, 0 to 2. */
  readonly qos: number
  /** The MQTT 5 properties that are passed on unchanged, encoded, without their length (section 3.3.2.3); empty when there are none. */
  readonly properties: Uint8Array
  /** Retained messages: whose share of the quotas it takes; undefined for the app, and in records of earlier versions. */
  readonly account?: string
  /** When it expires, in milliseconds since 1970; 0 for never. */
  readonly expiresAt: number
}
