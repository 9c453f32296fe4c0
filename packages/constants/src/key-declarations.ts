import { IopaError } from './errors.ts'

/** What one key is for. */
export interface KeyDeclaration {
  /** One sentence for the reader of the key. */
  readonly doc?: string
  /** True keeps the value out of logs and of `inspect`. */
  readonly redact?: boolean
}

/** A namespace of keys and its one owner, carried by the middleware that uses it and checked when an app is built. */
export interface KeysDeclaration {
  readonly namespace: string
  /** Package name of the owner, such as `@acme/iopa-auth`. */
  readonly owner: string
  readonly keys: Readonly<Record<string, KeyDeclaration>>
}

const NAMESPACE = /^[a-z][a-z0-9-]*$/
const NAME = /^[A-Z][A-Za-z0-9]*(\.[A-Z][A-Za-z0-9]*)*$/
const RESERVED: ReadonlySet<string> = new Set(['iopa', 'server', 'ssl'])

/**
 * Declares the keys `<namespace>.<Name>` of one owner; it registers nothing anywhere.
 * @throws IopaError 500 for a reserved namespace or a name outside the grammar.
 */
export const defineKeys = (
  namespace: string,
  declaration: { readonly owner: string; readonly keys?: Readonly<Record<string, KeyDeclaration>> }
): KeysDeclaration => {
  if (!NAMESPACE.test(namespace)) throw new IopaError(500, 'bad-namespace', `Namespace '${namespace}' must be lower case letters, digits and '-'.`)
  if (RESERVED.has(namespace)) throw new IopaError(500, 'reserved-namespace', `Namespace '${namespace}' is reserved; choose one of your own.`)
  for (const name of Object.keys(declaration.keys ?? {})) {
    if (!NAME.test(name)) throw new IopaError(500, 'bad-key', `Key '${namespace}.${name}' must be written '${namespace}.PascalCase'.`)
  }
  return { namespace, owner: declaration.owner, keys: { ...declaration.keys } }
}
