import type { Logger } from '@iopa/transport'

/** Milliseconds between two lines about the same kind of loss. */
const INTERVAL = 10_000

/** Logs what clients have not got, at a bounded rate: one line for each kind in ten seconds, with the number since the last one. */
export class Losses {
  readonly #logger: Logger
  readonly #elapsed: () => number
  readonly #kinds = new Map<string, { since: number; count: number }>()

  constructor(logger: Logger, elapsed: () => number) {
    this.#logger = logger
    this.#elapsed = elapsed
  }

  /** Notes a loss; `what` names its kind, `of` the last one or whose it is. `info` is for what clients have chosen. */
  note(what: string, of: string | { readonly name: string }, level: 'warn' | 'info' = 'warn'): void {
    const now = this.#elapsed()
    const kind = this.#kinds.get(what)
    if (kind && now - kind.since < INTERVAL) {
      kind.count++
      return
    }
    const before = kind?.count ?? 0
    this.#kinds.set(what, { since: now, count: 0 })
    const detail = typeof of === 'string' ? of : of.name
    this.#logger[level](`iopa: MQTT: ${what}: ${detail}${before > 0 ? ` (and ${before} more since the last line)` : ''}`)
  }
}
