import type { Context, Connection as CountedConnection, Endpoint, RequestSource } from '@iopa/transport'
import type { DropReason } from './operation/statistics.ts'
import type { Message } from './topics/message.ts'

/*
 * The interfaces by which the parts of a broker use each other. Imports go down: a part that needs something of a room above it takes one of
 * these instead.
 */

/** Groups writes to clients: one write per client and batch. */
export interface WriteBatches {
  begin(): void
  /** Writes everything that was appended since `begin`. */
  end(): void
  /** Runs `work` and then writes what it produced. */
  batch(work: () => void): void
}

/** What keeps further messages from beginning. The parts that have too much to do set these; plain fields, for they are read with each message. */
export interface Backpressure {
  /** Many authorizations wait. */
  authorizing: boolean
  /** So many authorizations wait that no message goes ahead of others, either. */
  overwhelmed: boolean
  /** A message is being forwarded in slices. */
  forwarding: boolean
}

/** What authorization reads of a topic. */
export interface TopicView {
  readonly name: string
  readonly path: string
  /** True if a route may have the path. */
  readonly routable: boolean
  /** True if each route of the path has a guard of its own. */
  readonly isGuarded: boolean
}

export const UNKNOWN = 0
export const ALLOWED = 1
export const DENIED = 2
/** Whether a session may receive from a topic. */
export type Authorization = typeof UNKNOWN | typeof ALLOWED | typeof DENIED

/** What a session is to receive of one topic: all its matching subscriptions, taken together. */
export interface Grant {
  readonly qos: number
  readonly retainAsPublished: boolean
  /** Subscription identifiers. */
  readonly identifiers: readonly number[]
  /** The authorization of the session for the topic, valid while `epoch` is that of the session. */
  authorization: Authorization
  epoch: number
}

/** Whether a session may use a topic. */
export interface AuthorizesTopics {
  /** The answer as far as it is known without running a request. */
  of(topic: TopicView, grant: Grant): Authorization
  /** Calls back once with the answer, at once where it is known; false when too many wait for it already. */
  ask(topic: TopicView, done: (allowed: boolean) => void): boolean
  isDenied(topic: string): boolean
}

/** A message that waits in a queue until the store has kept it. */
export interface StagedMessage {
  kept: boolean
  cancelled: boolean
}

/** The messages on their way to one client. */
export interface OutgoingQueue {
  /** True if a further message would wait. */
  readonly congested: boolean
  /** True if a further message would be lost for lack of room in the client's own queue, or in the share of its account. */
  readonly bound: boolean
  deliver(message: Message, grant: Grant): void
  stage(message: Message, grant: Grant): StagedMessage | null
  pump(): void
}

/** A session as its subscriptions see it. */
export interface Subscriber {
  readonly account: string
  readonly connected: boolean
  readonly persistent: boolean
  /** True if the store keeps it. */
  readonly stored: boolean
  readonly ended: boolean
  /** True once a message of QoS 1 or 2 found no room. */
  readonly overflowed: boolean
  readonly authorization: AuthorizesTopics
  readonly outgoing: OutgoingQueue
  drop(reason?: DropReason): void
  overflow(): void
}

/** The context and headers with which requests of a session run. */
export interface SessionScope {
  readonly context: Context
  readonly source: RequestSource | null
}

/** Runs a request in the name of a session and calls back with its status. */
export type AccessCheck = (scope: SessionScope, topic: TopicView, done: (status: number) => void) => void

/** What happens to the will when a connection ends: it is published, deleted, kept until the broker runs again, or held until the client may have returned. */
export type WillHandling = 'publish' | 'delete' | 'keep' | 'hold'

/** Packets to one client, in the form that it takes. */
export interface PacketSink {
  /** True while the client takes nothing and too much waits. */
  readonly full: boolean
  /** Unacknowledged messages that the client takes at a time. */
  readonly window: number
  /** False if the client wants no reason strings (MQTT 5 section 3.1.2.11.7). */
  readonly wantsProblems: boolean
  /** Sends a PUBLISH; false when it is larger than the client takes. */
  publish(message: Message, qos: number, retain: boolean, dup: boolean, packetId: number, identifiers: readonly number[]): boolean
  /** Sends a PUBACK, PUBREC, PUBREL or PUBCOMP. */
  acknowledge(type: number, packetId: number, reasonCode: number, details: Buffer | null): void
  send(packet: Buffer): void
}

/** A connection as the session and the handlers of its packets see it. */
export interface ClientConnection {
  /** 3, 4 or 5. */
  readonly version: number
  readonly sender: PacketSink
  readonly remoteAddress: string
  /** The scope of its requests; null once it has ended. */
  readonly context: Context | null
  readonly endpoint: Endpoint | null
  /** The headers of its CONNECT. */
  readonly source: RequestSource | null
  /** True for the bridge of another broker. */
  readonly bridge: boolean
  /** Stops reading while a packet is worked on in slices. */
  hold(on: boolean): void
  /** Sends DISCONNECT where the version has it, and closes. */
  disconnect(reasonCode: number, reasonString: string, will?: WillHandling): void
  /** Closes without a packet, so that the client sends again on its next connection. */
  disconnectSilently(): void
}

/** A connection as the receiver of its PUBLISH packets sees it. */
export interface PublishingConnection extends ClientConnection {
  /** It counts the messages in work. */
  readonly counted: CountedConnection
  /** `paused` while nothing is read from the connection. */
  readonly reader: { readonly paused: boolean }
  /** True once it is closing. */
  readonly disconnected: boolean
  /** Continues reading. */
  proceed(): void
  /** Ends the scope of a connection that is closing: no message is in work any more. */
  endScope(): void
}
