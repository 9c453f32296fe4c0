import type { Clock } from '@iopa/appbuilder/extension'
import { addressClass } from './addresses.ts'
import type { LogRecord } from './record.ts'

// Kinds of lines that are counted apart in a second; a peer that makes many is counted in one more.
const KINDS = 64

interface Kind {
  readonly first: LogRecord
  readonly addresses: string
  seen: number
}

/** Bounds the lines that a peer can make many of: in a second so many of each kind are written, and one line says how many more there were. */
export class Floods {
  readonly #clock: Clock
  readonly #perSecond: number
  readonly #write: (record: LogRecord) => void
  readonly #kinds = new Map<string, Kind>()
  #timer: unknown = null

  constructor(clock: Clock, perSecond: number, write: (record: LogRecord) => void) {
    this.#clock = clock
    this.#perSecond = perSecond
    this.#write = write
  }

  /** Writes a line, or counts it. `address` is that of its peer. */
  add(record: LogRecord, address: string | undefined): void {
    const addresses = addressClass(address)
    const { event, transport, status, code } = record
    let key = `${event} ${transport ?? ''} ${status ?? ''} ${code ?? ''} ${addresses}`
    if (!this.#kinds.has(key) && this.#kinds.size >= KINDS) key = ''
    let kind = this.#kinds.get(key)
    if (kind === undefined)
      this.#kinds.set(key, (kind = { first: key === '' ? { level: 'warn', time: 0, event: 'summary' } : record, addresses, seen: 0 }))
    this.#timer ??= this.#clock.setTimeout(() => this.flush(), 1000)
    if (kind.seen++ < this.#perSecond) this.#write(record)
  }

  /** Says what was not written. */
  flush(): void {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
    const time = this.#clock.now()
    for (const { first, addresses, seen } of this.#kinds.values()) {
      const count = seen - this.#perSecond
      if (count <= 0) continue
      const { event, transport, status, code } = first
      const of = event === 'summary' ? 'other' : event
      this.#write({ level: 'warn', time, event: 'summary', status, transport, code, of, count, addresses: of === 'other' ? 'unknown' : addresses })
    }
    this.#kinds.clear()
  }
}
