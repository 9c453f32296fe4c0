import { type Context, IopaError, isIopaError, type Reply, reply } from '@iopa/appbuilder'
import { originOf } from '@iopa/constants'

/** What a request was answered. */
export type KeptAnswer =
  | {
      readonly status: number
      readonly headers: Readonly<Record<string, string>>
      readonly type: string
      /** A JSON value; missing where there was no body, or bytes. */
      readonly value?: unknown
      /** Bytes in Base64. */
      readonly bytes?: string
    }
  | {
      readonly status: number
      readonly code: string
      readonly detail: string
      readonly headers?: Readonly<Record<string, string>>
      readonly extensions?: Readonly<Record<string, unknown>>
    }
  /** It was answered with a stream, or with more than is kept. */
  | { readonly lost: true }

/** They say that the same request may succeed later. */
const TRY_AGAIN: ReadonlySet<number> = new Set([401, 403, 408, 425, 429])

const isKept = (status: number): boolean => status < 500 && !TRY_AGAIN.has(status)

/** What the handler answers to a context, once it has run; null where a retry runs it again. `before` has the headers that were there before. */
export const keptAnswer = ({ response }: Context, before: ReadonlyMap<string, string>): KeptAnswer | null => {
  const { status, body } = response
  if (!isKept(status)) return null
  const headers: Record<string, string> = {}
  for (const [name, value] of response.headers) if (before.get(name) !== value) headers[name] = value
  const answer = { status, headers, type: response.type }
  if (body === undefined) return answer
  if (body instanceof Uint8Array) return { ...answer, bytes: toBase64(body) }
  return isPlain(body) ? { ...answer, value: JSON.parse(JSON.stringify(body)) } : { lost: true }
}

/** What an error that a handler threw answers; null where a retry runs the handler again. */
export const keptError = (error: unknown): KeptAnswer | null => {
  // That of another server, or of a call of the app itself, is a fault here.
  if (!isIopaError(error) || originOf(error) !== undefined || !isKept(error.status)) return null
  const { status, code, detail, headers, extensions } = error
  return { status, code, detail, ...(headers && { headers }), ...(extensions && { extensions }) }
}

/** The answer again. @throws IopaError: the error that it was, 409 for an answer that was not kept. */
export const replayed = (answer: KeptAnswer): Reply => {
  if ('lost' in answer)
    throw new IopaError(
      409,
      'answer-not-kept',
      'The request has been done; its answer was too large to be kept. Read the resource to see its outcome.'
    )
  if ('code' in answer) {
    const { status, code, detail, headers, extensions } = answer
    throw new IopaError(status, code, detail, { ...(headers && { headers }), ...(extensions && { extensions }) })
  }
  const { status, headers, type, value, bytes } = answer
  return reply(status, bytes === undefined ? value : fromBase64(bytes), type === '' ? headers : { ...headers, 'content-type': type })
}

/** True for text and JSON values. */
const isPlain = (body: unknown): boolean => {
  if (typeof body !== 'object' || body === null) return typeof body !== 'function' && typeof body !== 'symbol' && typeof body !== 'bigint'
  if (Array.isArray(body)) return true
  const prototype: unknown = Object.getPrototypeOf(body)
  return (prototype === null || prototype === Object.prototype) && !(Symbol.asyncIterator in body) && !(Symbol.iterator in body)
}

const toBase64 = (bytes: Uint8Array): string => {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

const fromBase64 = (text: string): Uint8Array => Uint8Array.from(atob(text), character => character.charCodeAt(0))
