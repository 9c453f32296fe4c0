import type { User } from '@iopa/constants'
import { type AnswerRecord, isHttp, READ, type RunContext } from '@iopa/context/host'
import { hasCredentials, type Question } from './question.ts'
import type { SharedRun } from './shared-run.ts'

/** A receiver of the answer of a run, alone or with others. */
export interface Asker {
  readonly question: Question
  readonly context: RunContext
  /** Differs for each. */
  readonly id: number
  /** True for one whose answers are its own, whatever the run reads. */
  readonly alone: boolean
  /** True once nothing is to be told any more. */
  readonly removed: boolean
  /** Its inputs as they were asked for last, and which: they are made once. Those of its user may change. */
  inputs: string
  inputBits: number
  /** Bytes of the start of a body that is too large for observers, which its transport asks for. */
  readonly excerpt: number
  /** True while it is owed an answer whose run has not begun. */
  waits: boolean
  /** Gets the answer of a run; null where the run has failed. */
  told(answer: AnswerRecord | null, run: SharedRun): void
}

/** True if a request never shares a run: it has credentials that no middleware has checked, or a body that is not compared. */
export const isAlone = (question: Question, context: RunContext): boolean =>
  question.content === null || (context['server.User'] === undefined && hasCredentials(context))

/** What two askers of a path must have in common to get the same answer, when a run reads `bits`. */
export const keyOf = (asker: Asker, bits: number, user: User | undefined, users: Users | null): string => {
  if (asker.inputBits !== bits) {
    asker.inputBits = bits
    asker.inputs = inputsOf(asker, bits)
  }
  return (bits & READ.User) === 0 || user === undefined || users === null ? asker.inputs : users.with(asker.inputs, user)
}

/** The inputs without the user. */
const inputsOf = (asker: Asker, bits: number): string => {
  if (asker.alone || (bits & READ.Private) !== 0) return `#${asker.id}`
  const { question, context } = asker
  const parts = [question.content as string]
  if ((bits & READ.Query) !== 0) parts.push(`query ${question.query}`)
  if ((bits & READ.Accept) !== 0) parts.push(`accept ${question.media}`)
  if ((bits & READ.Codec) !== 0) parts.push(`codec ${codecsOf(question, context)[0]}`)
  if ((bits & READ.SpecialCodec) !== 0) parts.push(`codecs ${codecsOf(question, context).join()}`)
  if ((bits & OF_THE_PEER) === 0) return parts.join('\n')
  if ((bits & READ.Host) !== 0) parts.push(`host ${context['iopa.Host']}`)
  if ((bits & READ.Port) !== 0) parts.push(`port ${context['iopa.Port']}`)
  if ((bits & READ.HostField) !== 0) parts.push(`field ${context['iopa.Headers'].get('host')}`)
  if ((bits & READ.Scheme) !== 0) parts.push(`scheme ${context['iopa.Scheme']}`)
  if ((bits & READ.Protocol) !== 0) parts.push(`protocol ${context['iopa.Protocol']}`)
  if ((bits & READ.RawPath) !== 0) parts.push(`raw ${question.rawPath}`)
  return parts.join('\n')
}

/** The media types that values become for this asker: what Accept says beside that does not matter to the codecs. */
const codecsOf = ({ accept }: Question, context: RunContext): string[] =>
  context.environment.codecs.choices(accept, isHttp(context['iopa.Scheme'])).map(({ mediaType }) => mediaType)

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
  #lastUser: User | null = null
  #lastInputs = ''
  #lastKey = ''

  constructor(identities: Identities) {
    this.#identities = identities
  }

  /** These inputs and the user. */
  with(inputs: string, user: User): string {
    // Many in a row are one user's, with the same inputs.
    if (user === this.#lastUser && inputs === this.#lastInputs) return this.#lastKey
    let text = this.#known.get(user)
    if (text === undefined) this.#known.set(user, (text = claimsOf(user) ?? `#${this.#identities.of(user)}`))
    this.#lastUser = user
    this.#lastInputs = inputs
    return (this.#lastKey = `${inputs}\nuser ${text}`)
  }
}

/** The claims as text, members in order of their names; null for what is more than data. */
const claimsOf = (user: User): string | null => {
  try {
    // How long it is valid is no claim: it differs from login to login.
    const text = JSON.stringify(ordered(user.valid === undefined ? user : { ...user, valid: undefined }, 0))
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

/**
 * Fields of Vary that do not say more than what a run reads: a run that reads the origin is private by that. Middleware for cross-origin requests names
 * it for caches alone, as its fields differ and the representation does not.
 */
const COMPARED: ReadonlySet<string> = new Set(['', 'accept', 'origin'])

/** True for an answer that only its requester may see (RFC 9111 section 5.2.2.7), or that varies with more than Accept and Origin. */
export const isPrivate = ({ fields }: AnswerRecord): boolean => {
  if (fields === null) return false
  if (fields.getAll('cache-control').some(value => /(?:^|[\s,])(?:private|no-store)(?:$|[\s,=])/i.test(value))) return true
  return fields.getAll('vary').some(value => value.split(',').some(name => !COMPARED.has(name.trim().toLowerCase())))
}
