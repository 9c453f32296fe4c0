import { decodeMessageProperties, encodeMessageProperties } from '../codec/message-properties.ts'
import type { Store } from '../store.ts'
import { pathOf, topicOf } from '../topics/topic.ts'
import { type Representation, STATE_VERSION } from './state-replica.ts'

/** What a `StateOutbox` needs. */
export interface StateOutboxOptions {
  readonly store: Store
  /** The representation of a path now, or null when it has none to share. */
  readonly capture: (path: string) => Promise<Representation | null>
  /** Called for what the store could not keep. */
  readonly failed: (path: string, error: unknown) => void
  /** Called for what the store has lost of an earlier process, a sentence each. */
  readonly damaged: (what: string) => void
}

interface Entry {
  /** The state has changed since it was captured. */
  dirty: boolean
  /** The broker has the newest state: the store may forget it. */
  shared: boolean
  work: Promise<void>
}

/** Keeps in a store the changed states that the broker does not have yet, so that the end of the process does not lose them. */
export class StateOutbox {
  readonly #options: StateOutboxOptions
  readonly #entries = new Map<string, Entry>()
  /** Paths whose state the store could not keep, and the broker does not have. */
  readonly #unkept = new Set<string>()

  constructor(options: StateOutboxOptions) {
    this.#options = options
  }

  /** What an earlier process has left here. */
  async load(): Promise<{ readonly path: string; readonly representation: Representation }[]> {
    const found: { path: string; representation: Representation }[] = []
    for await (const record of this.#options.store.load()) {
      if (record.kind !== 'retained' || record.value === null) continue
      const { payload, properties } = record.value
      const { contentType = '', userProperties } = decodeMessageProperties(Buffer.from(properties))
      const stateVersion = userProperties?.find(([name]) => name === STATE_VERSION)?.[1]
      found.push({ path: pathOf(record.topic), representation: { payload, contentType, stateVersion } })
    }
    for (const what of this.#options.store.damage?.() ?? []) this.#options.damaged(what)
    return found
  }

  /** A path has changed: its state is kept until `shared`. */
  changed(path: string): void {
    const entry = this.#entries.get(path)
    if (entry) {
      entry.dirty = true
      entry.shared = false
      return
    }
    this.#begin(path, { dirty: true, shared: false, work: Promise.resolve() })
  }

  /** The broker has the newest state of a path, or has refused it for good. */
  shared(path: string): void {
    this.#unkept.delete(path)
    const entry = this.#entries.get(path)
    if (entry) {
      entry.dirty = false
      entry.shared = true
    } else this.#begin(path, { dirty: false, shared: true, work: Promise.resolve() })
  }

  /** How many states the store could not keep. */
  get unkept(): number {
    return this.#unkept.size
  }

  /** Resolves when the store has everything. What it could not keep before, it is given once more. */
  async settled(): Promise<void> {
    for (const path of this.#unkept) this.changed(path)
    while (this.#entries.size > 0) await Promise.all(Array.from(this.#entries.values(), ({ work }) => work))
  }

  close(): Promise<void> {
    return this.#options.store.close()
  }

  #begin(path: string, entry: Entry): void {
    this.#entries.set(path, entry)
    entry.work = this.#work(path, entry)
  }

  async #work(path: string, entry: Entry): Promise<void> {
    const { store, capture, failed } = this.#options
    const topic = topicOf(path)
    try {
      while (entry.dirty && !entry.shared) {
        entry.dirty = false
        const representation = await capture(path)
        if (representation === null || entry.shared) continue
        const { payload, contentType, stateVersion } = representation
        const properties = encodeMessageProperties({
          ...(contentType === '' ? {} : { contentType }),
          ...(stateVersion === undefined ? {} : { userProperties: [[STATE_VERSION, stateVersion] as const] })
        })
        await store.write([{ kind: 'retained', topic, value: { topic, payload, qos: 1, properties, expiresAt: 0 } }])
        this.#unkept.delete(path)
      }
      while (entry.shared) {
        entry.shared = false
        await store.write([{ kind: 'retained', topic, value: null }])
      }
    } catch (error) {
      // One line until the store works again: each change would fail alike.
      if (this.#unkept.size === 0) failed(path, error)
      if (!entry.shared) this.#unkept.add(path)
    }
    this.#entries.delete(path)
    if (entry.dirty) this.changed(path)
  }
}
