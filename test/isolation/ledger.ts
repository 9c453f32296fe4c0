// What was asked, what came back, and whether the two belong together.

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export const randomFrom = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** One of a list. */
export const pick = <T>(random: () => number, list: readonly T[]): T => list[Math.floor(random() * list.length)] as T

/** How a handler behaves; the path of a request is `/<behaviour>/<token>`. */
export type Behaviour = 'now' | 'later' | 'stream' | 'big' | 'shared' | 'throw' | 'break' | 'hang' | 'late'

/** Behaviours in the shares in which they are asked for. */
export const MIX: readonly Behaviour[] = [
  ...Array.from({ length: 6 }, () => ['now', 'later', 'stream', 'shared', 'throw', 'break'] as const).flat(),
  'big',
  'big',
  'hang',
  'late'
]
/** The same without answers that no datagram can hold. */
export const SMALL_MIX: readonly Behaviour[] = MIX.filter(behaviour => behaviour !== 'big')

/** What a client may get for a behaviour; a status of 0 is a body that broke off. */
const STATUSES: Readonly<Record<Behaviour, readonly number[]>> = {
  now: [200],
  later: [200],
  stream: [200],
  big: [200],
  shared: [200],
  throw: [500],
  break: [0, 500],
  hang: [504],
  // A loop that was busy with other requests may see the handler before the deadline.
  late: [200, 504]
}

interface Entry {
  readonly protocol: string
  readonly behaviour: Behaviour
  answers: number
  /** The connection ended, by either side, before an answer came. */
  ended: boolean
}

const TOKEN = /tok[0-9a-z]{12}/g

/** Every request of a run, by its token, and everything that went wrong. */
export class Ledger {
  readonly faults: string[] = []
  readonly #entries = new Map<string, Entry>()
  #last = 0

  /** A new request; its token stands in the path, a header and the body. */
  open(protocol: string, behaviour: Behaviour): string {
    const token = `tok${(++this.#last).toString(36).padStart(6, '0')}${Math.floor(36 ** 6 * ((this.#last * 0.618034) % 1))
      .toString(36)
      .padStart(6, '0')}`
    this.#entries.set(token, { protocol, behaviour, answers: 0, ended: false })
    return token
  }

  /** An answer, as everything that the client saw of it: head and body as one text. */
  answered(token: string, status: number, text: string): void {
    const entry = this.#entries.get(token) as Entry
    entry.answers++
    const where = `${entry.protocol} /${entry.behaviour}/${token}`
    if (entry.answers > 1) this.faults.push(`${where}: answered ${entry.answers} times`)
    // 503 is a refusal by the bound on work, which may hit any request.
    if (status !== 503 && !STATUSES[entry.behaviour].includes(status)) this.faults.push(`${where}: status ${status}: ${text.slice(0, 200)}`)
    const found: readonly string[] = text.match(TOKEN) ?? []
    if (found.some(other => other !== token)) this.faults.push(`${where}: holds ${found.find(other => other !== token)}`)
    if (status === 200 && !found.includes(token)) this.faults.push(`${where}: its own token is missing: ${text.slice(0, 200)}`)
    if (status >= 500 && text.includes('secret')) this.faults.push(`${where}: tells what was thrown`)
  }

  /** The connection of a request ended, so that no answer can come. */
  ended(tokens: Iterable<string>): void {
    for (const token of tokens) (this.#entries.get(token) as Entry).ended = true
  }

  /** True for a request whose client has left: the system may have given its port to another client since. */
  isEnded(token: string): boolean {
    return this.#entries.get(token)?.ended === true
  }

  /** Requests so far. */
  get size(): number {
    return this.#entries.size
  }

  /** Requests with neither an answer nor the end of their connection. */
  get missing(): string[] {
    return [...this.#entries]
      .filter(([, { answers, ended }]) => answers === 0 && !ended)
      .map(([token, { protocol, behaviour }]) => `${protocol} /${behaviour}/${token}`)
  }

  /** Requests, answers and ended connections by protocol. */
  get totals(): Record<string, { requests: number; answers: number; ended: number }> {
    const totals: Record<string, { requests: number; answers: number; ended: number }> = {}
    for (const { protocol, answers, ended } of this.#entries.values()) {
      const total = (totals[protocol] ??= { requests: 0, answers: 0, ended: 0 })
      total.requests++
      total.answers += answers
      if (ended && answers === 0) total.ended++
    }
    return totals
  }
}
