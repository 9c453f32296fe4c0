import { type Context, IopaError } from '@iopa/appbuilder'
import { userKeyOf } from '@iopa/constants'

/** Names a request that may be sent again. */
export interface RequestKey {
  /** Of user and key: what the answer is kept under. */
  readonly name: string
  /** Of all that the request asks: another request with the same key has another one. */
  readonly fingerprint: string
  /** Whose request it is, as far as bounds go. */
  readonly user: string
}

const KEY_HEADER = 'idempotency-key'

// What an HTTP field may hold; a structured field has quotes around it (RFC 9651 section 3.3.3), and clients leave them out.
const KEY = /^(?:"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x7e](?:[\x20-\x21\x23-\x7e]{0,253}[\x21\x23-\x7e])?))$/

/**
 * The key of a POST that has the header `idempotency-key`; undefined for any other request, and for replicas.
 * @throws IopaError 400 for a key that is none.
 */
export const requestKey = (context: Context): Promise<RequestKey> | undefined => {
  if (context.method !== 'POST' || context['server.IsReplica']) return undefined
  const fields = context.headers.getAll(KEY_HEADER)
  if (fields.length === 0) return undefined
  const [, quoted, plain] = (fields.length === 1 && KEY.exec((fields[0] as string).trim())) || []
  const key = quoted ?? plain
  if (key === undefined)
    throw new IopaError(400, 'bad-idempotency-key', `The header ${KEY_HEADER} is one text of 1 to 255 visible characters, such as a UUID.`)
  return keyOf(context, key)
}

const keyOf = async (context: Context, key: string): Promise<RequestKey> => {
  const { user } = context
  const owner = userKeyOf(user)
  const asked = `${context.method} ${context['iopa.PathBase']}${context.path}?${context['iopa.QueryString']}\n${context.type}\n`
  const [name, fingerprint, hashedUser] = await Promise.all([
    hash(encoder.encode(`${owner}\n${key}`)),
    hash(encoder.encode(asked), await context.bytes()),
    hash(encoder.encode(owner))
  ])
  return { name, fingerprint, user: hashedUser }
}

const encoder = new TextEncoder()

/** SHA-256 in hexadecimal digits. */
const hash = async (...parts: readonly Uint8Array[]): Promise<string> => {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  return Array.from(digest, byte => byte.toString(16).padStart(2, '0')).join('')
}
