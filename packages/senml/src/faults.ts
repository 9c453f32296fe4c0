import { IopaError } from '@iopa/constants'

/** Where in a pack a fault is, as a JSON pointer (RFC 6901). */
const pointerTo = (index: number, label?: string): string =>
  label === undefined ? `/${index}` : `/${index}/${label.slice(0, 40).replace(/~/g, '~0').replace(/\//g, '~1')}`

const fault = (status: number, code: 'malformed-senml' | 'invalid-senml', detail: string, index: number, label?: string): IopaError => {
  const where = label === undefined ? `Record ${index}` : `Record ${index}, label '${label.slice(0, 40)}'`
  return new IopaError(status, code, `${where}: ${detail}.`, { extensions: { errors: [{ pointer: pointerTo(index, label), detail }] } })
}

/** The error for what is no SenML at all. */
export const malformed = (detail: string, cause?: unknown): IopaError =>
  new IopaError(400, 'malformed-senml', `The body is not a SenML pack: ${detail}.`, cause === undefined ? {} : { cause })

/** The error for a record whose form is wrong. */
export const malformedRecord = (detail: string, index: number, label?: string): IopaError => fault(400, 'malformed-senml', detail, index, label)

/** The error for a record that breaks a rule of RFC 8428. */
export const invalidRecord = (detail: string, index: number, label?: string): IopaError => fault(422, 'invalid-senml', detail, index, label)

/** The error for a pack with too many records. */
export const tooManyRecords = (most: number): IopaError =>
  new IopaError(413, 'too-many-records', `The SenML pack has more than ${most} records: send it in parts.`)
