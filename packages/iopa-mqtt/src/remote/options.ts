import type { TlsOptions } from '@iopa/transport'
import type { BrokerCapabilities } from './capabilities.ts'

/** How to reach a broker and how to stay connected to it; the same for bridge and client. */
export interface RemoteOptions {
  /**
   * Names this client to the broker. Give one that stays the same over restarts, and is used by one process only, so that the broker keeps
   * what was not acknowledged when the process ended. Without it each start has a random one, which holds over reconnects only.
   */
  readonly clientId?: string
  /** Instead of the user name in the URL. */
  readonly username?: string
  /** Instead of the password in the URL. */
  readonly password?: string
  /** For `mqtts:` and `wss:`. */
  readonly tls?: TlsOptions
  /** 5 or 4 (3.1.1) alone; by default 5 is tried, then 4. */
  readonly protocolVersion?: 4 | 5
  /** Seconds between signs of life; 60 unless given. A handler may take longer. */
  readonly keepAlive?: number
  /** Seconds that the broker keeps the session without a connection (MQTT 5); 3,600 with a `clientId`, else 60. */
  readonly sessionExpiry?: number
  /** Milliseconds until the broker has accepted a connection; 10,000 unless given. */
  readonly connectTimeout?: number
  /** Waits between attempts to reconnect, in milliseconds: growing from `initial` (1,000) to `maximum` (60,000), spread at random. */
  readonly reconnect?: { readonly initial?: number; readonly maximum?: number }
  /** What the broker can do, where it does not say so itself or is wrong; such as `{ shared: true }`. */
  readonly capabilities?: Partial<BrokerCapabilities>
}
