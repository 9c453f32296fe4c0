import type { User } from '@iopa/constants'
import { type Answer, type Context, READ } from '@iopa/context'
import { hasCredentials, type Question } from './question.ts'
import type { Run } from './run.ts'

/** One who is told the answer of a run, alone or with others. */
export interface Asker {
  readonly question: Question
  readonly context: Context
  /** Differs for each. */
  readonly id: number
  /** True for one whose answers are its own, whatever the run reads. */
  readonly alone: boolean
  /** True once nothing is to be told any more. */
  readonly removed: boolean
  /** Gets the answer of a run; null where the run has failed. */
  told(answer: Answer | null, run: Run): void
}

/** True for one that no run is shared with from the start: with credentials that nobody has checked, or with a body that is not compared. */
export const isAlone = (question: Question, context: Context): boolean =>
  question.content === null || (context['server.User'] === undefined && hasCredentials(context))

/** What two askers of a path must have in common to get the same answer, when a run reads `bits`. */
export const inputsOf = (asker: Asker, bits: number, user: User | undefined, users: Users): string => {
  if (asker.alone || (bits & READ.Private) !== 0) return `#${asker.id}`
  const { question, context } = asker
  let key = question.content as string
  if (bits === 0) return key
  if ((bits & READ.Query) !== 0) key += `\nquery ${question.query}`
  if ((bits & READ.Accept) !== 0) key += `\naccept ${question.accept}`
  if ((bits & READ.User) !== 0) key += `\nuser ${users.of(user)}`
  if ((bits & OF_THE_PEER) === 0) return key
  if ((bits & READ.Host) !== 0) key += `\nhost ${context['iopa.Host']}`
  if ((bits & READ.Port) !== 0) key += `\nport ${context['iopa.Port']}`
  if ((bits & READ.HostField) !== 0) key += `\nfield ${context['iopa.Headers'].get('host')}`
  if ((bits & READ.Scheme) !== 0) key += `\nscheme ${context['iopa.Scheme']}`
  if ((bits & READ.Protocol) !== 0) key += `\nprotocol ${context['iopa.Protocol']}`
  if ((bits & READ.RawPath) !== 0) key += `\nraw ${question.rawPath}`
  return key
}

const OF_THE_PEER = READ.Host | READ.Port | READ.HostField | READ.Scheme | READ.Protocol | READ.RawPath

/** Characters of the claims of a user that are compared; one with more equals itself only. */
const LONGEST_CLAIMS = 4096

/** Numbers objects, so that equal numbers mean the very same object. */
export class Identities {
  readonly #numbers = new WeakMap<object, number>()
  #last = 0

  of(object: object): number {
    let number = this.#numbers.get(object)
    if (number === undefined) this.#numbers.set(object, (number = ++this.#last))
    return number
  }
}

/** Users in a form that is equal for equal ones: the same object, or the same id and claims. It lasts as long as one comparison, for claims may change. */
export class Users {
  readonly #identities: Identities
  readonly #known = new Map<User, string>()

  constructor(identities: Identities) {
    this.#identities = identities
  }

  of(user: User | undefined): string {
    if (user === undefined) return ''
    let text = this.#known.get(user)
    if (text === undefined) this.#known.set(user, (text = claimsOf(user) ?? `#${this.#identities.of(user)}`))
    return text
  }
}

/** The claims as text, members in order of their names; null for what is more than data. */
const claimsOf = (user: User): string | null => {
  try {
    const text = JSON.stringify(ordered(user, 0))
    return text.length > LONGEST_CLAIMS ? null : text
  } catch {
    return null
  }
}

const ordered = (value: unknown, depth: number): unknown => {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number' && Number.isFinite(value)) return value
  if (typeof value !== 'object' || depth > 8) throw new TypeError('no data')
  if (Array.isArray(value)) return value.map(item => ordered(item, depth + 1))
  const prototype: unknown = Object.getPrototypeOf(value)
  if ((prototype !== Object.prototype && prototype !== null) || Object.getOwnPropertySymbols(value).length > 0) throw new TypeError('no data')
  const members: [string, unknown][] = []
  for (const name of Object.keys(value).sort()) {
    const member = (value as Record<string, unknown>)[name]
    if (member !== undefined) members.push([name, ordered(member, depth + 1)])
  }
  // As pairs: a name may be one that an object does not keep, such as __proto__.
  return { members }
}

/** True for an answer that only its requester may see (RFC 9111 section 5.2.2.7), or that varies with more than Accept. */
export const isPrivate = (answer: Answer): boolean => {
  const headers = answer.headers
  if (headers.getAll('cache-control').some(value => /(?:^|[\s,])(?:private|no-store)(?:$|[\s,=])/i.test(value))) return true
  return headers.getAll('vary').some(value => value.split(',').some(field => !['', 'accept'].includes(field.trim().toLowerCase())))
}
