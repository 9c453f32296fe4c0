import { createHash } from 'node:crypto'
import { ANONYMOUS, sessionKey } from '../session/identity.ts'

/*
 * Names of sessions and topics in paths. `~` and two hexadecimal digits stand for a byte that is not written as itself, so that the same name
 * works in a URL, in Uri-Path options of CoAP and in a topic.
 */

/** Bytes of a name; a Uri-Path option has no more than 255 (RFC 7252 section 5.10). */
const LONGEST = 255

/**
 * The name of a session: `sensor-1` of a client without a user, `ann@sensor-1` of a user, where the id of the user is a number `~.number~205@sensor-1`.
 * A name that would be too long is `~~` and the SHA-256 of the session's key.
 */
export function sessionName(userKey: string, clientId: string): string {
  const client = escaped(clientId, PLAIN)
  const name = userKey === ANONYMOUS ? client : `${userName(userKey)}@${client}`
  if (name.length > LONGEST || !isWellFormed(userKey)) return `~~${createHash('sha256').update(sessionKey(userKey, clientId)).digest('base64url')}`
  return name === '.' || name === '..' ? name.replaceAll('.', '~2e') : name
}

/** False for a user id that is not Unicode text. */
const isWellFormed = (userKey: string): boolean => !userKey.startsWith('"') || (JSON.parse(userKey) as string).isWellFormed()

/** A user id is written as it is; another kind of id is marked, for it may have the same text. */
const userName = (userKey: string): string =>
  userKey.startsWith('"') ? escaped(JSON.parse(userKey) as string, PLAIN) : `~.${escaped(userKey, PLAIN)}`

/** The key of the session with this name; null where a name is malformed, undefined for a name that is a hash. */
export function sessionKeyOf(name: string): string | null | undefined {
  if (name.startsWith('~~')) return undefined
  const at = name.indexOf('@')
  const user = at < 0 ? null : name.slice(0, at)
  const userKey = user === null ? ANONYMOUS : user.startsWith('~.') ? unescaped(user.slice(2)) : JSON.stringify(unescaped(user))
  const clientId = unescaped(name.slice(at + 1))
  // Each session has one name.
  return sessionName(userKey, clientId) === name ? sessionKey(userKey, clientId) : null
}

/** The id of a user key, as far as it is known from the key; null for clients without a user. */
export const userIdOf = (userKey: string): string | null =>
  userKey === ANONYMOUS ? null : userKey.startsWith('"') ? (JSON.parse(userKey) as string) : userKey.slice(userKey.indexOf(' ') + 1)

/** A topic as the end of a path: its levels as they are, but for what a path cannot have. An empty level is `~`. */
export const topicPath = (topic: string): string =>
  topic
    .split('/')
    .map(level => (level === '' ? '~' : level === '.' || level === '..' ? level.replaceAll('.', '~2e') : escaped(level, LEVEL)))
    .join('/')

/** The topic of such an end; null where it is malformed. */
export function topicOfPath(path: string): string | null {
  const topic = path
    .split('/')
    .map(level => (level === '~' ? '' : unescaped(level)))
    .join('/')
  return topicPath(topic) === path ? topic : null
}

/** What a name does not write as itself. */
const PLAIN = /[^A-Za-z0-9._-]/gu
const LEVEL = /[~\\]/gu

const escaped = (text: string, special: RegExp): string =>
  text.replace(special, character => Array.from(Buffer.from(character), byte => `~${byte.toString(16).padStart(2, '0')}`).join(''))

const unescaped = (text: string): string => (text.includes('~') ? Buffer.from([...bytesOf(text)]).toString('utf8') : text)

function* bytesOf(text: string): Generator<number> {
  for (let at = 0; at < text.length; ) {
    if (text[at] === '~') {
      yield Number.parseInt(text.slice(at + 1, at + 3), 16)
      at += 3
      continue
    }
    const end = text.indexOf('~', at)
    const plain = text.slice(at, end < 0 ? text.length : end)
    yield* Buffer.from(plain)
    at += plain.length
  }
}
