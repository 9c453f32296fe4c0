import { isIopaError } from '@iopa/constants'
import { invalidRecord, malformed, malformedRecord, tooManyRecords } from './faults.ts'
import { LABELS, type LabelType } from './labels.ts'

/** A record of a pack: its base fields apply to it and to those that follow (RFC 8428 section 4.1). It may have further fields, which are extensions. */
export interface PackRecord {
  /** Base name: it comes before the names. */
  readonly bn?: string
  /** Base time in seconds: it is added to the times. */
  readonly bt?: number
  /** Base unit, for records without a unit. */
  readonly bu?: string
  /** Base value: it is added to the numbers. */
  readonly bv?: number
  /** Base sum: it is added to the sums. */
  readonly bs?: number
  /** Version; 10 unless given. */
  readonly bver?: number
  readonly n?: string
  readonly u?: string
  readonly v?: number
  readonly vs?: string
  readonly vb?: boolean
  /** Bytes in base64url without padding; a byte string in CBOR. */
  readonly vd?: string
  /** The value integrated over time, in its unit times seconds. */
  readonly s?: number
  /** Seconds: since 1970 from 2^28 on, below that from now. */
  readonly t?: number
  /** Seconds until the next reading, at most. */
  readonly ut?: number
}

/** One SenML pack. */
export type SenmlPack = readonly PackRecord[]

/** The version of RFC 8428. */
export const VERSION = 10

/** Records of a pack, unless the codec says otherwise. */
export const MOST_RECORDS = 10_000

const VALUES: readonly string[] = ['v', 'vs', 'vb', 'vd']

// By a global symbol, so that packs of another copy of this package are packs.
const PACK: symbol = Symbol.for('iopa.senml.pack')

/** True for a pack that was parsed or made here. */
export const isPack = (value: unknown): boolean => Array.isArray(value) && PACK in value

/** Marks an array as a pack whose records have been checked. */
const marked = (records: readonly PackRecord[]): SenmlPack => Object.defineProperty(records, PACK, { value: true })

/**
 * Checks that a decoded JSON value is a pack of at most `most` records, and marks it as one: an app that answers it sends SenML.
 * @throws IopaError 400 `malformed-senml`, 413 `too-many-records`, 422 `invalid-senml`; each names the record and the label
 */
export const parsePack = (value: unknown, most: number = MOST_RECORDS): SenmlPack => {
  if (isPack(value)) return value as SenmlPack
  if (!Array.isArray(value)) throw malformed('it is an array of records')
  if (value.length === 0) throw malformed('it has at least one record')
  if (value.length > most) throw tooManyRecords(most)
  let version: number | undefined
  for (const [index, record] of (value as unknown[]).entries()) {
    if (typeof record !== 'object' || record === null || Array.isArray(record)) throw malformedRecord('a record is an object', index)
    checkRecord(record as Record<string, unknown>, index)
    const { bver } = record as PackRecord
    // RFC 8428 section 4.4: all records of a pack have the same version.
    if (bver !== undefined && index > 0 && bver !== (version ?? VERSION)) throw invalidRecord('all records have the same version', index, 'bver')
    version ??= bver
  }
  return marked(value as PackRecord[])
}

/** A pack of the app itself: what is wrong with it is no fault of a peer. @throws TypeError for what is not a pack */
export const ownPack = (value: unknown): SenmlPack => {
  try {
    return parsePack(value, Number.POSITIVE_INFINITY)
  } catch (error) {
    throw isIopaError(error) ? new TypeError(`a value cannot be sent as SenML: ${error.detail}`, { cause: error }) : error
  }
}

const checkRecord = (record: Record<string, unknown>, index: number): void => {
  for (const label of Object.keys(record)) {
    const known = LABELS.get(label)
    if (known !== undefined) checkField(record[label], known.type, index, label)
    // RFC 8428 section 4.4.
    else if (label.endsWith('_')) throw invalidRecord('this field has to be understood, and is not', index, label)
  }
  const values = VALUES.filter(label => record[label] !== undefined)
  if (values.length > 1) throw invalidRecord(`a record has one value, not ${values.join(' and ')}`, index, values[1])
  if (values.length === 0 && record['s'] === undefined) throw invalidRecord('a record has a value (v, vs, vb or vd) or a sum (s)', index)
}

const checkField = (value: unknown, type: LabelType, index: number, label: string): void => {
  switch (type) {
    case 'text':
      if (typeof value !== 'string') throw malformedRecord('this is text', index, label)
      return
    case 'boolean':
      if (typeof value !== 'boolean') throw malformedRecord('this is true or false', index, label)
      return
    case 'data':
      if (typeof value !== 'string' || !isBase64Url(value)) throw malformedRecord('this is base64url text without padding', index, label)
      return
    default:
      if (typeof value !== 'number' || !Number.isFinite(value)) throw malformedRecord('this is a number', index, label)
      if (type === 'number') return
      if (!Number.isInteger(value) || value < 1) throw malformedRecord('this is a whole number above 0', index, label)
      if (value > VERSION) throw invalidRecord(`only versions up to ${VERSION} are known`, index, label)
  }
}

/** True for text of RFC 4648 section 5. One character alone does not make a byte. */
const isBase64Url = (text: string): boolean => /^[A-Za-z0-9_-]*$/.test(text) && text.length % 4 !== 1
