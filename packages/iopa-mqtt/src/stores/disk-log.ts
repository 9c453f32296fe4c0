import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/*
 * LevelDB checks its log when it opens, and drops a damaged place with all that follows in the same block of 32 KiB, without a word
 * (doc/log_format.md of LevelDB). A log is therefore read before that: what was damaged can be named, and what LevelDB drops beside it
 * can be written again.
 */
const BLOCK = 32_768
const HEADER = 7
const FULL = 1
const FIRST = 2
const LAST = 4

/** One change of a batch; `value` is null for a removal. */
interface LoggedChange {
  readonly key: string
  readonly value: Uint8Array | null
}

/** A log in which something is damaged. */
export interface DamagedLog {
  readonly name: string
  readonly bytes: Buffer
  /** Places that are damaged: a write each. */
  readonly places: number
  /** The intact changes behind the first of them, in order; null where later logs may be newer. */
  readonly changes: readonly LoggedChange[] | null
}

/** The damaged logs of a folder. */
export async function damagedLogs(folder: string): Promise<DamagedLog[]> {
  const names = (await readdir(folder).catch(() => [])).filter(name => /^\d+\.log$/.test(name)).sort()
  const damaged: DamagedLog[] = []
  for (const name of names) {
    const bytes = await readFile(join(folder, name))
    const { places, batches } = readLog(bytes)
    if (places === 0) continue
    damaged.push({ name, bytes, places, changes: name === names.at(-1) ? batches.flatMap(changesOf) : null })
  }
  return damaged
}

/** The number of damaged places in a log, and the batches behind the first of them. */
function readLog(bytes: Buffer): { places: number; batches: Buffer[] } {
  let places = 0
  const batches: Buffer[] = []
  let parts: Buffer[] = []
  for (let at = 0; at + HEADER <= bytes.length; ) {
    const left = BLOCK - (at % BLOCK)
    const end = left < HEADER ? -1 : recordAt(bytes, at, left)
    if (end === 0) {
      const next = nextRecord(bytes, at + 1, at + left)
      if (next === -1 && at + left >= bytes.length && isUnfinished(bytes, at, left)) break
      places++
      parts = []
      at = next === -1 ? at + left : next
    } else if (end === -1) at += left
    else {
      const type = bytes[at + 6] as number
      const data = bytes.subarray(at + HEADER, end)
      if (type === FULL || type === FIRST) parts = [data]
      else if (parts.length > 0) parts.push(data)
      if ((type === FULL || type === LAST) && parts.length > 0) {
        if (places > 0) batches.push(Buffer.concat(parts))
        parts = []
      }
      at = end
    }
  }
  return { places, batches }
}

/** Where the record that begins here ends; 0 when there is no intact one, -1 for the filling at the end of a block. */
function recordAt(bytes: Buffer, at: number, left: number): number {
  const length = bytes.readUInt16LE(at + 4)
  const type = bytes[at + 6] as number
  if (type === 0 && length === 0) return -1
  const end = at + HEADER + length
  if (type < FULL || type > LAST || HEADER + length > left || end > bytes.length) return 0
  return bytes.readUInt32LE(at) === masked(crc32c(bytes, at + 6, end)) ? end : 0
}

/** True for the beginning of a record, which a killed process leaves at the end of a log: that is no damage, for nothing of it was acknowledged. */
function isUnfinished(bytes: Buffer, at: number, left: number): boolean {
  const length = bytes.readUInt16LE(at + 4)
  const type = bytes[at + 6] as number
  return type >= FULL && type <= LAST && HEADER + length <= left && at + HEADER + length > bytes.length
}

function nextRecord(bytes: Buffer, from: number, to: number): number {
  for (let at = from; at + HEADER <= Math.min(to, bytes.length); at++) if (recordAt(bytes, at, to - at) > 0) return at
  return -1
}

/** The changes of a batch: a sequence number, a count, then a tag, a key and perhaps a value each (write_batch.cc of LevelDB). */
function changesOf(batch: Buffer): LoggedChange[] {
  const changes: LoggedChange[] = []
  let at = 12
  const part = (): Buffer => {
    let length = 0
    for (let shift = 0; ; shift += 7) {
      const byte = batch[at++] as number
      length |= (byte & 127) << shift
      if (byte < 128) break
    }
    at += length
    return batch.subarray(at - length, at)
  }
  while (at < batch.length) {
    const removed = batch[at++] === 0
    const key = part().toString()
    changes.push({ key, value: removed ? null : part() })
  }
  return changes
}

const masked = (crc: number): number => ((((crc >>> 15) | (crc << 17)) >>> 0) + 0xa282ead8) >>> 0

const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  return crc
})

/** CRC-32C (RFC 3720 section B.4). */
function crc32c(bytes: Buffer, from: number, to: number): number {
  let crc = -1
  for (let at = from; at < to; at++) crc = (crc >>> 8) ^ (TABLE[(crc ^ (bytes[at] as number)) & 255] as number)
  return (crc ^ -1) >>> 0
}
