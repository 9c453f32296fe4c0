import { IopaError, type KeysDeclaration } from '@iopa/constants'

/** What one entry of a pipeline says of itself. */
export interface DeclaredEntry {
  readonly name: string
  readonly provides: readonly string[]
  readonly requires: readonly string[]
  readonly keys: readonly KeysDeclaration[]
  /** True when what it reads of a peer does not shape representations. */
  readonly neutral?: boolean
  /** Set on a router: what stands after it does not run for its routes. */
  readonly routes?: (() => Iterable<unknown>) | undefined
}

const CORE_NAMESPACES: ReadonlySet<string> = new Set(['iopa', 'server', 'ssl'])

const list = (names: readonly string[]): string => names.map(name => `'${name}'`).join(', ')

/** Reads declarations off anything that was given to `use`. */
export const declarationsOf = (value: object, fallback: string): Omit<DeclaredEntry, 'routes'> => {
  const given = value as {
    name?: unknown
    provides?: readonly string[]
    requires?: readonly string[]
    keys?: KeysDeclaration | readonly KeysDeclaration[]
    neutral?: boolean
  }
  const keys =
    given.keys === undefined ? [] : Array.isArray(given.keys) ? (given.keys as readonly KeysDeclaration[]) : [given.keys as KeysDeclaration]
  const isOne = (key: unknown): key is KeysDeclaration => typeof key === 'object' && key !== null && 'namespace' in key
  return {
    name: typeof given.name === 'string' && given.name !== '' ? given.name : fallback,
    provides: Array.isArray(given.provides) ? given.provides : [],
    requires: Array.isArray(given.requires) ? given.requires : [],
    keys: keys.filter(isOne),
    neutral: given.neutral === true
  }
}

/**
 * Checks a pipeline in its order: one owner per namespace, and every required key provided before.
 * `inherited` are the keys that the pipelines around this one provide.
 * @throws IopaError 500 that says who must move where.
 */
export const checkDeclarations = (
  entries: readonly DeclaredEntry[],
  transports: readonly DeclaredEntry[] = [],
  inherited: ReadonlySet<string> = new Set()
): void => {
  checkOwners([...entries, ...transports])
  const provided = new Set(inherited)
  entries.forEach((entry, at) => {
    const missing = entry.requires.filter(key => !provided.has(key))
    if (missing.length > 0) {
      const later = entries.slice(at + 1).find(other => other.provides.some(key => missing.includes(key)))
      const remedy =
        later === undefined
          ? `add a middleware that provides ${missing.length === 1 ? 'it' : 'them'} before '${entry.name}'`
          : `move '${later.name}' before '${entry.name}'`
      throw new IopaError(500, 'missing-key', `'${entry.name}' requires ${list(missing)}, which nothing before it provides: ${remedy}.`)
    }
    for (const key of entry.provides) provided.add(key)
  })
  checkProvidersAfterRoutes(entries)
}

const checkOwners = (entries: readonly DeclaredEntry[]): void => {
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

const checkProvidersAfterRoutes = (entries: readonly DeclaredEntry[]): void => {
  const router = entries.findIndex(entry => entry.routes !== undefined)
  const late = router < 0 ? undefined : entries.slice(router + 1).find(entry => entry.provides.length > 0)
  if (late === undefined) return
  const name = (entries[router] as DeclaredEntry).name
  throw new IopaError(
    500,
    'provided-too-late',
    `'${late.name}' provides ${list(late.provides)} after '${name}', whose routes would run without it: move '${late.name}' before '${name}'.`
  )
}
