import { type InputFault, invalidInput } from '@iopa/appbuilder/extension'

/** What a listing asks for. */
export interface CollectionQuery {
  /** The key behind which it begins; empty for the first. */
  readonly after: string
  readonly limit: number
  /** True for a representation that fits every filter; it is made where there is one. */
  fits(represent: () => unknown): boolean
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })
/** Longest key that a cursor holds, in characters of Base64. */
const LONGEST_CURSOR = 16_384

/** The cursor of a key: opaque text that fits a query (RFC 4648 section 5). */
export const cursorOf = (key: string): string => {
  let text = ''
  for (const byte of encoder.encode(key)) text += String.fromCharCode(byte)
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** @throws IopaError 422 with the parameters that are not valid. */
export const collectionQuery = (query: URLSearchParams, page: number, filter: readonly string[]): CollectionQuery => {
  const faults: InputFault[] = []
  const after = query.get('after')
  const key = after === null ? '' : keyOf(after)
  if (key === undefined) faults.push({ pointer: '/after', detail: 'It is no cursor of this collection: take `next` of a page.', in: 'query' })
  const limit = query.get('limit')
  if (limit !== null && !/^[1-9]\d{0,8}$/.test(limit)) faults.push({ pointer: '/limit', detail: 'It must be a whole number from 1.', in: 'query' })
  if (faults.length > 0) throw invalidInput(faults)
  const wanted = filter.flatMap(name => {
    const values = query.getAll(name)
    return values.length === 0 ? [] : [[name, values] as const]
  })
  return {
    after: key as string,
    limit: Math.min(limit === null ? page : Number(limit), page),
    fits: represent => {
      if (wanted.length === 0) return true
      const state = represent()
      return (
        typeof state === 'object' && state !== null && wanted.every(([name, values]) => values.some(value => isEqual(memberOf(state, name), value)))
      )
    }
  }
}

const keyOf = (cursor: string): string | undefined => {
  if (cursor === '' || cursor.length > LONGEST_CURSOR || !/^[\w-]+$/.test(cursor)) return undefined
  try {
    return decoder.decode(Uint8Array.from(atob(cursor.replaceAll('-', '+').replaceAll('_', '/')), character => character.charCodeAt(0)))
  } catch {
    return undefined
  }
}

const memberOf = (state: object, name: string): unknown => (Object.hasOwn(state, name) ? (state as Record<string, unknown>)[name] : undefined)

/** Compares a member with the text of a query, as what the member is. */
const isEqual = (member: unknown, text: string): boolean => {
  switch (typeof member) {
    case 'string':
      return member === text
    case 'number':
      return text.trim() !== '' && member === Number(text)
    case 'boolean':
    case 'bigint':
      return String(member) === text
    default:
      return member === null && text === 'null'
  }
}
