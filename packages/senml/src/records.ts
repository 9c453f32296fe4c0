import { invalidRecord } from './faults.ts'
import { type PackRecord, parsePack, type SenmlPack, VERSION } from './pack.ts'

/** A resolved record (RFC 8428 section 4.6): it stands for itself, without base fields, and its time is absolute. */
export interface SenmlRecord {
  /** The whole name. */
  readonly n: string
  readonly u?: string
  readonly v?: number
  readonly vs?: string
  readonly vb?: boolean
  /** Bytes in base64url without padding. */
  readonly vd?: string
  readonly s?: number
  /** Seconds since 1970. */
  readonly t: number
  readonly ut?: number
  /** The version, unless it is that of RFC 8428. */
  readonly bver?: number
}

/** Options of `records`. */
export interface RecordsOptions {
  /** Now, in milliseconds since 1970: what times below 2^28 are relative to. */
  readonly now: number
}

/** Times below this many seconds are relative to now (RFC 8428 section 4.5.3). */
export const RELATIVE: number = 2 ** 28

/** RFC 8428 section 4.5.1. */
export const NAME: RegExp = /^[A-Za-z0-9][A-Za-z0-9\-:./_]*$/

/** Characters of a whole name: each record may repeat a base name that is as long as a body. */
const LONGEST_NAME = 1024

/** The base fields in effect, which each record may change. */
interface Base {
  bn: string
  bt: number
  bu: string | undefined
  bv: number | undefined
  bs: number | undefined
  bver: number | undefined
}

/**
 * The records of a pack, resolved, in the order of their times. Fields that RFC 8428 does not know are left out.
 * @throws IopaError 400 and 422 as `parsePack`, and 422 `invalid-senml` for a name that is missing, too long or has other characters than RFC 8428 section 4.5.1
 * allows, and for a sum of numbers that is none
 */
export const records = (pack: SenmlPack, { now }: RecordsOptions): SenmlRecord[] => {
  const base: Base = { bn: '', bt: 0, bu: undefined, bv: undefined, bs: undefined, bver: undefined }
  const resolved = parsePack(pack, Number.POSITIVE_INFINITY).map((record, index) => {
    for (const label of ['bn', 'bt', 'bu', 'bv', 'bs', 'bver'] as const)
      if (record[label] !== undefined) Object.assign(base, { [label]: record[label] })
    return resolvedRecord(record, base, index, now / 1000)
  })
  // RFC 8428 section 4.6; the order of equal times stays.
  return resolved.sort((one, other) => one.t - other.t)
}

const resolvedRecord = (record: PackRecord, base: Base, index: number, now: number): SenmlRecord => {
  const n = base.bn + (record.n ?? '')
  if (n.length > LONGEST_NAME) throw invalidRecord(`a name has at most ${LONGEST_NAME} characters, its base name included`, index, 'n')
  if (n === '') throw invalidRecord('a record has a name (n), or a base name before it (bn)', index, 'n')
  if (!NAME.test(n)) throw invalidRecord("a name has letters, digits and '-:./_', and begins with a letter or digit", index, 'n')
  const time = base.bt + (record.t ?? 0)
  const resolved: { -readonly [Label in keyof SenmlRecord]: SenmlRecord[Label] } = { n, t: finite(time < RELATIVE ? now + time : time, index, 't') }
  const unit = record.u ?? base.bu
  if (unit !== undefined) resolved.u = unit
  setValue(resolved, record, base, index)
  if (record.s !== undefined || base.bs !== undefined) resolved.s = finite((base.bs ?? 0) + (record.s ?? 0), index, 's')
  if (record.ut !== undefined) resolved.ut = record.ut
  if (base.bver !== undefined && base.bver !== VERSION) resolved.bver = base.bver
  return resolved
}

/** RFC 8428 section 4.5.4; a base value has no meaning for text, booleans and data. */
const setValue = (resolved: { v?: number; vs?: string; vb?: boolean; vd?: string }, record: PackRecord, base: Base, index: number): void => {
  if (record.vs !== undefined) resolved.vs = record.vs
  else if (record.vb !== undefined) resolved.vb = record.vb
  else if (record.vd !== undefined) resolved.vd = record.vd
  else if (record.v !== undefined || base.bv !== undefined) resolved.v = finite((base.bv ?? 0) + (record.v ?? 0), index, 'v')
}

const finite = (sum: number, index: number, label: string): number => {
  if (!Number.isFinite(sum)) throw invalidRecord('the sum with its base is too large for a number', index, label)
  return sum
}
