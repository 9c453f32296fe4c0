import { seededRandom } from '@iopa/testing'
import { FILTERS, OWN, RESPONSES, STATES, STREAMS, USERS } from './rights.ts'

/** Places for MQTT connections and for observers of other protocols. */
export const SLOTS = 12
export const OBSERVERS = 8
const CLIENT_IDS = ['c0', 'c1', 'c2'] as const

/** One step of a world, as plain data, so that a run can be repeated and shortened. Each has all it needs; one that makes no sense where it comes does nothing. */
export type Step = { readonly wait: number } & (
  | {
      readonly kind: 'connect'
      readonly slot: number
      readonly user: string
      readonly clientId: string
      readonly version: 3 | 4 | 5
      readonly clean: boolean
      readonly lasting: number
      readonly window: number
      readonly will: { readonly topic: string; readonly qos: number; readonly retain: boolean; readonly delay: number } | null
    }
  | { readonly kind: 'leave'; readonly slot: number; readonly ends: boolean }
  | { readonly kind: 'kill' | 'pause' | 'resume' | 'hold' | 'release'; readonly slot: number }
  | {
      readonly kind: 'subscribe'
      readonly slot: number
      readonly filter: string
      readonly qos: number
      readonly noLocal: boolean
      readonly asPublished: boolean
      readonly retainHandling: number
    }
  | { readonly kind: 'unsubscribe'; readonly slot: number; readonly filter: string }
  | {
      readonly kind: 'publish'
      readonly slot: number
      readonly topic: string
      readonly qos: number
      readonly retain: boolean
      readonly empty: boolean
      readonly method: string
      readonly expiry: number
      readonly count: number
    }
  | { readonly kind: 'ask'; readonly slot: number; readonly response: string; readonly qos: number }
  | { readonly kind: 'observe'; readonly place: number; readonly protocol: 'http' | 'tcp' | 'coap'; readonly user: string; readonly topic: string }
  | { readonly kind: 'unobserve'; readonly place: number }
  | { readonly kind: 'change'; readonly protocol: 'http' | 'tcp'; readonly user: string; readonly topic: string }
  | { readonly kind: 'share'; readonly topic: string; readonly qos: number; readonly retain: boolean }
  | { readonly kind: 'restart'; readonly crash: boolean }
  | { readonly kind: 'revoke' | 'readmit'; readonly user: string }
  | { readonly kind: 'forbid'; readonly user: string; readonly topic: string }
  | { readonly kind: 'pass' | 'rest' }
)

/** Makes the steps of one world. */
export const stepsOf = (seed: number, count: number): Step[] => {
  const random = seededRandom(seed)
  const below = (bound: number): number => Math.floor(random() * bound)
  const chance = (probability: number): boolean => random() < probability
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T
  const qos = (): number => pick([0, 1, 1, 2])
  const slot = (): number => below(SLOTS)

  const connect = (at: number): Step => ({
    kind: 'connect',
    wait: pick([0, 1, 3, 12]),
    slot: at,
    user: pick(USERS),
    clientId: pick(CLIENT_IDS),
    version: pick([3, 4, 4, 5, 5, 5, 5]),
    clean: chance(0.25),
    lasting: pick([0, 5, 1e6, 1e6, 1e6]),
    window: pick([1, 3, 20, 60]),
    will: chance(0.3) ? { topic: pick(STREAMS), qos: qos(), retain: chance(0.2), delay: pick([0, 0, 1, 4]) } : null
  })
  const subscribe = (): Step => ({
    kind: 'subscribe',
    wait: pick([0, 0, 2]),
    slot: slot(),
    filter: pick(FILTERS),
    qos: qos(),
    noLocal: chance(0.15),
    asPublished: chance(0.2),
    retainHandling: pick([0, 0, 1, 2])
  })
  const publish = (): Step => {
    const topic = pick([...STREAMS, ...STREAMS, ...STATES, ...OWN, ...RESPONSES])
    const plain = (STREAMS as readonly string[]).includes(topic)
    const retain = plain && chance(0.15)
    return {
      kind: 'publish',
      wait: pick([0, 0, 0, 1, 4]),
      slot: slot(),
      topic,
      qos: qos(),
      retain,
      empty: retain && chance(0.2),
      method: plain && chance(0.08) ? pick(['GET', 'POST', 'DELETE']) : '',
      expiry: chance(0.06) ? pick([1, 3]) : 0,
      count: chance(0.06) ? 8 : 1
    }
  }
  const other = (): Step => {
    const roll = random()
    if (roll < 0.1) return { kind: 'leave', wait: pick([0, 1, 8]), slot: slot(), ends: chance(0.3) }
    if (roll < 0.26) return { kind: 'kill', wait: pick([0, 1, 8]), slot: slot() }
    if (roll < 0.31) return { kind: 'pause', wait: 0, slot: slot() }
    if (roll < 0.38) return { kind: 'resume', wait: 1, slot: slot() }
    if (roll < 0.43) return { kind: 'hold', wait: 0, slot: slot() }
    if (roll < 0.51) return { kind: 'release', wait: 1, slot: slot() }
    if (roll < 0.66) {
      const topic = pick([...STATES, ...OWN])
      return { kind: 'observe', wait: 1, place: below(OBSERVERS), protocol: pick(['http', 'tcp', 'coap']), user: pick(USERS), topic }
    }
    if (roll < 0.69) return { kind: 'unobserve', wait: 0, place: below(OBSERVERS) }
    if (roll < 0.84)
      return { kind: 'change', wait: pick([0, 2]), protocol: pick(['http', 'tcp']), user: pick(USERS), topic: pick([...STATES, ...OWN]) }
    if (roll < 0.88) return { kind: 'share', wait: 0, topic: pick(STREAMS), qos: qos(), retain: chance(0.1) }
    if (roll < 0.89) return { kind: 'restart', wait: 20, crash: chance(0.5) }
    if (roll < 0.9) return { kind: 'revoke', wait: 20, user: pick(USERS.slice(1)) }
    if (roll < 0.92) return { kind: 'readmit', wait: 0, user: pick(USERS.slice(1)) }
    if (roll < 0.93) return { kind: 'forbid', wait: 0, user: pick(USERS), topic: pick(STREAMS) }
    if (roll < 0.96) return { kind: 'pass', wait: pick([20, 100, 1500, 6000]) }
    return { kind: 'rest', wait: 0 }
  }

  const steps: Step[] = []
  for (let at = 0; at < SLOTS; at++) steps.push({ ...connect(at), wait: 14 })
  for (let at = 0; at < 24; at++) steps.push(subscribe())
  while (steps.length < count) {
    const roll = random()
    if (roll < 0.45) steps.push(publish())
    else if (roll < 0.56) steps.push(subscribe())
    else if (roll < 0.59) steps.push({ kind: 'unsubscribe', wait: 0, slot: slot(), filter: pick(FILTERS) })
    else if (roll < 0.68) steps.push(connect(slot()))
    else if (roll < 0.72) steps.push({ kind: 'ask', wait: pick([0, 2]), slot: slot(), response: pick(RESPONSES), qos: qos() })
    else steps.push(other())
  }
  return steps
}
