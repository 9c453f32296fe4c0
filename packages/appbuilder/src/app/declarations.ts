import { IopaError, type KeysDeclaration } from '@iopa/constants'
import type { RouteInfo, SecurityScheme } from '@iopa/transport'
import type { Permits } from '../pipeline/middleware.ts'

/** What one entry of a pipeline says of itself. */
export interface DeclaredEntry {
  readonly name: string
  readonly provides: readonly string[]
  readonly requires: readonly string[]
  readonly keys: readonly KeysDeclaration[]
  /** True when what it reads of a peer does not shape representations. */
  readonly neutral?: boolean
  /** How users authenticate, where it says so. */
  readonly security: readonly SecurityScheme[]
  /** Set where it decides who may pass. */
  readonly permits?: Permits | undefined
  /** Set on a router: what stands after it does not run for its routes. */
  readonly routes?: (() => Iterable<RouteInfo>) | undefined
}

const CORE_NAMESPACES: ReadonlySet<string> = new Set(['iopa', 'server', 'ssl'])

export const list = (names: readonly string[]): string => names.map(name => `'${name}'`).join(', ')

/** Reads declarations off anything that was given to `use`. */
export const declarationsOf = (value: object, fallback: string): Omit<DeclaredEntry, 'routes'> => {
  const given = value as {
    name?: unknown
    provides?: readonly string[]
    requires?: readonly string[]
    keys?: KeysDeclaration | readonly KeysDeclaration[]
    neutral?: boolean
    security?: readonly SecurityScheme[]
    permits?: Permits
  }
  const keys =
    given.keys === undefined ? [] : Array.isArray(given.keys) ? (given.keys as readonly KeysDeclaration[]) : [given.keys as KeysDeclaration]
  const isOne = (key: unknown): key is KeysDeclaration => typeof key === 'object' && key !== null && 'namespace' in key
  return {
    name: typeof given.name === 'string' && given.name !== '' ? given.name : fallback,
    provides: Array.isArray(given.provides) ? given.provides : [],
    requires: Array.isArray(given.requires) ? given.requires : [],
    keys: keys.filter(isOne),
    neutral: given.neutral === true,
    security: Array.isArray(given.security) ? given.security : [],
    permits: typeof given.permits === 'function' ? given.permits : undefined
  }
}

/** An entry as far as the checks look at it. */
interface CheckedEntry extends DeclaredEntry {
  readonly kind: 'use' | 'mount' | 'fork'
  readonly prefix: string
  readonly app: { readonly entries: readonly CheckedEntry[]; readonly transports: readonly object[] } | null
}

/** Keys that some entry provides for what is at or below a path. */
interface ProvidedKeys {
  readonly prefix: string
  readonly keys: readonly string[]
}

/** The keys that an entry sets for those behind it; those of an app, when it calls on. */
export const providedBy = (entry: CheckedEntry): ProvidedKeys[] => {
  if (entry.app === null) return [{ prefix: entry.prefix, keys: entry.provides }]
  if (entry.kind === 'fork') return []
  return entry.app.entries.flatMap(inner => providedBy(inner).map(({ prefix, keys }) => ({ prefix: entry.prefix + prefix, keys })))
}

/**
 * Checks a pipeline in its order, and the apps within it: one owner per namespace, and every required key provided before.
 * `inherited` are the keys that the pipelines around this one provide.
 * @throws IopaError 500 that says who must move where.
 */
export const checkDeclarations = (
  entries: readonly CheckedEntry[],
  transports: readonly object[] = [],
  inherited: ReadonlySet<string> = new Set()
): void => {
  checkOwners([...declarationsWithin(entries), ...transports.map(transport => declarationsOf(transport, 'transport'))])
  checkRequired(entries, inherited)
}

const declarationsWithin = (entries: readonly CheckedEntry[]): { readonly keys: readonly KeysDeclaration[] }[] =>
  entries.flatMap(entry => [entry, ...(entry.app === null ? [] : declarationsWithin(entry.app.entries))])

const checkRequired = (entries: readonly CheckedEntry[], inherited: ReadonlySet<string>): void => {
  const before: ProvidedKeys[] = []
  const given = (prefix: string): Set<string> =>
    new Set([...inherited, ...before.flatMap(item => (item.prefix === '' || `${prefix}/`.startsWith(`${item.prefix}/`) ? item.keys : []))])
  entries.forEach((entry, at) => {
    const provided = given(entry.prefix)
    if (entry.app !== null) checkRequired(entry.app.entries, provided)
    // Middleware of a route requires keys of what stands before the router.
    for (const { method, pattern, requires } of entry.routes?.() ?? []) {
      const missing = requires?.filter(key => !provided.has(key)) ?? []
      if (missing.length > 0)
        throw new IopaError(
          500,
          'missing-key',
          `The route ${method ?? '*'} ${pattern} requires ${list(missing)}, which nothing before it provides: add middleware that does before '${entry.name}', or to the route.`
        )
    }
    const missing = entry.requires.filter(key => !provided.has(key))
    if (missing.length > 0) {
      const later = entries.slice(at + 1).find(other => other.provides.some(key => missing.includes(key)))
      const remedy =
        later === undefined
          ? `add a middleware that provides ${missing.length === 1 ? 'it' : 'them'} before '${entry.name}'`
          : `move '${later.name}' before '${entry.name}'`
      throw new IopaError(500, 'missing-key', `'${entry.name}' requires ${list(missing)}, which nothing before it provides: ${remedy}.`)
    }
    before.push(...providedBy(entry))
  })
  checkProvidersAfterRoutes(entries)
}

const checkOwners = (entries: readonly { readonly keys: readonly KeysDeclaration[] }[]): void => {
  const owners = new Map<string, string>()
  for (const { keys } of entries) {
    for (const { namespace, owner } of keys) {
      if (CORE_NAMESPACES.has(namespace))
        throw new IopaError(500, 'reserved-namespace', `'${owner}' claims namespace '${namespace}', which is reserved.`)
      const other = owners.get(namespace)
      if (other !== undefined && other !== owner) {
        throw new IopaError(
          500,
          'namespace-conflict',
          `'${other}' and '${owner}' both claim namespace '${namespace}': use only one of them in an app.`
        )
      }
      owners.set(namespace, owner)
    }
  }
}

const checkProvidersAfterRoutes = (entries: readonly CheckedEntry[]): void => {
  const router = entries.findIndex(entry => entry.kind === 'use' && entry.routes !== undefined)
  const late =
    router < 0
      ? undefined
      : entries.slice(router + 1).find(entry => entry.kind === 'use' && (entry.provides.length > 0 || entry.permits !== undefined))
  if (late === undefined) return
  const name = (entries[router] as DeclaredEntry).name
  if (late.provides.length === 0)
    throw new IopaError(
      500,
      'permits-too-late',
      `'${late.name}' decides who may pass after '${name}', whose routes would run without it: move '${late.name}' before '${name}'.`
    )
  throw new IopaError(
    500,
    'provided-too-late',
    `'${late.name}' provides ${list(late.provides)} after '${name}', whose routes would run without it: move '${late.name}' before '${name}'.`
  )
}
