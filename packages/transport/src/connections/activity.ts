import type { Host, Subscription } from '../contract/host.ts'

/** A connection has been accepted. */
export interface ConnectionOpened {
  readonly kind: 'connection-opened'
  /** The name of its transport, such as `http`. */
  readonly transport: string
  /** Of the peer, as the channel has it. */
  readonly address: string
  readonly port: number
}

/** A connection has ended. */
export interface ConnectionClosed {
  readonly kind: 'connection-closed'
  readonly transport: string
  readonly address: string
  readonly port: number
  /** Milliseconds since it was accepted. */
  readonly duration: number
}

/** A connection, message or request was refused before there was a context for it. */
export interface Refusal {
  readonly kind: 'refused'
  readonly transport: string
  /** Of the peer; undefined where the transport does not know it. */
  readonly address: string | undefined
  readonly port: number | undefined
  /** A neutral status, such as 400 for bytes that are no message, 503 for a limit. */
  readonly status: number
  /** A code of the table of errors, such as `malformed-head`. */
  readonly code: string
}

/** What happens at the listeners of an app beside its requests. */
export type Activity = ConnectionOpened | ConnectionClosed | Refusal

/** Hands the activity of all listeners of an app to those that listen, such as a log. */
export class ActivityFeed {
  readonly #listeners = new Set<(activity: Activity) => void>()

  /** False where nothing listens: then no event need be made. */
  get active(): boolean {
    return this.#listeners.size > 0
  }

  /** Calls every listener. What a listener throws is dropped: a log must not end a connection. */
  report(activity: Activity): void {
    for (const listener of this.#listeners) {
      try {
        listener(activity)
      } catch {
        // The listener is the log, as a rule: there is no other place to say it.
      }
    }
  }

  listen(listener: (activity: Activity) => void): Subscription {
    const own = (activity: Activity): void => listener(activity)
    this.#listeners.add(own)
    return { [Symbol.dispose]: () => this.#listeners.delete(own) }
  }
}

/** The name of what `activityOf` keeps. */
export const ACTIVITY = 'iopa.activity'

/** The activity feed of an app. */
export const activityOf = (host: Pick<Host, 'shared'>): ActivityFeed => host.shared(ACTIVITY, () => new ActivityFeed())
