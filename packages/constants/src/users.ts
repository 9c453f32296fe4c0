import type { User } from './iopa-keys.ts'

/** What JSON escapes nothing of. */
const PLAIN = /^[ !#-[\]-~]*$/

/**
 * A user as text, for sessions, budgets and whatever else belongs to a user over all of its connections: equal for the same id of the same realm,
 * however that was proven. The key of no user is empty.
 */
export const userKeyOf = (user: User | null | undefined): string => {
  if (user === undefined || user === null) return ''
  const { id, realm } = user
  // Quoted and escaped: unlike any other key, and without U+0000 and lone surrogates, which a store may not tell apart.
  if (realm !== undefined) return JSON.stringify([realm, id])
  return PLAIN.test(id) ? `"${id}"` : JSON.stringify(id)
}

/** The id of the user that a key names; what is no key is its own id. */
export const idOfUserKey = (key: string): string => {
  if (!/^["[]/.test(key)) return key
  const value = JSON.parse(key) as string | readonly [realm: string, id: string]
  return typeof value === 'string' ? value : value[1]
}

/** True for the same id of the same realm, proven in the same way. */
export const sameUser = (a: User, b: User): boolean => a.id === b.id && a.by === b.by && a.realm === b.realm
