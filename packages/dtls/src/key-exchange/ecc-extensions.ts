import { ByteReader, numberBytes, vector } from '../bytes.ts'
import { EXTENSION, type Extensions } from '../handshake/extensions.ts'
import { NAMED_GROUPS } from './named-groups.ts'

/** The one form of points (RFC 8422 section 5.1.2). */
const UNCOMPRESSED = 0
export const POINT_FORMATS: Uint8Array = vector(1, numberBytes(UNCOMPRESSED, 1))

/** A list of numbers of 16 bits in a vector of 16 bits. */
export const numberList = (numbers: readonly number[]): Buffer => vector(2, ...numbers.map(number => numberBytes(number, 2)))

/** Reads such a list. @throws HandshakeFailure */
export const readNumberList = (bytes: Uint8Array): readonly number[] => {
  const reader = new ByteReader(bytes)
  const list = new ByteReader(reader.vector(2, 2))
  reader.end()
  const numbers: number[] = []
  while (list.left > 0) numbers.push(list.number(2))
  return numbers
}

/** What a client says about its curves. */
export const eccExtensions: Extensions = new Map([
  [EXTENSION.SUPPORTED_GROUPS, numberList(NAMED_GROUPS)],
  [EXTENSION.EC_POINT_FORMATS, POINT_FORMATS]
])

/** The first of our groups that the client has; one that names none takes each (RFC 8422 section 4). Undefined without a common one. */
export const chooseGroup = (extensions: Extensions): number | undefined => {
  const formats = extensions.get(EXTENSION.EC_POINT_FORMATS)
  if (formats !== undefined && !readFormats(formats).includes(UNCOMPRESSED)) return undefined
  const groups = extensions.get(EXTENSION.SUPPORTED_GROUPS)
  if (groups === undefined) return NAMED_GROUPS[0]
  const offered = readNumberList(groups)
  return NAMED_GROUPS.find(group => offered.includes(group))
}

const readFormats = (bytes: Uint8Array): Uint8Array => {
  const reader = new ByteReader(bytes)
  const formats = reader.vector(1, 1)
  reader.end()
  return formats
}
