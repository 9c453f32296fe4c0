import { type Bag, IopaError, type KeysDeclaration, withOrigin } from '@iopa/constants'

/** The declarations of a transport as a list. */
export const declarationsOf = (keys: KeysDeclaration | readonly KeysDeclaration[] | undefined): readonly KeysDeclaration[] =>
  keys === undefined ? [] : 'namespace' in keys ? [keys] : keys

/**
 * Refuses a key in a namespace of the transport that the transport does not declare: it would be dropped, and the request sent without it.
 * @throws IopaError 500 that names the keys there are.
 */
export const checkDeclared = (request: Bag, declarations: readonly KeysDeclaration[]): void => {
  for (const { namespace, keys } of declarations) {
    const prefix = `${namespace}.`
    for (const key of Object.keys(request)) {
      if (!key.startsWith(prefix) || Object.hasOwn(keys, key.slice(prefix.length))) continue
      const choice = Object.keys(keys).map(name => prefix + name)
      throw withOrigin(new IopaError(500, 'bad-bag', `There is no key '${key}'; there are ${choice.join(', ')}.`), 'internal')
    }
  }
}
