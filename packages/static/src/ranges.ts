import parse from 'range-parser'

/** A part of a representation: bytes `start` to `end`, the end not included. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

const OVERSIZED_SUFFIX = /^bytes=\s*-\s*0*[1-9]\d*\s*$/i

/** The one range that a Range header asks for; `whole` when it is to be ignored, `unsatisfiable` when 416 is the answer (RFC 9110 section 14.2). */
export const selectRange = (header: string, size: number): ByteRange | 'whole' | 'unsatisfiable' => {
  // Another unit is ignored (section 14.2).
  if (header.slice(0, 6).toLowerCase() !== 'bytes=') return 'whole'
  // Several ranges get the whole representation, as section 14.2 allows: no multipart to build, none to take apart.
  if (header.includes(',')) return 'whole'
  const ranges = parse(size, header)
  if (ranges === -2) return 'whole'
  if (ranges === -1) {
    // No Content-Range can name a part of an empty representation.
    if (size === 0) return 'unsatisfiable'
    // A suffix longer than the representation is the whole of it (section 14.1.2), which the parser calls unsatisfiable.
    return OVERSIZED_SUFFIX.test(header) ? { start: 0, end: size } : 'unsatisfiable'
  }
  return { start: ranges[0]!.start, end: ranges[0]!.end + 1 }
}
