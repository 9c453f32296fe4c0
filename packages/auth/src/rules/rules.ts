import type { Context, User } from '@iopa/appbuilder'
import type { PatternSegment } from '@iopa/appbuilder/extension'
import { CONTROL_METHODS, METHODS } from '@iopa/constants'
import { includes, mayInclude } from './actions.ts'
import { covers, filterLevels, type Levels, overlaps, routeLevels } from './levels.ts'
import { CompiledRule, type Rule } from './rule.ts'

const WILDCARD = /\/(?:\+(?:\/|$)|#$)/

/** Rules in their order: the first that is about the request decides, and without one it is refused. */
export class Rules {
  readonly #rules: readonly CompiledRule[]

  constructor(rules: readonly Rule[], caller: unknown) {
    this.#rules = rules.map(rule => new CompiledRule(rule, caller))
  }

  /** Whether a request may go on, at this full path. */
  permits(context: Context, method: string, path: string): boolean {
    if (method === METHODS.OPTIONS) return this.#anything(context, path)
    if (method === CONTROL_METHODS.SUBSCRIBE && WILDCARD.test(path)) return this.mayPermit(context, method, [filterLevels(path)])
    const observing = context['iopa.Observe'] === true
    for (const rule of this.#rules) {
      if (!includes(rule.actions, method, observing)) continue
      // The user is read only where a rule needs it: observers of what anyone may read share runs.
      const place = rule.placeOf(path, rule.owned ? context['server.User']?.id : undefined)
      if (place !== undefined && this.#isFor(rule, context) && rule.holds(context, place, path)) return !rule.deny
    }
    return false
  }

  /** Whether something of a pattern may be permitted: a subscription with wildcards, a route with parameters. */
  mayPermit(context: Context, method: string | undefined, wanted: readonly Levels[]): boolean {
    const user = context['server.User']
    for (const rule of this.#rules) {
      if (!rule.isFor(user)) continue
      if (!rule.deny) {
        if (!mayInclude(rule.actions, method)) continue
        if (rule.places.some(place => wanted.some(levels => overlaps(place, levels, user?.id)))) return true
      } else if (rule.when === undefined && (method === undefined ? rule.actions.all : includes(rule.actions, method, false))) {
        if (wanted.every(levels => rule.places.some(place => covers(place, levels)))) return false
      }
    }
    return false
  }

  /** Whether a route may be listed. */
  mayList(context: Context, method: string | undefined, segments: readonly PatternSegment[]): boolean {
    const levels = routeLevels(segments)
    if (method === METHODS.OPTIONS || segments.some(({ kind }) => kind !== 'static')) return this.mayPermit(context, method, levels)
    const path = `/${segments.map(segment => (segment as { value: string }).value).join('/')}`
    return method === undefined ? this.#anything(context, path) : this.permits(context, method, path)
  }

  /** Whether the user may do anything there: OPTIONS says what. */
  #anything(context: Context, path: string): boolean {
    for (const rule of this.#rules) {
      if (rule.deny && !rule.actions.all) continue
      const place = rule.placeOf(path, rule.owned ? context['server.User']?.id : undefined)
      if (place !== undefined && this.#isFor(rule, context) && rule.holds(context, place, path)) return !rule.deny
    }
    return false
  }

  #isFor(rule: CompiledRule, context: Context): boolean {
    return rule.isFor(rule.anyone ? undefined : (context['server.User'] as User | undefined))
  }
}
