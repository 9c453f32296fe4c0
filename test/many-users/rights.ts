/** Users of a world; the empty name is a client without a user. */
export const USERS = ['', 'ann', 'bob', 'cy', 'dee'] as const

/** Topics without a route. */
export const STREAMS = ['p/0', 'p/1', 'p/2', 'p/3', 'q/0', 'q/0/deep', 'q/1'] as const
/** States with a GET route that say the same to everyone. */
export const STATES = ['s/0', 's/1', 's/2'] as const
/** States that say something else to each user. */
export const OWN = ['own/0', 'own/1'] as const
/** Response topics: all users may read and write them. */
export const RESPONSES = ['r/0', 'r/1', 'r/2'] as const

export const FILTERS: readonly string[] = [
  ...STREAMS,
  ...STREAMS,
  ...STATES,
  ...OWN,
  ...RESPONSES,
  '#',
  '#',
  'p/+',
  'p/#',
  '+/0',
  'q/#',
  's/+',
  'own/+',
  'r/#',
  '$share/g/p/+',
  '$share/g/p/+',
  '$share/g/p/0',
  '$share/h/#',
  '$share/h/q/#',
  '$share/h/s/+'
]

const hash = (seed: number, ...parts: readonly string[]): number => {
  let value = seed | 0
  for (const part of parts) for (let at = 0; at < part.length; at++) value = Math.imul(value ^ part.charCodeAt(at), 0x01000193)
  value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d)
  value = Math.imul(value ^ (value >>> 12), 0x297a2d39)
  return (value ^ (value >>> 15)) >>> 0
}

/** Who may do what in one world: fixed by its seed, and how long the app takes to decide. */
export class Rights {
  readonly #seed: number
  readonly #slow: boolean
  readonly #forbidden: Map<string, number> = new Map()

  /** With `slow` some of the decisions take time. */
  constructor(seed: number, slow: boolean) {
    this.#seed = seed
    this.#slow = slow
  }

  /** Whether a user may read a topic over a connection that was asked for at a place in the order of events; without one, over the next. */
  mayRead(user: string, topic: string, askedAt: number = Number.POSITIVE_INFINITY): boolean {
    return this.couldRead(user, topic) && askedAt <= (this.#forbidden.get(`${user} ${topic}`) ?? Number.POSITIVE_INFINITY)
  }

  /** Whether a user could ever read a topic. */
  couldRead(user: string, topic: string): boolean {
    return topic.startsWith('r/') || topic.startsWith('$SYS/') || hash(this.#seed, 'read', user, topic) % 10 < 6
  }

  /** From connections that are asked for after a place in the order of events on, a user may not read a topic. */
  forbid(user: string, topic: string, at: number): void {
    if (!this.isForbidden(user, topic)) this.#forbidden.set(`${user} ${topic}`, at)
  }

  isForbidden(user: string, topic: string): boolean {
    return this.#forbidden.has(`${user} ${topic}`)
  }

  mayWrite(user: string, topic: string): boolean {
    return topic.startsWith('r/') || hash(this.#seed, 'write', user, topic) % 10 < 7
  }

  /** Milliseconds that a decision takes; 0 for one that is made at once. */
  delay(user: string, method: string, topic: string): number {
    if (!this.#slow) return 0
    const value = hash(this.#seed, 'delay', user, method, topic) % 40
    return value < 20 ? 0 : value - 19
  }

  /** True where the app is too busy for the first decision of a kind. */
  busyAtFirst(user: string, method: string, topic: string): boolean {
    return this.#slow && method === 'GET' && hash(this.#seed, 'busy', user, topic) % 12 === 0
  }
}

/** The filter within `$share/<group>/`, and the group; a plain filter has an empty group. */
export const shared = (filter: string): { group: string; filter: string } => {
  const parts = /^\$share\/([^/]+)\/(.+)$/.exec(filter)
  return parts ? { group: filter, filter: parts[2] as string } : { group: '', filter }
}

/** True when a filter matches a topic (MQTT 5 section 4.7). */
export const matches = (filter: string, topic: string): boolean => {
  const want = filter.split('/')
  const have = topic.split('/')
  if (topic.startsWith('$') && (want[0] === '#' || want[0] === '+')) return false
  for (let at = 0; at < want.length; at++) {
    if (want[at] === '#') return true
    if (at >= have.length || (want[at] !== '+' && want[at] !== have[at])) return false
  }
  return want.length === have.length
}
