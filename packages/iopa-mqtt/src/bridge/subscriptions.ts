import { answersMethod, IopaError, isControlMethod, optionError, type RouteInfo } from '@iopa/transport'
import type { SubscribeRequest } from '../codec/client-encoder.ts'
import { isTopicFilter, topicMatches } from '../topics/topic.ts'
import { filtersOf, overlaps, partitionByOverlap, withoutCovered } from './filters.ts'

/** The filters of one SUBSCRIBE packet, under one subscription identifier (MQTT 5 section 3.8.2.1.2). */
export interface SubscriptionGroup {
  readonly identifier: number
  readonly filters: readonly string[]
}

/** What a worker subscribes to. */
export interface SubscriptionPlan {
  readonly commands: readonly SubscriptionGroup[]
  /** Within the state prefix, or null when no state is shared. */
  readonly state: SubscriptionGroup | null
  /** Filters without the prefix of the paths whose state is shared. */
  readonly stateful: readonly string[]
  /** Filters of the topics that take a PUT. */
  readonly replaceable: readonly string[]
}

const COMMANDS = 1
const STATE = 2
/** Each command filter that shares topics with another has an identifier of its own, from here on. */
const OVERLAPPING = 3

/**
 * The subscriptions of an app's routes. @throws IopaError 500 when there is nothing to subscribe to, or a filter is illegal.
 */
export const planOf = (routes: Iterable<RouteInfo>, topics: readonly string[] | undefined, statePrefix: string | false): SubscriptionPlan => {
  const commands: string[] = [...(topics ?? [])]
  const stateful: string[] = []
  const replaceable: string[] = []
  let everything = false
  for (const route of routes) {
    if (route.method !== undefined && isControlMethod(route.method)) continue
    const filters = filtersOf(route.segments)
    if (answersMethod(route, 'GET')) stateful.push(...filters)
    if (answersMethod(route, 'PUT')) replaceable.push(...filters)
    // A tail at the root, such as that of a folder of files, must not subscribe to all that a broker carries.
    if (filters.includes('#')) everything = true
    else if (topics === undefined) commands.push(...filters)
  }
  for (const filter of commands) {
    if (!isTopicFilter(filter)) throw optionError(`'${filter}' is no topic filter: '+' fills a level, '#' the last one.`)
  }
  const { disjoint, overlapping } = partitionByOverlap(withoutCovered(commands))
  const groups = disjoint.length > 0 ? [{ identifier: COMMANDS, filters: disjoint }] : []
  const state = statePrefix === false ? [] : withoutCovered(stateful)
  if (commands.length === 0 && state.length === 0) {
    throw new IopaError(
      500,
      'nothing-to-subscribe',
      everything
        ? "The app's only routes catch every topic: give the topics that the worker is for, such as topics: ['lights/#']."
        : "The app has no routes that topics could be derived from: use a router before listening, or give topics: ['lights/#']."
    )
  }
  return {
    commands: [...groups, ...overlapping.map((filter, index) => ({ identifier: OVERLAPPING + index, filters: [filter] }))],
    state: state.length > 0 ? { identifier: STATE, filters: state.map(filter => `${statePrefix}/${filter}`) } : null,
    stateful: state,
    replaceable
  }
}

/** What a message is for, by its topic and the subscription that it came by. */
export type Purpose = 'command' | 'state' | 'nothing'

/**
 * Tells commands from state, and takes a message that several of our subscriptions match once only: a broker may send it for each of them, in
 * any order, and says by which where it knows subscription identifiers.
 */
export const purposeOf = (plan: SubscriptionPlan, statePrefix: string | false, topic: string, identifiers: readonly number[]): Purpose => {
  if (statePrefix !== false && topic.startsWith(`${statePrefix}/`)) {
    return plan.state && (identifiers.length === 0 || identifiers.includes(plan.state.identifier)) ? 'state' : 'nothing'
  }
  if (identifiers.length === 0) return 'command'
  const first = plan.commands.find(({ filters }) => filters.some(filter => topicMatches(filter, topic)))
  return first && !identifiers.includes(first.identifier) ? 'nothing' : 'command'
}

/** The requests of a group; command filters are shared where `share` says so. */
export const requestsOf = (group: SubscriptionGroup, share: string | null, retain: 'new' | 'never'): SubscribeRequest[] =>
  group.filters.map(filter => ({
    filter: share === null ? filter : `$share/${share}/${filter}`,
    qos: 1,
    // With the publisher's own flag an empty retained message can be told from an empty one; replays of old commands are not wanted.
    retainAsPublished: retain === 'never',
    retainHandling: retain === 'never' ? 2 : 0
  }))

/** Command filters that state topics match too, and which a group must therefore not share where messages do not say how they came. */
export const catchesState = (filter: string, statePrefix: string | false): boolean => statePrefix !== false && overlaps(filter, `${statePrefix}/#`)
