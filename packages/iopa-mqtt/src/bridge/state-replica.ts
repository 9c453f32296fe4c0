import { hash } from 'node:crypto'
import { HeaderMap, type RequestSource } from '@iopa/transport'

/** Header of a representation, and user property of its message: the version of its shape, where that is not the first. */
export const STATE_VERSION = 'state-version'

/** The state of a resource as it travels; no bytes at all means that it is gone. */
export interface Representation {
  readonly payload: Uint8Array
  readonly contentType: string
  /** The version of its shape, as its header `state-version` has it; undefined for the first. */
  readonly stateVersion?: string | undefined
}

/** A message from a state topic. */
export interface StateMessage extends Representation {
  /** Who published it, as `<instance>:<number>`; empty where the broker passes on no user properties (MQTT 3.1.1). */
  readonly origin: string
}

/** The request that a message becomes. */
export const sourceOf = ({ payload, contentType, stateVersion }: StateMessage): RequestSource | null =>
  payload.length === 0
    ? null
    : {
        body: () => payload,
        contentType: () => contentType,
        ...(stateVersion === undefined ? {} : { headers: () => new HeaderMap([STATE_VERSION, stateVersion]) })
      }

/** What a `StateReplica` needs of the world. */
export interface StateReplicaOptions {
  /** Names this instance among all; new with every start. */
  readonly instance: string
  /** Messages that are captured and published at the same time. */
  readonly concurrency: number
  /** Changed paths that wait for the broker, at most. */
  readonly maxPending: number
  /** Milliseconds to wait for our own message to come back once the broker has acknowledged it. */
  readonly echoTimeout: number
  readonly clock: { setTimeout(callback: () => void, milliseconds: number): unknown; clearTimeout(timer: unknown): void }
  /** Resolves when there is a connection; rejects when there will not be one again. */
  ready(): Promise<void>
  /** The representation of a path now, or null when it has none to share. */
  capture(path: string): Promise<Representation | null>
  /** Resolves once the broker has acknowledged; rejects when it refuses. */
  publish(path: string, representation: Representation, origin: string): Promise<void>
  /** True where others take up what this instance publishes; false for a state that follows from others, of which they take up the end alone. */
  replaces(path: string): boolean
  /** Makes the state of this instance what the message says; must not reject. */
  apply(path: string, message: StateMessage): Promise<void>
  /** Told what could not be published. */
  failed(path: string, error: unknown): void
  /** Told the paths whose newest state the broker has, or has refused. */
  shared?(path: string): void
}

interface Pending {
  readonly path: string
  dirty: boolean
  /** The broker has not acknowledged it yet. */
  sending: boolean
  /** What is under way to the broker: its origin, and its fingerprint for brokers that drop the origin. */
  sent: { origin: string; fingerprint: string } | null
  echoed: (() => void) | null
  /** The newest foreign message that came while ours was under way. */
  skipped: StateMessage | null
}

/**
 * Keeps the state of one instance equal to that of all others, with nothing but a broker that orders the messages of each topic.
 *
 * Everybody applies the messages of a topic in the broker's order, so everybody ends with the last one. The exception makes it usable: from a
 * local change on until our message about it has come back, what others have published is older in that order than ours, so it is skipped, and
 * so is our own message when it returns, for the store has that state, or a newer one that will be published next. Without this the echo of a
 * first change would undo a second one that was made meanwhile. If ours never comes back (refused, or lost with the broker), the newest
 * skipped message is applied after all. Several changes of a path while one is under way leave together: never more messages than changes.
 */
export class StateReplica {
  readonly #options: StateReplicaOptions
  readonly #pending = new Map<string, Pending>()
  /** Per path, the end of the chain of messages being applied. */
  readonly #applying = new Map<string, Promise<void>>()
  /** The newest message of each topic, to leave out one that would say the same again. */
  readonly #newest = new Map<string, { fingerprint: string; contentType: string }>()
  #sequence = 0
  #active = 0
  readonly #turns: (() => void)[] = []
  readonly #pumps = new Set<Promise<void>>()

  constructor(options: StateReplicaOptions) {
    this.#options = options
  }

  /** Paths whose change the broker does not have yet, or has not sent back. */
  get pending(): number {
    return this.#pending.size
  }

  /** Paths whose newest state the broker does not have. */
  get unshared(): string[] {
    return [...this.#pending.values()].filter(({ dirty, sending }) => dirty || sending).map(({ path }) => path)
  }

  /** Says that this instance has changed a path; false when too many wait already. */
  changed(path: string): boolean {
    const pending = this.#pending.get(path)
    if (pending) {
      pending.dirty = true
      return true
    }
    if (this.#pending.size >= this.#options.maxPending) return false
    const added: Pending = { path, dirty: true, sending: false, sent: null, echoed: null, skipped: null }
    this.#pending.set(path, added)
    const pump = this.#pump(added).finally(() => this.#pumps.delete(pump))
    this.#pumps.add(pump)
    return true
  }

  /** Takes a message of a path, in the broker's order; resolves when it may be acknowledged. */
  async receive(path: string, message: StateMessage): Promise<void> {
    const fingerprint = fingerprintOf(message)
    this.#remember(path, fingerprint, message.contentType)
    const pending = this.#pending.get(path)
    if (!pending) return this.#apply(path, message)
    if (pending.sent && (message.origin === '' ? fingerprint === pending.sent.fingerprint : message.origin === pending.sent.origin)) {
      pending.sent = null
      // That a resource is gone the others have taken up, and what we have published since has not changed that.
      if (pending.skipped?.payload.length !== 0 || this.#options.replaces(path)) pending.skipped = null
      pending.echoed?.()
    } else pending.skipped = message
  }

  /** Forgets what the topics held, and says which paths they were of: after this every change is published, though it says what was said before. */
  forget(): string[] {
    const paths = [...this.#newest.keys()]
    this.#newest.clear()
    return paths
  }

  /** Resolves when every change has been published, or given up. */
  async drained(): Promise<void> {
    while (this.#pumps.size > 0) await Promise.all(this.#pumps)
  }

  async #pump(pending: Pending): Promise<void> {
    const { path } = pending
    try {
      while (pending.dirty) {
        await this.#options.ready()
        await this.#turn()
        try {
          // A message that is being applied must have landed: what we publish next is later than it in the broker's order.
          await this.#applying.get(path)
          pending.dirty = false
          pending.sending = true
          await this.#publish(pending)
        } finally {
          pending.sending = false
          this.#active--
          this.#turns.shift()?.()
        }
        if (pending.sent) await this.#echo(pending)
      }
    } catch (error) {
      this.#options.failed(path, error)
    } finally {
      this.#pending.delete(path)
    }
    const { skipped } = pending
    if (skipped === null) return
    await this.#apply(path, skipped)
    // The broker has what we published in the meantime.
    if (skipped.payload.length === 0 && !this.#options.replaces(path)) this.changed(path)
  }

  async #publish(pending: Pending): Promise<void> {
    const { path } = pending
    try {
      const representation = await this.#options.capture(path)
      if (!representation) return
      const fingerprint = fingerprintOf(representation)
      const newest = this.#newest.get(path)
      if (newest?.fingerprint === fingerprint && (newest.contentType === representation.contentType || newest.contentType === '')) {
        pending.skipped = null
        if (!pending.dirty) this.#options.shared?.(path)
        return
      }
      this.#remember(path, '', '')
      const origin = `${this.#options.instance}:${++this.#sequence}`
      pending.sent = { origin, fingerprint }
      await this.#options.publish(path, representation, origin)
      if (!pending.dirty) this.#options.shared?.(path)
    } catch (error) {
      pending.sent = null
      this.#options.failed(path, error)
    }
  }

  /** Waits until our message has come back. */
  #echo(pending: Pending): Promise<void> {
    const { clock, echoTimeout } = this.#options
    return new Promise(resolve => {
      const done = (): void => {
        clock.clearTimeout(timer)
        pending.echoed = null
        pending.sent = null
        resolve()
      }
      const timer = clock.setTimeout(done, echoTimeout)
      pending.echoed = done
    })
  }

  #apply(path: string, message: StateMessage): Promise<void> {
    const applied = (this.#applying.get(path) ?? Promise.resolve()).then(() => {
      const pending = this.#pending.get(path)
      if (!pending) return this.#options.apply(path, message)
      pending.skipped = message
      return undefined
    })
    this.#applying.set(path, applied)
    return applied.finally(() => {
      if (this.#applying.get(path) === applied) this.#applying.delete(path)
    })
  }

  #turn(): Promise<void> | undefined {
    if (this.#active++ < this.#options.concurrency) return
    return new Promise(resolve => this.#turns.push(resolve))
  }

  #remember(path: string, fingerprint: string, contentType: string): void {
    this.#newest.delete(path)
    this.#newest.set(path, { fingerprint, contentType })
    if (this.#newest.size > this.#options.maxPending) for (const [oldest] of this.#newest) return void this.#newest.delete(oldest)
  }
}

/** Of the payload alone: MQTT 3.1.1 loses the content type on the way. */
const fingerprintOf = ({ payload }: Representation): string =>
  payload.length < 32 ? Buffer.from(payload).toString('base64') : hash('sha256', payload, 'base64')
