import { IopaError } from './errors.ts'

/** Methods that a peer may ask for (RFC 9110, RFC 5789, RFC 8132); any other name is legal too. */
export const METHODS = {
  GET: 'GET',
  HEAD: 'HEAD',
  POST: 'POST',
  PUT: 'PUT',
  PATCH: 'PATCH',
  IPATCH: 'iPATCH',
  FETCH: 'FETCH',
  DELETE: 'DELETE',
  OPTIONS: 'OPTIONS'
} as const

/** Methods that only a transport creates; a peer that asks for one gets 400. */
export const CONTROL_METHODS = {
  CONNECT: 'CONNECT',
  DISCONNECT: 'DISCONNECT',
  SUBSCRIBE: 'SUBSCRIBE',
  UNSUBSCRIBE: 'UNSUBSCRIBE',
  /** A message to a topic that is not a canonical path: authorisation sees it, routes do not. */
  PUBLISH: 'PUBLISH',
  DATA: 'DATA'
} as const

/** True for a control method in any case: a peer must not be able to name one. */
export const isControlMethod = (method: string): boolean => Object.hasOwn(CONTROL_METHODS, method.toUpperCase())

/**
 * Refuses a known method in another case, such as `get`: methods are case-sensitive (RFC 9110 section 9.1), so it would be one that no route has.
 * @throws IopaError 400 `method-case`.
 */
export const checkMethodCase = (method: string): string => {
  if (KNOWN.has(method)) return method
  for (const known of KNOWN) {
    if (known.length === method.length && known.toLowerCase() === method.toLowerCase())
      throw new IopaError(400, 'method-case', `Write the method "${method}" as "${known}"; case counts.`)
  }
  return method
}

const KNOWN: ReadonlySet<string> = new Set(Object.values(METHODS))

/** True for a method whose 2xx answer means that the state behind its path has changed. */
export const changesState = (method: string): boolean =>
  method === 'PUT' || method === 'POST' || method === 'PATCH' || method === 'DELETE' || method === 'iPATCH'
