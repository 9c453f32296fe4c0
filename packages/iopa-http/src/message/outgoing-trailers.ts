import { IopaError } from '@iopa/transport'
import { isOfConnection } from './answer-fields.ts'
import { checkField } from './answer-head.ts'

/** What tells how a message is framed, routed, authenticated or read has to be known before its body (RFC 9110 section 6.5.1). */
const BEFORE_THE_BODY: ReadonlySet<string> = new Set(
  `age authorization cache-control content-encoding content-range content-type cookie date expect expires host if-match if-modified-since
  if-none-match if-range if-unmodified-since location max-forwards pragma proxy-authenticate proxy-authorization range retry-after set-cookie vary
  warning www-authenticate`.split(/\s+/)
)

/** A value, or what makes it when the body has left. */
export type TrailerValue = string | (() => string | Promise<string>)

/** Fields that are sent after a body. */
export class OutgoingTrailers {
  readonly #values = new Map<string, TrailerValue>()

  /** @throws IopaError 500 for a name that HTTP cannot carry, or that must come before the body */
  set(name: string, value: TrailerValue): void {
    const lower = checkedName(name, value)
    this.#values.set(lower, value)
  }

  /** The names, for the field Trailer; empty for none. */
  get names(): string {
    return [...this.#values.keys()].join(', ')
  }

  /** Names and values, by turns. @throws IopaError 500 for a value that HTTP cannot carry, and what a function throws */
  async fields(): Promise<string[]> {
    const fields: string[] = []
    for (const [name, value] of this.#values) {
      const text = typeof value === 'string' ? value : await value()
      checkField(name, text)
      fields.push(name, text)
    }
    return fields
  }
}

/** The name in lower case. @throws IopaError 500 as `set`. */
export const checkedName = (name: string, value: TrailerValue): string => {
  checkField(name, typeof value === 'string' ? value : '')
  const lower = name.toLowerCase()
  if (isOfConnection(lower) || BEFORE_THE_BODY.has(lower))
    throw new IopaError(500, 'bad-header-name', `'${name}' must come before the body: set it as a header.`)
  return lower
}
