import { userKeyOf as keyOf, type User } from '@iopa/transport'

/*
 * The owner of a session: users are the same if their ids and realms are, and all clients without a user are one user. The key of a session has both
 * parts, so that the same client identifier under another user is another session (design: MQTT rulings h).
 */

import { addressGroup } from '@iopa/transport'

/** The user key of all clients without a user. */
export const ANONYMOUS = ''

/** The user of a context as text: that of the core, so that a user is the same on every protocol. A store may have kept an id that is no text. */
export function userKeyOf(user: unknown): string {
  if (user === undefined || user === null) return ANONYMOUS
  const { id } = user as { readonly id?: unknown }
  return typeof id === 'string' ? keyOf(user as User) : `${typeof id} ${String(id)}`
}

/** The key of a session. A client identifier has no U+0000 (MQTT 5 section 1.5.4), so the parts cannot run into each other. */
export const sessionKey = (userKey: string, clientId: string): string => `${userKey}\0${clientId}`

/** The user's part of a session's key. */
export const userOfKey = (key: string): string => key.slice(0, key.lastIndexOf('\0'))

/** The account that a session counts against: its user, or all clients without a user from one network. */
export const accountOf = (userKey: string, address: string): string => (userKey === ANONYMOUS ? `@${addressGroup(address)}` : userKey)

/** A client as the log names it. */
export const clientName = (userKey: string, clientId: string): string =>
  userKey === ANONYMOUS ? JSON.stringify(clientId) : `${JSON.stringify(clientId)} of user ${userKey}`

/** A user as the store keeps it: its plain JSON, and always its id, so that a restored session keeps its user even if the rest is not JSON. */
export function storedUser(user: unknown): unknown {
  if (user === undefined || user === null) return null
  const { id } = user as { readonly id?: unknown }
  const plain = plainJson(user)
  return { ...(typeof plain === 'object' ? plain : {}), ...(typeof id === 'string' || typeof id === 'number' ? { id } : {}) }
}

function plainJson(value: unknown): unknown {
  try {
    const text = JSON.stringify(value)
    return text === undefined ? null : JSON.parse(text)
  } catch {
    return null
  }
}
