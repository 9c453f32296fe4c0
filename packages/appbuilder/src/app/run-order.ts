import type { Logger } from '@iopa/constants'
import { assertPassed, assertPermitted, type BoundGuard, noteBefore, noteJudged, notePassed } from '../pipeline/guard-trail.ts'
import type { MiddlewareFunction, Permits } from '../pipeline/middleware.ts'
import { mounted, mountTable } from '../pipeline/mount.ts'
import { neutral } from '../pipeline/neutral.ts'
import { isGuard, type PipelineEntry } from './entries.ts'

/** A guard runs at its own place; any other mount shares a table with its neighbours, in which the most specific prefix wins. */
const isInTable = (entry: PipelineEntry): boolean =>
  entry.kind === 'mount' && (entry.app !== null || (entry.provides.length === 0 && entry.permits === undefined))

/** The entries in groups: neighbouring mounts together, every other entry by itself. */
const groupsOf = (entries: readonly PipelineEntry[]): PipelineEntry[][] => {
  const groups: PipelineEntry[][] = []
  for (const entry of entries) {
    const last = groups.at(-1)
    if (last !== undefined && isInTable(entry) && last.every(isInTable)) last.push(entry)
    else groups.push([entry])
  }
  return groups
}

const bySpecificity = (a: PipelineEntry, b: PipelineEntry): number => b.prefix.length - a.prefix.length

/** The entries in the order in which a request meets them. */
export const inRunOrder = (entries: readonly PipelineEntry[]): PipelineEntry[] => groupsOf(entries).flatMap(group => [...group].sort(bySpecificity))

/** Layers of a pipeline, and their names for logs. */
export interface Layers {
  readonly layers: readonly MiddlewareFunction[]
  readonly names: readonly string[]
}

/** The layers of a pipeline. `logger` is that of the app; an app within it keeps its own, and is `nested`. */
export const layersOf = (entries: readonly PipelineEntry[], logger: Logger, nested: boolean): Layers => {
  const before: BoundGuard[] = []
  let judged = nested
  const named = groupsOf(entries).flatMap(group => {
    const layer = layerOf(group, logger)
    const guarded = layer === undefined ? undefined : behindGuards(layer, group, [...before], judged)
    for (const entry of group) {
      before.push(...boundGuardsOf(entry))
      judged ||= judges(entry)
    }
    return guarded === undefined ? [] : [{ layer: guarded, name: group.map(({ name }) => name).join(' or ') }]
  })
  return { layers: named.map(({ layer }) => layer), names: named.map(({ name }) => name) }
}

/** The guards of an entry that do not run for every path; a branch keeps its own. */
const boundGuardsOf = (entry: PipelineEntry): BoundGuard[] => {
  if (entry.kind === 'fork') return []
  if (entry.app === null) return isGuard(entry) && entry.prefix !== '' ? [{ middleware: entry.invoke, label: entry.label, prefix: entry.prefix }] : []
  return entry.app.entries.flatMap(inner => {
    const own = isGuard(inner) ? [{ middleware: inner.invoke, label: inner.label, prefix: inner.prefix }] : boundGuardsOf(inner)
    return own.map(guard => ({ ...guard, prefix: entry.prefix + guard.prefix }))
  })
}

/** True where middleware decides who may pass, also within an app that may call on. */
const judges = ({ kind, app, permits }: PipelineEntry): boolean => permits !== undefined || (kind !== 'fork' && app?.entries.some(judges) === true)

/** The layer of a group that does not answer a path whose guard has not run; apps within are told which guards stand before them. */
const behindGuards = (
  layer: MiddlewareFunction,
  group: readonly PipelineEntry[],
  before: readonly BoundGuard[],
  judged: boolean
): MiddlewareFunction => {
  if (!judged && before.length === 0) return layer
  const answers = group.some(entry => entry.app === null && !isGuard(entry) && (entry.answers || entry.routes !== undefined))
  const enters = before.length > 0 && group.some(({ app }) => app !== null)
  if (!answers && !enters) return layer
  return (context, next) => {
    if (answers) assertPassed(context, before)
    if (answers && judged) assertPermitted(context)
    if (enters) noteBefore(context, before)
    return layer(context, next)
  }
}

/** One entry, or neighbouring mounts, as one layer; undefined where there is nothing to run. */
const layerOf = (group: readonly PipelineEntry[], logger: Logger): MiddlewareFunction | undefined => {
  const handlers = group.flatMap(entry => {
    if (entry.invoke === undefined) return []
    const called = entry.neutral === true ? neutral(entry.invoke) : entry.invoke
    const passed = isGuard(entry) ? passing(entry.invoke, called) : called
    const invoke = entry.permits === undefined ? passed : judging(entry.permits, passed)
    const isBare = entry.kind === 'fork' || (entry.kind === 'use' && entry.app === null)
    if (isBare) return [{ prefix: '', handler: invoke, bare: true }]
    const own = entry.app === null || entry.app.options.logger === undefined || entry.app.logger === logger ? null : entry.app.logger
    return [{ prefix: entry.prefix, handler: mounted(entry.prefix, invoke, own), bare: false }]
  })
  const [first] = handlers
  return first === undefined || first.bare || (handlers.length === 1 && first.prefix === '') ? first?.handler : mountTable(handlers)
}

/** A guard that leaves word of itself. */
const passing =
  (guard: unknown, invoke: MiddlewareFunction): MiddlewareFunction =>
  (context, next) => {
    notePassed(context, guard)
    return invoke(context, next)
  }

/** Middleware that decides who may pass leaves word of what it has decided about. */
const judging =
  (permits: Permits, invoke: MiddlewareFunction): MiddlewareFunction =>
  (context, next) => {
    noteJudged(context, permits)
    return invoke(context, next)
  }

/** Mounts of plain middleware that a more specific neighbour behind them takes paths from; a guard among them would not run there. */
export const overtaken = (entries: readonly PipelineEntry[]): (readonly [PipelineEntry, PipelineEntry])[] =>
  groupsOf(entries).flatMap(group =>
    group.flatMap((entry, at) => {
      if (entry.app !== null || entry.routes !== undefined || entry.kind !== 'mount') return []
      const later = group.slice(at + 1).find(other => other.prefix.length > entry.prefix.length && other.prefix.startsWith(`${entry.prefix}/`))
      return later === undefined ? [] : [[entry, later] as const]
    })
  )

/** The layers of the requests that clients send: the last one used is outermost. Those of apps within run at their place. */
export const dispatchLayersOf = (entries: readonly PipelineEntry[]): MiddlewareFunction[] => {
  const inOrder = (list: readonly PipelineEntry[]): MiddlewareFunction[] =>
    list.flatMap(({ app, dispatch }) => (app !== null ? inOrder(app.entries) : dispatch === undefined ? [] : [dispatch]))
  return inOrder(entries).reverse()
}
