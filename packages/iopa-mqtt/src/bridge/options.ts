import type { Limits, User } from '@iopa/transport'
import type { RemoteOptions } from '../remote/options.ts'
import type { Store } from '../store.ts'
import type { AckOrder } from './ack-queue.ts'

/** Options of bridge mode: the app is a worker on a broker or cluster. */
export interface BridgeOptions extends RemoteOptions {
  /** `mqtt:`, `mqtts:`, `ws:` or `wss:`; user name and password may stand in it. */
  readonly broker: string | URL
  /**
   * Name of the group that this worker belongs to: each command goes to one of the group (`$share/<share>/...`). Without it, or where the broker
   * has no shared subscriptions, every worker gets every command.
   */
  readonly share?: string
  /** Filters of the command topics; those of the app's routes unless given. */
  readonly topics?: readonly string[]
  /** Where the state of a resource is kept for all workers: `<statePrefix>/<topic>`, retained. `state` unless given; false shares no state. */
  readonly statePrefix?: string | false
  /** Commands that are worked on at the same time; 64 unless given. */
  readonly window?: number
  /** `strict`, the default, acknowledges in the order of arrival ([MQTT-4.6.0-2]); `any` as soon as a command is done. */
  readonly ackOrder?: AckOrder
  /** How a command that fails for a passing reason (408, 5xx) is tried again. */
  readonly retry?: {
    /** Attempts in all; 5 unless given. */
    readonly attempts?: number
    /** Milliseconds to wait before the second; 200 unless given. */
    readonly initial?: number
    /** Milliseconds to wait at most; 10,000 unless given. */
    readonly maximum?: number
  }
  /**
   * Where commands go that failed for good: `<deadLetter>/<topic>`, or what the function says. `dead` unless given; false only logs them.
   */
  readonly deadLetter?: string | false | ((topic: string) => string)
  /** Who the messages of the broker act as (`server.User`): the broker has authenticated their publishers and does not say who they are. */
  readonly user?: User
  readonly limits?: Partial<Limits>
  /**
   * Keeps changed states that the broker does not have yet beyond the process: `diskStore(path)`, with a folder of its own. The next start
   * puts them into the app and publishes them. Without it they are lost with the process.
   */
  readonly outbox?: Store
}
