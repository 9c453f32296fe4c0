import { contentTag } from '@iopa/appbuilder/extension'
import type { Gcra } from './gcra.ts'

// Budgets that callers share for whom the table has no room.
const SHARED = 1024
// Callers that are looked at with each new one: what a table forgets keeps pace with what it learns.
const LOOKED_AT = 2
// The same where it is full.
const LOOKED_AT_WHEN_FULL = 64
const FIRST_SIZE = 64
/** Characters of a caller up to which it is kept as it is. */
const LONGEST = 256
/** Beyond half of the table a group has this part of it at most. */
const GROUP_SHARE = 16

/** What a caller is kept by: peers may choose long keys, such as a header field, and there are thousands. */
export const shortened = (caller: string): string => (caller.length <= LONGEST ? caller : `${caller.length}#${contentTag(caller)}`)

/**
 * The budgets of callers, bounded. A caller whose budget is full again is forgotten, which changes nothing; no other one is ever put out, so that
 * nothing a peer does resets a budget. Where there is no room, new callers share budgets by their group: those that have a budget of their own keep it.
 */
export class Callers {
  readonly #rule: Gcra
  readonly #most: number
  readonly #groupOf: (key: string) => string
  /** Places by key. */
  readonly #places = new Map<string, number>()
  readonly #keys: string[] = []
  readonly #groups: string[] = []
  /** Callers of each group in the table. */
  readonly #grouped = new Map<string, number>()
  readonly #free: number[] = []
  /** When the budget at a place is full again, in milliseconds of the clock. */
  #full = new Float64Array(FIRST_SIZE)
  readonly #shared = new Float64Array(SHARED)
  /** Which callers share a budget is not known outside. */
  readonly #seed = (Math.random() * 0x1_0000_0000) >>> 0
  #hand = 0
  /** After `take`: when the budget of that caller is full again. */
  full = 0

  /** `groupOf` gives a network or another group that a caller may choose its key within. */
  constructor(rule: Gcra, most: number, groupOf: (key: string) => string) {
    this.#rule = rule
    this.#most = most
    this.#groupOf = groupOf
  }

  /** Callers with a budget of their own. */
  get size(): number {
    return this.#places.size
  }

  /** Takes from the budget of a caller: 0, or the milliseconds until there is enough in it. */
  take(caller: string, now: number, cost: number): number {
    const key = shortened(caller)
    const place = this.#places.get(key)
    if (place !== undefined) return this.#takeFrom(this.#full, place, now, cost)
    this.#forget(now)
    const group = this.#groupOf(key)
    if (this.#hasRoom(group)) return this.#takeFrom(this.#full, this.#add(key, group), now, cost)
    return this.#takeFrom(this.#shared, this.#sharedPlace(key, group), now, cost)
  }

  /** The milliseconds until there is enough in the budget of a caller, from which nothing is taken; 0 for none. */
  wait(caller: string, now: number, cost: number): number {
    const key = shortened(caller)
    const place = this.#places.get(key)
    if (place !== undefined) return this.#rule.wait(this.#full[place] as number, now, cost)
    const group = this.#groupOf(key)
    return this.#hasRoom(group) ? 0 : this.#rule.wait(this.#shared[this.#sharedPlace(key, group)] as number, now, cost)
  }

  /** Takes from the budget of a caller for what has happened already, whatever is left in it. */
  charge(caller: string, now: number, cost: number): void {
    const key = shortened(caller)
    let budgets = this.#full
    let place = this.#places.get(key)
    if (place === undefined) {
      this.#forget(now)
      const group = this.#groupOf(key)
      if (this.#hasRoom(group)) {
        place = this.#add(key, group)
        budgets = this.#full
      } else {
        place = this.#sharedPlace(key, group)
        budgets = this.#shared
      }
    }
    budgets[place] = this.#rule.charge(budgets[place] as number, now, cost)
  }

  #sharedPlace(key: string, group: string): number {
    return this.#hash(group === '' ? key : group)
  }

  #takeFrom(budgets: Float64Array, place: number, now: number, cost: number): number {
    const full = budgets[place] as number
    const next = this.#rule.take(full, now, cost)
    if (next < 0) {
      this.full = full
      return -next
    }
    budgets[place] = this.full = next
    return 0
  }

  #hasRoom(group: string): boolean {
    const { size } = this.#places
    if (size >= this.#most) return false
    return group === '' || size < this.#most / 2 || (this.#grouped.get(group) ?? 0) < this.#most / GROUP_SHARE
  }

  #add(key: string, group: string): number {
    const place = this.#free.pop() ?? this.#keys.length
    if (place >= this.#full.length) {
      const longer = new Float64Array(Math.min(this.#most, this.#full.length * 2))
      longer.set(this.#full)
      this.#full = longer
    }
    this.#places.set(key, place)
    this.#keys[place] = key
    this.#groups[place] = group
    this.#full[place] = 0
    if (group !== '') this.#grouped.set(group, (this.#grouped.get(group) ?? 0) + 1)
    return place
  }

  /** Forgets some of those whose budget is full again. */
  #forget(now: number): void {
    const { length } = this.#keys
    const isFull = this.#places.size >= this.#most
    for (let left = Math.min(length, isFull ? LOOKED_AT_WHEN_FULL : LOOKED_AT); left > 0; left--) {
      this.#hand = this.#hand + 1 < length ? this.#hand + 1 : 0
      const place = this.#hand
      const key = this.#keys[place] as string
      if ((this.#full[place] as number) > now || this.#places.get(key) !== place) continue
      this.#places.delete(key)
      this.#free.push(place)
      const group = this.#groups[place] as string
      if (group === '') continue
      const others = (this.#grouped.get(group) as number) - 1
      if (others === 0) this.#grouped.delete(group)
      else this.#grouped.set(group, others)
    }
  }

  /** FNV-1a, from a seed of its own. */
  #hash(text: string): number {
    let hash = this.#seed ^ 0x811c9dc5
    for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
    return (hash ^ (hash >>> 15)) & (SHARED - 1)
  }
}
