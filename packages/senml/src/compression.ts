import { ownPack, type PackRecord, type SenmlPack } from './pack.ts'
import { NAME, RELATIVE, type SenmlRecord } from './records.ts'

/**
 * A pack of resolved records, in which what they have in common is written once: the beginning of their names, their unit, and a base for their times.
 * `records` gives the same records back, to the last bit of their numbers, in the order of their times.
 * @throws TypeError for records that make no valid pack, such as one whose time is not absolute
 */
export const pack = (records: readonly SenmlRecord[]): SenmlPack => {
  const shared = records.length > 1
  const name = shared ? commonName(records) : ''
  const unit = shared ? commonUnit(records) : undefined
  const version = records[0]?.bver
  let base: number | undefined
  const packed = records.map((record, index) => {
    const entry: { -readonly [Label in keyof PackRecord]: PackRecord[Label] } = {}
    const { n, u, t, bver, ...others } = record
    if (!NAME.test(n)) throw new TypeError(`'${n}' is no name of a SenML record: use letters, digits and '-:./_'`)
    if (!(t >= RELATIVE)) throw new TypeError(`the record '${n}' needs a time in seconds since 1970, from 2^28 on; its time is ${t}`)
    if (bver !== version) throw new TypeError(`the record '${n}' is of another version than the first one`)
    if (index === 0) {
      if (name !== '') entry.bn = name
      if (unit !== undefined) entry.bu = unit
      if (bver !== undefined) entry.bver = bver
    }
    if (n.length > name.length) entry.n = n.slice(name.length)
    if (u !== undefined && u !== unit) entry.u = u
    base = setTime(entry, t, shared ? base : undefined, shared)
    return Object.assign(entry, others)
  })
  return ownPack(packed)
}

/** Writes a time, relative to the base where adding gives it back exactly; returns the base that is in effect then. */
const setTime = (entry: { t?: number; bt?: number }, time: number, base: number | undefined, shared: boolean): number | undefined => {
  if (!shared) {
    entry.t = time
    return undefined
  }
  const difference = base === undefined ? Number.NaN : time - base
  if (base !== undefined && base + difference === time) {
    if (difference !== 0) entry.t = difference
    return base
  }
  entry.bt = time
  return time
}

/** The longest beginning that all names share: whole where they are equal, otherwise up to a separator. */
const commonName = (records: readonly SenmlRecord[]): string => {
  let common = records[0]?.n ?? ''
  for (const { n } of records) {
    let end = 0
    while (end < common.length && common[end] === n[end]) end++
    common = common.slice(0, end)
  }
  if (records.every(({ n }) => n === common)) return common
  return common.slice(0, 1 + Math.max(...Array.from(':/.-_', separator => common.lastIndexOf(separator))))
}

/** The unit that most records have; undefined where one has none, for it would get this one. */
const commonUnit = (records: readonly SenmlRecord[]): string | undefined => {
  const counts = new Map<string, number>()
  for (const { u } of records) {
    if (u === undefined) return undefined
    counts.set(u, (counts.get(u) ?? 0) + 1)
  }
  const [unit, count] = [...counts].reduce((most, entry) => (entry[1] > most[1] ? entry : most))
  return count > 1 ? unit : undefined
}
