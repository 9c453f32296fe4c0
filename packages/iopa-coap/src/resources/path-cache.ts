import { IopaError, joinPath, type PathLimits } from '@iopa/transport'
import { OptionWalker } from '../codec/option-walker.ts'
import { decodeText } from '../codec/options.ts'

const ENTRIES = 1024
const LONGEST = 128

interface Entry {
  readonly region: Uint8Array
  readonly path: string
}

/** Reads Uri-Path options, and remembers those that come often: bytes are compared faster than they are decoded. */
export class PathCache {
  readonly #limits: PathLimits
  readonly #walker = new OptionWalker()
  readonly #entries = new Map<number, Entry>()

  constructor(limits: PathLimits) {
    this.#limits = limits
  }

  /**
   * The canonical path of consecutive Uri-Path options, from the header of the first to the end of the last.
   * @throws IopaError 400 for what is no UTF-8 or not canonical, 414 beyond the limits.
   */
  read(bytes: Uint8Array, start: number, end: number): string {
    const length = end - start
    if (length > LONGEST) return this.#decode(bytes, start, end)
    // The delta of the first option says what came before it, not what the path is.
    let hash = bytes[start]! & 15
    for (let at = start + 1; at < end; at++) hash = (Math.imul(hash, 31) + bytes[at]!) & 0x3fffffff
    const entry = this.#entries.get(hash)
    if (entry !== undefined && same(entry.region, bytes, start, length)) return entry.path
    const path = this.#decode(bytes, start, end)
    // Bounded, so that many distinct paths cannot grow it.
    if (this.#entries.size >= ENTRIES) this.#entries.clear()
    this.#entries.set(hash, { region: bytes.slice(start, end), path })
    return path
  }

  #decode(bytes: Uint8Array, start: number, end: number): string {
    const segments: string[] = []
    for (const walker = this.#walker.begin(bytes, start, end); walker.next(); ) {
      const segment = decodeText(bytes.subarray(walker.start, walker.end))
      if (segment === undefined) throw new IopaError(400, 'undecodable-path', 'A Uri-Path option is not valid UTF-8.')
      segments.push(segment)
      if (segments.length > this.#limits.pathSegments) break
    }
    return joinPath(segments, this.#limits)
  }
}

const same = (region: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean => {
  if (region.length !== length || (region[0]! ^ bytes[start]!) & 15) return false
  for (let at = 1; at < length; at++) if (region[at] !== bytes[start + at]) return false
  return true
}
