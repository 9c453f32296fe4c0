import { CAPABILITIES, type Capabilities, type CodecTable, IopaError, type Logger } from '@iopa/constants'
import { fullPath, type RunContext } from '@iopa/context/host'
import type { Limits, Transport } from '@iopa/transport'
import type { ComposedPipeline } from '../pipeline/compose.ts'
import type { MiddlewareFunction } from '../pipeline/middleware.ts'
import { isBelow } from '../pipeline/mount.ts'
import type { AppOptions } from './app-options.ts'
import type { PipelineEntry } from './entries.ts'

/** Under this key an app has its `NestedApp`; apps of another copy of the package are recognised by it. */
export const NESTED: unique symbol = Symbol.for('iopa.App') as never

/** Where an app is mounted. */
interface Place {
  readonly outer: NestedApp
  readonly prefix: string
}

/** An app as the apps around it and within it see it. */
export interface NestedApp {
  readonly entries: readonly PipelineEntry[]
  readonly transports: readonly Transport[]
  readonly options: AppOptions
  readonly limits: Limits
  readonly logger: Logger
  readonly codecs: CodecTable
  readonly capabilities: Capabilities
  /** The apps around it. */
  readonly places: Place[]
  readonly closed: boolean
  /** True when an app is mounted in it. */
  readonly nests: boolean
  /** True once its pipeline is composed. */
  readonly isFixed: boolean
  /** Composes its pipeline, once. */
  build(): ComposedPipeline
  /** Its pipeline within another one; a branch of `fork` ends with no-route instead of calling on. */
  pipelineWithin(branch: boolean): MiddlewareFunction
  /** Tells its own observers of a change. */
  changed(path: string, origin: RunContext | null): void
  /** Paths that its own observers observe. */
  observed(): Iterable<string>
  /** Grows with every change of its routes, and of those within it. */
  routesVersion: number
  close(options: { readonly timeout: number }): Promise<void>
}

/** The nested form of an app, of this copy of the package or another; undefined for anything else. */
export const nestedApp = (value: unknown): NestedApp | undefined =>
  typeof value === 'object' && value !== null ? (value as { [NESTED]?: NestedApp })[NESTED] : undefined

/** Tells the app of an entry where it is, and the app around it what that one can do. */
export const attach = (outer: NestedApp, { app, prefix }: PipelineEntry): void => {
  if (app === null) return
  app.places.push({ outer, prefix })
  for (const [urn, capability] of Object.entries(app.capabilities)) outer.capabilities[urn] ??= capability
}

/** @throws IopaError 500 when an app is mounted within itself. */
export const checkCycles = (app: NestedApp, around: readonly NestedApp[] = []): void => {
  if (around.includes(app))
    throw new IopaError(500, 'mount-cycle', 'An app is mounted within itself: remove one of the mounts, or make a second app.')
  for (const entry of app.entries) if (entry.app !== null) checkCycles(entry.app, [...around, app])
}

/**
 * What an app is given for itself counts only where it serves by itself, so it must not differ from the app around it.
 * @throws IopaError 500 that says what to move.
 */
export const checkNested = (outer: NestedApp, { app, label }: PipelineEntry): void => {
  if (app === null) return
  const refuse = (code: string, what: string): never => {
    throw new IopaError(500, code, `${label} has ${what}, which would not count there: give it to the app around.`)
  }
  const [transport] = app.transports
  if (transport !== undefined) refuse('nested-transport', `the transport '${transport.name}'`)
  for (const [name, value] of Object.entries(app.options.limits ?? {})) {
    if (value !== undefined && value !== outer.limits[name as keyof Limits]) refuse('nested-limits', `the limit '${name}' of ${value}`)
  }
  const known = new Set(Array.from(outer.codecs, ({ mediaType }) => mediaType))
  for (const { mediaType } of app.codecs) if (!known.has(mediaType)) refuse('nested-codec', `a codec for ${mediaType}`)
}

/** The names of a resource in every app that it is part of; null where `app` is alone. */
const namesOf = (app: NestedApp, path: string): Map<NestedApp, Set<string>> | null => {
  if (app.places.length === 0 && !app.nests) return null
  const names = new Map<NestedApp, Set<string>>()
  const open: [NestedApp, string][] = [[app, path]]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [at, own] = next
    const paths = names.get(at) ?? new Set<string>()
    if (paths.has(own)) continue
    names.set(at, paths.add(own))
    for (const { outer, prefix } of at.places) open.push([outer, fullPath(prefix, own)])
    for (const { app: inner, prefix } of at.entries) {
      if (inner !== null && isBelow(prefix, own)) open.push([inner, own.slice(prefix.length) || '/'])
    }
  }
  return names
}

/** Tells the observers of a path of `app`, and those of the same resource in the apps around it and within it, at each of their places. */
export const changedEverywhere = (app: NestedApp, path: string, origin: RunContext | null): void => {
  const names = namesOf(app, path)
  if (names === null) app.changed(path, origin)
  else for (const [at, paths] of names) for (const own of paths) at.changed(own, origin)
}

/** Counts a change of the routes of `app`, in it and in the apps around it. */
export const routesChangedIn = (app: NestedApp, counted: Set<NestedApp> = new Set()): void => {
  if (counted.has(app)) return
  counted.add(app)
  app.routesVersion++
  for (const { outer } of app.places) routesChangedIn(outer, counted)
}

/** The paths of `app` that are observed, in it or through the apps around it. */
export const observedPaths = (app: NestedApp): ReadonlySet<string> => {
  const paths = new Set(app.observed())
  for (const { outer, prefix } of app.places)
    for (const path of observedPaths(outer)) if (isBelow(prefix, path)) paths.add(path.slice(prefix.length) || '/')
  return paths
}

/** One name for all paths of `app` that lead to the same resource. */
export const oneNameOf = (app: NestedApp, path: string): string => {
  let first = path
  for (const name of namesOf(app, path)?.get(app) ?? []) if (name < first) first = name
  return first
}

/** True where a router takes the path with and without its trailing slash. */
export const ignoresSlash = (app: NestedApp, path: string): boolean =>
  app.capabilities[CAPABILITIES.Router]?.['trailingSlash'] === 'ignore' ||
  app.entries.some(({ app: inner, prefix }) => inner !== null && isBelow(prefix, path) && ignoresSlash(inner, path.slice(prefix.length) || '/'))

/** Closes the apps within `app` that no other app holds. */
export const closeNested = async (app: NestedApp, timeout: number): Promise<void> => {
  const inner = new Set(app.entries.flatMap(entry => (entry.app === null ? [] : [entry.app])))
  await Promise.all(Array.from(inner, nested => (nested.places.every(({ outer }) => outer.closed) ? nested.close({ timeout }) : undefined)))
}
