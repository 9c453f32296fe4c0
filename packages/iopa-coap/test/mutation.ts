import { encode } from '../src/codec/datagram-codec.ts'
import type { Message } from '../src/codec/message.ts'
import { OPTION, OPTIONS } from '../src/codec/option-registry.ts'
import { Options } from '../src/codec/options.ts'

export type Random = () => number

export const below = (random: Random, limit: number): number => Math.floor(random() * limit)
const pick = <T>(random: Random, values: readonly T[]): T => values[below(random, values.length)]!
const exactBytes = (random: Random, length: number): Uint8Array => Uint8Array.from({ length }, () => below(random, 256))
const someBytes = (random: Random, longest: number): Uint8Array => exactBytes(random, below(random, longest + 1))

// Paths and queries that a server of the tests may know, so that mutants reach its handlers.
const SEGMENTS = ['test', 'separate', 'large', 'obs', 'query', '.well-known', 'core', '', '..', 'ü', 'x'.repeat(40)]

/** A datagram that is well-formed: mostly requests, with the options that requests carry. */
export function validDatagram(random: Random): Uint8Array {
  const options = new Options()
  for (let i = below(random, 4); i > 0; i--) options.add(OPTION.URI_PATH, pick(random, SEGMENTS))
  for (let i = below(random, 4); i > 0; i--) {
    const { number, format, min, max } = pick(random, OPTIONS)
    if (format === 'uint') options.add(number, below(random, 256 ** Math.min(max, 3)))
    else options.add(number, exactBytes(random, min + below(random, Math.min(max, 20) - min + 1)))
  }
  const payload = random() < 0.4 ? someBytes(random, 64) : new Uint8Array()
  const code = random() < 0.8 ? 1 + below(random, 7) : below(random, 256)
  const message: Message = { type: below(random, 4), code, id: below(random, 65_536), token: someBytes(random, 8), options, payload }
  return encode(message)
}

const WANTED: readonly (readonly [code: number, path: string])[] = [
  [1, 'test'],
  [1, 'large'],
  [1, 'obs'],
  [1, 'obs-large'],
  [1, 'separate'],
  [1, 'validate'],
  [1, '.well-known/core'],
  [2, 'large-post'],
  [3, 'large-update'],
  [3, 'obs'],
  [3, 'validate'],
  [4, 'test'],
  [5, 'etch']
]

/** A request that the server of the ETSI cases understands: registrations, uploads and downloads in blocks, conditions. */
export function wantedRequest(random: Random): Uint8Array {
  const [code, path] = pick(random, WANTED)
  const options = new Options()
  for (const segment of path.split('/')) options.add(OPTION.URI_PATH, segment)
  if ((code === 1 || code === 5) && random() < 0.5) options.add(OPTION.OBSERVE, below(random, 2))
  if (code === 1 && random() < 0.3) options.add(OPTION.BLOCK2, (below(random, 4) << 4) | below(random, 7))
  const szx = below(random, 3)
  const inBlocks = (code === 2 || code === 3) && random() < 0.6
  if (inBlocks) options.add(OPTION.BLOCK1, (below(random, 3) << 4) | (below(random, 2) << 3) | szx)
  if (random() < 0.2) options.add(pick(random, [OPTION.ACCEPT, OPTION.CONTENT_FORMAT]), pick(random, [0, 41, 50, 257]))
  if (random() < 0.1) options.add(pick(random, [OPTION.ETAG, OPTION.IF_MATCH]), pick(random, ['v1', 'v2']))
  if (random() < 0.1) options.add(OPTION.NO_RESPONSE, below(random, 32))
  const payload = inBlocks ? exactBytes(random, 2 ** (szx + 4)) : code === 1 ? new Uint8Array() : someBytes(random, 40)
  const message: Message = { type: below(random, 2), code, id: below(random, 65_536), token: exactBytes(random, 1), options, payload }
  return encode(message)
}

/** A datagram with one to four faults: flipped bits, other bytes, cut, grown, spliced with another, a length that lies. */
export function mutate(datagram: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  let bytes = datagram.slice()
  for (let faults = 1 + below(random, 4); faults > 0; faults--) {
    const at = below(random, bytes.length || 1)
    switch (below(random, 8)) {
      case 0:
        bytes[at] = bytes[at]! ^ (1 << below(random, 8))
        break
      case 1:
        bytes[at] = below(random, 256)
        break
      case 2:
        bytes = bytes.slice(0, at)
        break
      case 3:
        bytes = Uint8Array.from([...bytes.slice(0, at), ...someBytes(random, 12), ...bytes.slice(at)])
        break
      case 4:
        bytes = Uint8Array.from([...bytes.slice(0, at), ...other.slice(below(random, other.length || 1))])
        break
      case 5:
        bytes[at] = pick(random, [0x00, 0x0d, 0x0e, 0x0f, 0xd0, 0xdd, 0xe0, 0xee, 0xf0, 0xff])
        break
      case 6:
        bytes[0] = (bytes[0] ?? 0x40) ^ (1 + below(random, 15))
        break
      default:
        bytes = Uint8Array.from([...bytes, ...bytes.slice(at)])
    }
    if (bytes.length > 4096) bytes = bytes.slice(0, 4096)
  }
  return bytes
}
