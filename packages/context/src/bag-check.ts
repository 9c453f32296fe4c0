import { type Bag, IOPA, IopaError, SERVER, SSL, withOrigin } from '@iopa/constants'

const RESERVED = /^(?:iopa|server|ssl)\./
const KNOWN: ReadonlySet<string> = new Set([...Object.values(IOPA), ...Object.values(SERVER), ...Object.values(SSL)])

const badBag = (detail: string): IopaError => withOrigin(new IopaError(500, 'bad-bag', detail), 'internal')

const EXAMPLE = "{ 'iopa.Method': 'GET', 'iopa.Path': '/lights' }"

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

const TEXTS = ['iopa.Method', 'iopa.Path', 'iopa.QueryString'] as const

/** Refuses what is no bag, for it would become a GET of `/`. @throws IopaError 500 that says what to write. */
export const checkBag: (bag: unknown) => asserts bag is Bag = bag => {
  if (typeof bag !== 'object' || bag === null || Array.isArray(bag)) {
    const kind = Array.isArray(bag) ? 'an array' : bag === null ? 'null' : typeof bag === 'string' ? 'a text' : `of type ${typeof bag}`
    throw badBag(`A request is a bag of keys, such as ${EXAMPLE}; this one is ${kind}.`)
  }
  const keys = Object.keys(bag)
  if (keys.length === 0 && !isPlain(bag)) throw badBag(`A request is a bag of keys, such as ${EXAMPLE}; this object has none.`)
  for (const key of keys) {
    if (!key.includes('.')) {
      const meant = `iopa.${key.charAt(0).toUpperCase()}${key.slice(1)}`
      const advice = KNOWN.has(meant) ? `write '${meant}'` : "a key has a namespace, as in 'iopa.Path'"
      throw badBag(`'${key}' is no key of a bag: ${advice}.`)
    }
    if (RESERVED.test(key) && !KNOWN.has(key)) throw badBag(`There is no key '${key}'; the namespaces iopa, server and ssl have fixed keys.`)
  }
  for (const key of TEXTS) {
    const value: unknown = (bag as Record<string, unknown>)[key]
    if (value !== undefined && (typeof value !== 'string' || (value === '' && key === 'iopa.Method')))
      throw badBag(
        `'${key}' of a bag is a text${key === 'iopa.Method' ? ', such as GET' : ''}, not ${value === '' ? 'empty' : `of type ${typeof value}`}.`
      )
  }
}
